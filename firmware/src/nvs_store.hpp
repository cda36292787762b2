// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "evcore/fixed_text.hpp"
#include "evidentity/identity.hpp"

// NVS: the factory's partition, which is only read, and the firmware's own state.
namespace nvs_store {

// The unit's identity from the evcfg partition. From secrets.h only where that partition is
// absent or its namespace empty; a partition that is there and damaged is not replaced by a
// password that happens to be compiled in.
evidentity::Loaded load_identity();

// Namespace evstate of the partition nvs.
bool get_u64(const char* key, std::uint64_t& value);
bool put_u64(const evcore::FixedText<15>& key, std::uint64_t value);

// The AuthorizationKey that the CSMS has set, hex digits. It counts only as long as the partition
// evcfg says what it said then: a unit that is provisioned anew has the key that it was given.
bool get_changed_key(std::string& hex);
bool put_changed_key(const char* hex);

}  // namespace nvs_store
