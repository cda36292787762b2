// SPDX-License-Identifier: Apache-2.0
#include "nvs_store.hpp"

#include <nvs.h>
#include <nvs_flash.h>

#include <mutex>

#if __has_include("secrets.h")
#include "secrets.h"
#endif

namespace nvs_store {
namespace {

constexpr const char* kState = "evstate";
constexpr const char* kEnergy = "energy_mwh";
constexpr const char* kChangedKey = "auth_key";
constexpr const char* kChangedFrom = "auth_from";

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

class FactoryReader : public evidentity::NvsReader {
 public:
  explicit FactoryReader(const Handle& handle) : handle_(handle) {}
  bool get_str(const char* key, std::string& out) const override {
    return read_str(handle_, key, out);
  }
  bool get_u8(const char* key, uint8_t& out) const override {
    return handle_ && nvs_get_u8(handle_.get(), key, &out) == ESP_OK;
  }

 private:
  const Handle& handle_;
};

evidentity::Loaded compiled_in() {
  evidentity::Loaded loaded;
#if defined(SECRET_CHARGER_ID)
  evidentity::Identity& identity = loaded.identity;
  identity.charge_point = SECRET_CHARGER_ID;
  identity.vendor = SECRET_CHARGER_VENDOR;
  identity.model = SECRET_CHARGER_MODEL;
  identity.serial = SECRET_CHARGER_SERIAL;
  identity.csms_url = SECRET_CSMS_URL;
  identity.authorization_key = SECRET_AUTHORIZATION_KEY;
  identity.security_profile = SECRET_SECURITY_PROFILE;
  identity.wifi_ssid = SECRET_WIFI_SSID;
  identity.wifi_passphrase = SECRET_WIFI_PASS;
  identity.ca_certificate = SECRET_CA_CERTIFICATE;
  identity.local_id_tag = SECRET_LOCAL_ID_TAG;
  loaded.present = true;
  loaded.problems = evidentity::check_identity(identity);
#endif
  return loaded;
}

evidentity::Loaded from_partition() {
  const esp_err_t ready = nvs_flash_init_partition(evidentity::kPartition);
  if (ready == ESP_ERR_NOT_FOUND) {
    return compiled_in();
  }
  const Handle handle(evidentity::kPartition, evidentity::kNamespace, NVS_READONLY);
  // An erased partition has no namespace; without its partition there is none either.
  if (ready == ESP_OK && handle.error() == ESP_ERR_NVS_NOT_FOUND) {
    return compiled_in();
  }
  evidentity::Loaded loaded = evidentity::load_identity(FactoryReader(handle));
  if (!handle) {
    loaded.problems.clear();
    loaded.problems.push_back({evidentity::kPartition, "readable"});
  }
  return loaded;
}

#if defined(EVTOOL_LAB)
// On the bench, and there alone, TLS may go unverified.
void forgive_missing_certificate(evidentity::Loaded& loaded) {
  for (size_t i = loaded.problems.size(); i-- > 0;) {
    if (std::string(loaded.problems[i].key) == "ca_cert") {
      loaded.problems.erase(loaded.problems.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}
#endif

}  // namespace

evidentity::Loaded load_identity() {
  evidentity::Loaded loaded = from_partition();
#if defined(EVTOOL_LAB)
  forgive_missing_certificate(loaded);
#endif
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

}  // namespace nvs_store
