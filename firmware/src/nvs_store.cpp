// SPDX-License-Identifier: Apache-2.0
#include "nvs_store.hpp"

#include <esp_partition.h>
#include <nvs.h>
#include <nvs_flash.h>

#include <mutex>

#include "evnvs/partition.hpp"
#include "factory_flash.hpp"

namespace nvs_store {
namespace {

constexpr const char* kState = "evstate";
constexpr const char* kEnergy = "energy_mwh";
constexpr const char* kChangedKey = "auth_key";
constexpr const char* kChangedFrom = "auth_from";
constexpr const char* kTime = "time_s";
constexpr const char* kUpdate = "update_slot";
constexpr const char* kPanics = "panics";
constexpr const char* kBrownouts = "brownouts";
constexpr const char* kWatchdogs = "watchdogs";
constexpr const char* kCrashRow = "crash_row";
constexpr const char* kFormats = "formats";

Opened state_of_nvs = Opened::failed;

// Identity and AuthorizationKey as they were provisioned; written once, before there is a task.
std::string provisioned;

std::mutex energy_lock;           // the console and the OCPP task both store
std::uint64_t stored_energy = 0;  // what NVS holds

// An open namespace, closed at the end of its scope.
class Handle {
 public:
  Handle(const char* partition, const char* name_space, nvs_open_mode_t mode)
      : error_(nvs_open_from_partition(partition, name_space, mode, &handle_)) {}
  ~Handle() {
    if (error_ == ESP_OK) {
      nvs_close(handle_);
    }
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  esp_err_t error() const { return error_; }
  explicit operator bool() const { return error_ == ESP_OK; }
  nvs_handle_t get() const { return handle_; }

 private:
  nvs_handle_t handle_ = 0;
  esp_err_t error_;
};

bool read_str(const Handle& handle, const char* key, std::string& out) {
  size_t length = 0;
  if (!handle || nvs_get_str(handle.get(), key, nullptr, &length) != ESP_OK || length == 0) {
    return false;
  }
  std::string text(length, '\0');
  if (nvs_get_str(handle.get(), key, &text[0], &length) != ESP_OK) {
    return false;
  }
  text.resize(length - 1);  // the terminator is counted
  out = text;
  return true;
}

std::uint32_t read_u32(const Handle& handle, const char* key) {
  std::uint32_t value = 0;
  return handle && nvs_get_u32(handle.get(), key, &value) == ESP_OK ? value : 0;
}

bool write_u32(const Handle& handle, const char* key, std::uint32_t value) {
  return handle && nvs_set_u32(handle.get(), key, value) == ESP_OK;
}

// evstate as it stands in a partition that ESP-IDF refuses.
class Rescued {
 public:
  explicit Rescued(const evnvs::Partition& nvs) {
    const std::uint8_t state = nvs.find_namespace(kState);
    register_ = nvs.get_u64(state, kEnergy, energy_);
    key_ = nvs.get_str(state, kChangedKey, changed_key_) &&
           nvs.get_str(state, kChangedFrom, changed_from_);
    for (Count& count : counts_) {
      nvs.get_u32(state, count.key, count.value);
    }
  }

  bool write() const {
    const Handle handle(NVS_DEFAULT_PART_NAME, kState, NVS_READWRITE);
    bool done = handle && register_ && nvs_set_u64(handle.get(), kEnergy, energy_) == ESP_OK;
    if (key_) {
      done = nvs_set_str(handle.get(), kChangedKey, changed_key_.c_str()) == ESP_OK &&
             nvs_set_str(handle.get(), kChangedFrom, changed_from_.c_str()) == ESP_OK && done;
    }
    for (const Count& count : counts_) {
      if (count.value != 0) {
        write_u32(handle, count.key, count.value);
      }
    }
    return handle && nvs_commit(handle.get()) == ESP_OK && done;
  }

 private:
  struct Count {
    const char* key;
    std::uint32_t value;
  };
  bool register_ = false;
  std::uint64_t energy_ = 0;
  bool key_ = false;
  std::string changed_key_;
  std::string changed_from_;
  Count counts_[5] = {
      {kPanics, 0}, {kBrownouts, 0}, {kWatchdogs, 0}, {kCrashRow, 0}, {kFormats, 0}};
};

Opened open_or_erase() {
  const esp_partition_t* partition = esp_partition_find_first(
      ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_DATA_NVS, NVS_DEFAULT_PART_NAME);
  if (partition == nullptr) {
    return Opened::failed;
  }
  const factory_flash::Flash before(*partition);
  const bool lost_page = evnvs::Partition(before, partition->size).lost_page();
  const esp_err_t ready = nvs_flash_init();
  if (ready == ESP_OK) {
    return lost_page ? Opened::damaged : Opened::sound;
  }
  if (ready != ESP_ERR_NVS_NO_FREE_PAGES && ready != ESP_ERR_NVS_NEW_VERSION_FOUND) {
    return Opened::failed;
  }
  const factory_flash::Flash refused(*partition);
  const Rescued rescued(evnvs::Partition(refused, partition->size));
  if (esp_partition_erase_range(partition, 0, partition->size) != ESP_OK ||
      nvs_flash_init() != ESP_OK) {
    return Opened::failed;
  }
  return rescued.write() ? Opened::kept : Opened::erased;
}

}  // namespace

void open_before_arduino() { state_of_nvs = open_or_erase(); }

Opened opened() { return state_of_nvs; }

evidentity::Loaded load_identity() {
  evidentity::Loaded loaded = factory_flash::load_identity();
  provisioned = loaded.identity.charge_point + ':' + loaded.identity.authorization_key;
  get_changed_key(loaded.identity.authorization_key);
  return loaded;
}

std::uint64_t load_energy() {
  const std::lock_guard<std::mutex> lock(energy_lock);
  const Handle handle(NVS_DEFAULT_PART_NAME, kState, NVS_READONLY);
  if (!handle || nvs_get_u64(handle.get(), kEnergy, &stored_energy) != ESP_OK) {
    stored_energy = 0;
  }
  return stored_energy;
}

std::uint64_t keep_energy(std::uint64_t mwh) {
  const std::lock_guard<std::mutex> lock(energy_lock);
  if (mwh > stored_energy) {
    const Handle handle(NVS_DEFAULT_PART_NAME, kState, NVS_READWRITE);
    if (handle && nvs_set_u64(handle.get(), kEnergy, mwh) == ESP_OK &&
        nvs_commit(handle.get()) == ESP_OK) {
      stored_energy = mwh;
    }
  }
  return stored_energy;
}

bool get_changed_key(std::string& hex) {
  const Handle handle(NVS_DEFAULT_PART_NAME, kState, NVS_READONLY);
  std::string from;
  return read_str(handle, kChangedFrom, from) && from == provisioned &&
         read_str(handle, kChangedKey, hex);
}

bool put_changed_key(const char* hex) {
  const Handle handle(NVS_DEFAULT_PART_NAME, kState, NVS_READWRITE);
  // The key first: cut short in between, an older key is not taken for this identity's.
  return handle && nvs_set_str(handle.get(), kChangedKey, hex) == ESP_OK &&
         nvs_set_str(handle.get(), kChangedFrom, provisioned.c_str()) == ESP_OK &&
         nvs_commit(handle.get()) == ESP_OK;
}

std::int64_t load_time() {
  const Handle handle(NVS_DEFAULT_PART_NAME, kState, NVS_READONLY);
  std::uint64_t unix_s = 0;
  const bool there = handle && nvs_get_u64(handle.get(), kTime, &unix_s) == ESP_OK;
  return there ? static_cast<std::int64_t>(unix_s) : 0;
}

bool keep_time(std::int64_t unix_s) {
  const Handle handle(NVS_DEFAULT_PART_NAME, kState, NVS_READWRITE);
  return handle && nvs_set_u64(handle.get(), kTime, static_cast<std::uint64_t>(unix_s)) == ESP_OK &&
         nvs_commit(handle.get()) == ESP_OK;
}

std::uint32_t load_update() {
  return read_u32(Handle(NVS_DEFAULT_PART_NAME, kState, NVS_READONLY), kUpdate);
}

bool keep_update(std::uint32_t slot) {
  const Handle handle(NVS_DEFAULT_PART_NAME, kState, NVS_READWRITE);
  return write_u32(handle, kUpdate, slot) && nvs_commit(handle.get()) == ESP_OK;
}

evhealth::ResetCounts load_resets() {
  const Handle handle(NVS_DEFAULT_PART_NAME, kState, NVS_READONLY);
  evhealth::ResetCounts counts;
  counts.panics = read_u32(handle, kPanics);
  counts.brownouts = read_u32(handle, kBrownouts);
  counts.watchdogs = read_u32(handle, kWatchdogs);
  counts.in_a_row = read_u32(handle, kCrashRow);
  return counts;
}

bool keep_resets(const evhealth::ResetCounts& counts) {
  const Handle handle(NVS_DEFAULT_PART_NAME, kState, NVS_READWRITE);
  // The row first: it alone decides anything. A value that is stored already costs no write.
  return write_u32(handle, kCrashRow, counts.in_a_row) &&
         write_u32(handle, kPanics, counts.panics) &&
         write_u32(handle, kBrownouts, counts.brownouts) &&
         write_u32(handle, kWatchdogs, counts.watchdogs) && nvs_commit(handle.get()) == ESP_OK;
}

std::uint32_t load_storage_formats() {
  return read_u32(Handle(NVS_DEFAULT_PART_NAME, kState, NVS_READONLY), kFormats);
}

void count_storage_format() {
  const Handle handle(NVS_DEFAULT_PART_NAME, kState, NVS_READWRITE);
  if (write_u32(handle, kFormats, read_u32(handle, kFormats) + 1)) {
    nvs_commit(handle.get());
  }
}

}  // namespace nvs_store
