// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <esp_partition.h>

#include <vector>

#include "evidentity/identity.hpp"
#include "evnvs/partition.hpp"

// The ESP32's partitions, read as they are.
namespace factory_flash {

// Keeps the page that was read last, so that it does not see what is written meanwhile.
class Flash final : public evnvs::Flash {
 public:
  explicit Flash(const esp_partition_t& partition) : partition_(partition) {}
  bool read(std::uint32_t offset, std::uint8_t* out, std::size_t length) const override;

 private:
  const esp_partition_t& partition_;
  mutable std::vector<std::uint8_t> page_;
  mutable std::uint32_t page_start_ = 0;
};

// The identity in evcfg, decrypted where the partition nvs_keys holds keys. Writes nothing.
evidentity::Loaded load_identity();

}  // namespace factory_flash
