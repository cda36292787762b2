// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

namespace evocpp {

// What the hardware can do where no profile limits it.
struct HardwareLimit {
  float current_a = 0.0F;
  float voltage_v = 0.0F;
};

// The answer of MicroOcpp to a GetCompositeSchedule in ampere, as OCPP 1.6 wants it (D27): the
// hardware's limit where the library says -1, "no limit"; numberPhases, 3 where none is named; no
// period that is like the one before it; and in watt where that was asked. A first period of one
// second in which nothing limits yet is left out: profiles begin in fractions of a second, and the
// library's clock counts whole ones. Empty where `answer` is no such answer, or one without a
// schedule.
std::string mended_composite_schedule(const char* answer, size_t length, const HardwareLimit& limit,
                                      bool in_watt);

}  // namespace evocpp
