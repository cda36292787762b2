// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "evhealth/resets.hpp"
#include "evidentity/identity.hpp"

// What the firmware remembers: the namespace evstate of the partition nvs.
namespace nvs_store {

// Opens the partition. To be called before Arduino does the same, which erases what it cannot
// open; here the values of evstate are read out first and written again. Those of Wi-Fi are lost:
// its calibration is made anew.
void open_before_arduino();

enum class Opened : std::uint8_t {
  sound,
  damaged,  // a page was lost; what it held is missing, or older
  kept,     // erased, and the register written again
  erased,   // erased, and no register was found
  failed,   // nothing can be stored
};
Opened opened();

// The identity from evcfg, with the AuthorizationKey that the CSMS has set since. Called once,
// before there is a task.
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

// A time that an authenticated CSMS has told, seconds since 1970; 0 where none was.
std::int64_t load_time();
bool keep_time(std::int64_t unix_s);

// Subtype of the OTA slot whose update the CSMS has not heard the end of; 0 for none.
std::uint32_t load_update();
bool keep_update(std::uint32_t slot);

// All 0 where none were stored. False where they could not be stored.
evhealth::ResetCounts load_resets();
bool keep_resets(const evhealth::ResetCounts& counts);

// How often the file system was lost and formatted; the second counts one more.
std::uint32_t load_storage_formats();
void count_storage_format();

}  // namespace nvs_store
