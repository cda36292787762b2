// SPDX-License-Identifier: Apache-2.0
#include "ota_slots.hpp"

#include <cstring>

#include "nvs_store.hpp"

OtaSlots::OtaSlots()
    : running_(esp_ota_get_running_partition()),
      other_(esp_ota_get_next_update_partition(nullptr)) {
  esp_ota_img_states_t state = ESP_OTA_IMG_UNDEFINED;
  if (running_ != nullptr && esp_ota_get_state_partition(running_, &state) == ESP_OK &&
      state == ESP_OTA_IMG_PENDING_VERIFY) {
    outcome_ = evupdate::Outcome::on_trial;
    return;
  }
  const std::uint32_t awaited = nvs_store::load_update();
  if (running_ != nullptr && awaited != 0) {
    outcome_ = running_->subtype == awaited ? evupdate::Outcome::installed
                                            : evupdate::Outcome::rolled_back;
  }
}

std::size_t OtaSlots::capacity() const { return other_ == nullptr ? 0 : other_->size; }

std::string OtaSlots::running_project() const {
  const esp_app_desc_t* description = esp_ota_get_app_description();
  return std::string(description->project_name,
                     strnlen(description->project_name, sizeof description->project_name));
}

bool OtaSlots::begin() {
  if (open_) {
    esp_ota_abort(handle_);
  }
  // Erased sector by sector as it is written: the whole slot at once would take many seconds.
  open_ =
      other_ != nullptr && esp_ota_begin(other_, OTA_WITH_SEQUENTIAL_WRITES, &handle_) == ESP_OK;
  return open_;
}

bool OtaSlots::write(const std::uint8_t* bytes, std::size_t length) {
  return open_ && esp_ota_write(handle_, bytes, length) == ESP_OK;
}

bool OtaSlots::end() {
  const bool ended = open_ && esp_ota_end(handle_) == ESP_OK;
  open_ = false;
  return ended;
}

bool OtaSlots::read(std::size_t at, std::uint8_t* bytes, std::size_t length) {
  return other_ != nullptr && esp_partition_read(other_, at, bytes, length) == ESP_OK;
}

// The note first: without it, nobody would be told. With it and without the switch, the CSMS hears
// of a rollback, which is what happened.
bool OtaSlots::activate() {
  return other_ != nullptr && nvs_store::keep_update(other_->subtype) &&
         esp_ota_set_boot_partition(other_) == ESP_OK;
}

bool OtaSlots::keep() { return esp_ota_mark_app_valid_cancel_rollback() == ESP_OK; }

void OtaSlots::give_up() { esp_ota_mark_app_invalid_rollback_and_reboot(); }

void OtaSlots::told() { nvs_store::keep_update(0); }
