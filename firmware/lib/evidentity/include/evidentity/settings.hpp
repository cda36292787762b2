// SPDX-License-Identifier: Apache-2.0
// What the unit is made of, where provisioning wrote it beside the identity.
#pragma once

#include <vector>

#include "evcore/types.hpp"
#include "evidentity/identity.hpp"

namespace evidentity {

// Overwrites the fields of `config` that the namespace holds; every key is optional, and a
// value that breaks its rule is named and leaves its field alone. Keys, all below 16 bytes:
//   can_buses u8 1|2 · cap_source u8 0 remaining, 1 charged_minus_discharged ·
//   battery_mah u32 · i_scale u8 0 1/1024, 1 1/10 · t_scale u8 0 milli, 1 deci ·
//   req_min_mv, req_max_mv, req_max_ma, max_mv, max_ma u32
std::vector<Problem> load_settings(const NvsReader& nvs, evcore::Config& config);

}  // namespace evidentity
