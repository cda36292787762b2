// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "evnet/known_time.hpp"

// What time it is, for every task that opens a TLS connection.
namespace unit_clock {

// False where it cannot be that time: see evnet::KnownTime.
bool tell(std::int64_t unix_s);
evnet::Reading now();

// A CSMS has told the time over a connection whose certificates end at `certificates_end` (0 where
// none was checked). Kept in NVS where that is worth it.
void tell_by_csms(std::int64_t unix_s, std::int64_t certificates_end);

}  // namespace unit_clock
