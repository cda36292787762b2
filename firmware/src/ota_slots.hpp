// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <esp_ota_ops.h>

#include "evupdate/ports.hpp"

// The two OTA partitions and the boot loader's record of them. Which slot the CSMS is waiting to
// hear of stands in NVS, so that a rollback by the boot loader is told as well.
class OtaSlots : public evupdate::Slots {
 public:
  OtaSlots();

  std::size_t capacity() const override;
  std::string running_project() const override;
  bool begin() override;
  bool write(const std::uint8_t* bytes, std::size_t length) override;
  bool end() override;
  bool read(std::size_t at, std::uint8_t* bytes, std::size_t length) override;
  bool activate() override;
  evupdate::Outcome outcome() const override { return outcome_; }
  bool keep() override;
  void give_up() override;
  void told() override;

 private:
  const esp_partition_t* running_;
  const esp_partition_t* other_;
  esp_ota_handle_t handle_ = 0;
  bool open_ = false;
  evupdate::Outcome outcome_ = evupdate::Outcome::none;
};
