// SPDX-License-Identifier: Apache-2.0
// ESP-IDF's names, as far as nvs_store.cpp and factory_flash.cpp use them; store_driver.cpp does
// what they promise.
#pragma once

#include <cstddef>
#include <cstdint>

using esp_err_t = int;
inline constexpr esp_err_t ESP_OK = 0;
inline constexpr esp_err_t ESP_FAIL = -1;
enum esp_partition_type_t { ESP_PARTITION_TYPE_DATA = 1 };
enum esp_partition_subtype_t {
  ESP_PARTITION_SUBTYPE_DATA_NVS = 2,
  ESP_PARTITION_SUBTYPE_DATA_NVS_KEYS = 4,
};
struct esp_partition_t {
  std::uint32_t size;
  char label[17];
};
using spi_flash_mmap_handle_t = std::uint32_t;
enum spi_flash_mmap_memory_t { SPI_FLASH_MMAP_DATA };
inline constexpr std::size_t SPI_FLASH_SEC_SIZE = 4096;

const esp_partition_t* esp_partition_find_first(esp_partition_type_t type,
                                                esp_partition_subtype_t subtype, const char* label);
esp_err_t esp_partition_read_raw(const esp_partition_t* partition, std::size_t offset, void* out,
                                 std::size_t size);
esp_err_t esp_partition_erase_range(const esp_partition_t* partition, std::size_t offset,
                                    std::size_t size);
esp_err_t esp_partition_mmap(const esp_partition_t* partition, std::size_t offset, std::size_t size,
                             spi_flash_mmap_memory_t memory, const void** out,
                             spi_flash_mmap_handle_t* handle);
void spi_flash_munmap(spi_flash_mmap_handle_t handle);
