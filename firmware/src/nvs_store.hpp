// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "evidentity/identity.hpp"

// NVS: the factory's partition, which is only read, and the firmware's own state.
namespace nvs_store {

// The unit's identity from the evcfg partition. From secrets.h only where that partition is
// absent or its namespace empty; a partition that is there and damaged is not replaced by a
// password that happens to be compiled in.
evidentity::Loaded load_identity();

// The energy register, mWh, as it was last stored; 0 where none was. Called once, before there is
// a task.
std::uint64_t load_energy();

// Stores the register and gives what NVS holds afterwards: `mwh`, or what it held where that is
// more, or where it cannot be written. So a value that waited for its turn never replaces a newer
// one. May be called by any task that has time for the flash.
std::uint64_t keep_energy(std::uint64_t mwh);

// The AuthorizationKey that the CSMS has set, hex digits. It counts only as long as the partition
// evcfg says what it said then: a unit that is provisioned anew has the key that it was given.
bool get_changed_key(std::string& hex);
bool put_changed_key(const char* hex);

}  // namespace nvs_store
