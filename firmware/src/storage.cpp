// SPDX-License-Identifier: Apache-2.0
#include "storage.hpp"

#include <Arduino.h>
#include <LittleFS.h>
#include <esp_partition.h>

#include <algorithm>
#include <array>

#include "nvs_store.hpp"

namespace {

constexpr const char* kPartition = "storage";
constexpr const char* kPath = "/littlefs";
constexpr std::uint8_t kOpenFiles = 10;
constexpr std::size_t kSuperblocks = 2 * SPI_FLASH_SEC_SIZE;

// The partition has a name of its own; the library would look for one called spiffs.
bool mount(bool format) { return LittleFS.begin(format, kPath, kOpenFiles, kPartition); }

// A new unit's partition holds nothing that formatting could lose.
bool is_new() {
  const esp_partition_t* partition =
      esp_partition_find_first(ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_ANY, kPartition);
  std::array<std::uint8_t, 128> bytes{};
  for (std::size_t at = 0; partition != nullptr && at < kSuperblocks; at += bytes.size()) {
    if (esp_partition_read(partition, at, bytes.data(), bytes.size()) != ESP_OK ||
        std::any_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte != 0xFF; })) {
      return false;
    }
  }
  return partition != nullptr;
}

const char* format() {
  const bool nothing_lost = is_new();
  const bool mounted = mount(true);
  disableCore0WDT();  // formatting has switched it on again: setup() says why it is off
  if (!mounted) {
    return "[event] storage state=failed";
  }
  if (nothing_lost) {
    return "[event] storage state=new";
  }
  nvs_store::count_storage_format();
  return "[event] storage state=formatted";
}

}  // namespace

std::shared_ptr<MicroOcpp::FilesystemAdapter> mount_storage(Shared& shared) {
  bool mounted = mount(false);
  if (!mounted) {
    shared.lines.put(evcore::ConsoleLine(format()));
    mounted = mount(false);  // already mounted is as good
  }
  return mounted ? MicroOcpp::makeDefaultFilesystemAdapter(MicroOcpp::FilesystemOpt::Use) : nullptr;
}
