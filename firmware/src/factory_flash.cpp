// SPDX-License-Identifier: Apache-2.0
#include "factory_flash.hpp"

#include <mbedtls/aes.h>

#include <algorithm>
#include <cstring>

#include "evnvs/keys.hpp"
#include "factory_identity.hpp"

namespace factory_flash {
namespace {

// Header and bitmap are looked at alone: most pages are blank, and need no more.
constexpr std::uint32_t kPageHead = 64;
constexpr unsigned kKeyBits = 512;  // XTS-AES-256: a data key and a tweak key

class XtsAes256 final : public evnvs::Cipher {
 public:
  XtsAes256() { mbedtls_aes_xts_init(&context_); }
  ~XtsAes256() { mbedtls_aes_xts_free(&context_); }
  XtsAes256(const XtsAes256&) = delete;
  XtsAes256& operator=(const XtsAes256&) = delete;

  bool set_keys(const evnvs::Keys& keys) {
    return mbedtls_aes_xts_setkey_dec(&context_, keys.data(), kKeyBits) == 0;
  }
  bool decrypt(const evnvs::Tweak& tweak, evnvs::Entry& entry) const override {
    return mbedtls_aes_crypt_xts(&context_, MBEDTLS_AES_DECRYPT, entry.size(), tweak.data(),
                                 entry.data(), entry.data()) == 0;
  }

 private:
  mutable mbedtls_aes_xts_context context_;
};

// Through the cache, which decrypts where flash encryption is on. esp_partition_read would do the
// same, but refuses it in an ESP-IDF that was built without flash encryption.
bool read_through_cache(const esp_partition_t* partition, evnvs::KeyRecord& record) {
  const void* mapped = nullptr;
  spi_flash_mmap_handle_t handle = 0;
  if (esp_partition_mmap(partition, 0, SPI_FLASH_SEC_SIZE, SPI_FLASH_MMAP_DATA, &mapped, &handle) !=
      ESP_OK) {
    return false;
  }
  std::memcpy(record.data(), mapped, record.size());
  spi_flash_munmap(handle);
  return true;
}

evnvs::KeyState read_keys(evnvs::Keys& keys) {
  const esp_partition_t* partition = esp_partition_find_first(
      ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_DATA_NVS_KEYS, nullptr);
  if (partition == nullptr) {
    return evnvs::KeyState::absent;
  }
  evnvs::KeyRecord record{};
  if (esp_partition_read_raw(partition, 0, record.data(), record.size()) != ESP_OK) {
    return evnvs::KeyState::damaged;
  }
  // Blank as it stands: with flash encryption on, a blank partition does not read as blank.
  if (evnvs::parse_keys(record, keys) == evnvs::KeyState::absent) {
    return evnvs::KeyState::absent;
  }
  return read_through_cache(partition, record) &&
                 evnvs::parse_keys(record, keys) == evnvs::KeyState::present
             ? evnvs::KeyState::present
             : evnvs::KeyState::damaged;
}

}  // namespace

bool Flash::read(std::uint32_t offset, std::uint8_t* out, std::size_t length) const {
  const std::uint32_t start = offset - offset % evnvs::kPageSize;
  if (offset - start + length > evnvs::kPageSize) {
    return false;
  }
  const bool kept = !page_.empty() && page_start_ == start;
  if (!kept && offset - start < kPageHead) {
    return esp_partition_read_raw(&partition_, offset, out, length) == ESP_OK;
  }
  if (!kept) {
    page_.resize(evnvs::kPageSize);
    if (esp_partition_read_raw(&partition_, start, page_.data(), page_.size()) != ESP_OK) {
      page_.clear();
      return false;
    }
    page_start_ = start;
  }
  std::copy_n(page_.begin() + static_cast<std::ptrdiff_t>(offset - start), length, out);
  return true;
}

evidentity::Loaded load_identity() {
  factory_identity::Found found;
  const esp_partition_t* partition = esp_partition_find_first(
      ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_DATA_NVS, evidentity::kPartition);
  if (partition == nullptr) {
    return factory_identity::load(found);
  }
  evnvs::Keys keys{};
  found.keys = read_keys(keys);
  XtsAes256 cipher;
  if (found.keys == evnvs::KeyState::present && !cipher.set_keys(keys)) {
    found.keys = evnvs::KeyState::damaged;
  }
  const Flash flash(*partition);
  const evnvs::Partition evcfg(flash, partition->size,
                               found.keys == evnvs::KeyState::present ? &cipher : nullptr);
  found.evcfg = &evcfg;
  return factory_identity::load(found);
}

}  // namespace factory_flash
