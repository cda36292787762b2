// SPDX-License-Identifier: Apache-2.0
// nvs_store.cpp and factory_flash.cpp over a flash in memory: one command a line, one answer a line
// (test_nvs_store_cpp.py). ESP-IDF's NVS is a map here, apart from the partition's bytes: what the
// firmware reads out of a partition that ESP-IDF refuses, it can only have from the bytes.
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "nvs_flash.h"
#include "nvs_store.hpp"

namespace {

struct Partition {
  esp_partition_t known{};
  int subtype = 0;
  std::string raw, through_cache;
};
std::map<std::string, Partition> partitions;
std::map<std::string, std::string> store;  // "namespace key type" -> bytes
std::vector<std::string> spaces;
esp_err_t refusal = ESP_OK;
int writes = 0, fail_after = -1;

const Partition& bytes_of(const esp_partition_t* partition) {
  return partitions.at(partition->label);
}

esp_err_t get(nvs_handle_t handle, const char* key, const char* type, std::string& out) {
  if (handle == 0 || handle > spaces.size()) return ESP_FAIL;
  const auto found = store.find(spaces[handle - 1] + ' ' + key + ' ' + type);
  if (found == store.end()) return ESP_ERR_NVS_NOT_FOUND;
  out = found->second;
  return ESP_OK;
}

esp_err_t set(nvs_handle_t handle, const char* key, const char* type, const std::string& bytes) {
  if (handle == 0 || handle > spaces.size()) return ESP_FAIL;
  if (fail_after >= 0 && writes >= fail_after) return ESP_FAIL;
  std::string& value = store[spaces[handle - 1] + ' ' + key + ' ' + type];
  if (value != bytes) ++writes;
  value = bytes;
  return ESP_OK;
}

template <typename T>
esp_err_t get_integer(nvs_handle_t handle, const char* key, T* out) {
  std::string bytes;
  const esp_err_t error = get(handle, key, sizeof(T) == 4 ? "u32" : "u64", bytes);
  if (error == ESP_OK) std::memcpy(out, bytes.data(), sizeof(T));
  return error;
}

template <typename T>
esp_err_t set_integer(nvs_handle_t handle, const char* key, T value) {
  const char* first = reinterpret_cast<const char*>(&value);
  return set(handle, key, sizeof(T) == 4 ? "u32" : "u64", std::string(first, sizeof(T)));
}

}  // namespace

const esp_partition_t* esp_partition_find_first(esp_partition_type_t,
                                                esp_partition_subtype_t subtype,
                                                const char* label) {
  for (const auto& [name, partition] : partitions) {
    if (partition.subtype == subtype && (label == nullptr || name == label)) {
      return &partition.known;
    }
  }
  return nullptr;
}

esp_err_t esp_partition_read_raw(const esp_partition_t* partition, std::size_t offset, void* out,
                                 std::size_t size) {
  const std::string& raw = bytes_of(partition).raw;
  if (offset > raw.size() || size > raw.size() - offset) return ESP_FAIL;
  std::memcpy(out, raw.data() + offset, size);
  return ESP_OK;
}

esp_err_t esp_partition_erase_range(const esp_partition_t* partition, std::size_t offset,
                                    std::size_t size) {
  Partition& erased = partitions.at(partition->label);
  if (offset != 0 || size != erased.raw.size()) return ESP_FAIL;
  erased.raw.assign(size, '\xff');
  store.clear();
  refusal = ESP_OK;
  return ESP_OK;
}

esp_err_t esp_partition_mmap(const esp_partition_t* partition, std::size_t offset, std::size_t size,
                             spi_flash_mmap_memory_t, const void** out,
                             spi_flash_mmap_handle_t* handle) {
  const std::string& mapped = bytes_of(partition).through_cache;
  if (offset + size > mapped.size()) return ESP_FAIL;
  *out = mapped.data() + offset;
  *handle = 1;
  return ESP_OK;
}

void spi_flash_munmap(spi_flash_mmap_handle_t) {}

esp_err_t nvs_flash_init() { return refusal; }

esp_err_t nvs_open_from_partition(const char* partition, const char* name_space, nvs_open_mode_t,
                                  nvs_handle_t* handle) {
  if (refusal != ESP_OK || std::string(partition) != NVS_DEFAULT_PART_NAME) return ESP_FAIL;
  spaces.push_back(name_space);
  *handle = static_cast<nvs_handle_t>(spaces.size());
  return ESP_OK;
}
void nvs_close(nvs_handle_t) {}
esp_err_t nvs_commit(nvs_handle_t handle) { return handle == 0 ? ESP_FAIL : ESP_OK; }
esp_err_t nvs_get_u32(nvs_handle_t handle, const char* key, std::uint32_t* out) {
  return get_integer(handle, key, out);
}
esp_err_t nvs_set_u32(nvs_handle_t handle, const char* key, std::uint32_t value) {
  return set_integer(handle, key, value);
}
esp_err_t nvs_get_u64(nvs_handle_t handle, const char* key, std::uint64_t* out) {
  return get_integer(handle, key, out);
}
esp_err_t nvs_set_u64(nvs_handle_t handle, const char* key, std::uint64_t value) {
  return set_integer(handle, key, value);
}
esp_err_t nvs_get_str(nvs_handle_t handle, const char* key, char* out, std::size_t* length) {
  std::string bytes;
  const esp_err_t error = get(handle, key, "str", bytes);
  if (error != ESP_OK) return error;
  if (out != nullptr) std::memcpy(out, bytes.c_str(), bytes.size() + 1);
  *length = bytes.size() + 1;
  return ESP_OK;
}
esp_err_t nvs_set_str(nvs_handle_t handle, const char* key, const char* value) {
  return set(handle, key, "str", value);
}

static std::string answer(const std::vector<std::string>& w) {
  std::ostringstream out;
  if (w[0] == "partition") {
    Partition& made = partitions[w[1]];
    made.subtype = std::stoi(w[2]);
    made.raw = evidentity::decode_key(w[3]);
    made.through_cache = w.size() > 4 ? evidentity::decode_key(w[4]) : made.raw;
    made.known.size = static_cast<std::uint32_t>(made.raw.size());
    std::snprintf(made.known.label, sizeof made.known.label, "%s", w[1].c_str());
  } else if (w[0] == "refuse") {
    refusal = w[1] == "full"    ? ESP_ERR_NVS_NO_FREE_PAGES
              : w[1] == "newer" ? ESP_ERR_NVS_NEW_VERSION_FOUND
                                : ESP_FAIL;
  } else if (w[0] == "fail_after") {
    fail_after = writes + std::stoi(w[1]);
  } else if (w[0] == "open") {
    nvs_store::open_before_arduino();
    const char* names[] = {"sound", "damaged", "kept", "erased", "failed"};
    return names[static_cast<int>(nvs_store::opened())];
  } else if (w[0] == "identity") {
    const evidentity::Loaded loaded = nvs_store::load_identity();
    out << (loaded.complete() ? "complete " : "incomplete ") << loaded.identity.charge_point << ' '
        << loaded.identity.authorization_key;
    for (const evidentity::Problem& problem : loaded.problems) out << ' ' << problem.key;
  } else if (w[0] == "put_key") {
    out << nvs_store::put_changed_key(w[1].c_str());
  } else if (w[0] == "load_energy") {
    out << nvs_store::load_energy();
  } else if (w[0] == "keep_energy") {
    out << nvs_store::keep_energy(std::stoull(w[1]));
  } else if (w[0] == "resets") {
    const evhealth::ResetCounts counts = nvs_store::load_resets();
    out << counts.panics << ' ' << counts.brownouts << ' ' << counts.watchdogs << ' '
        << counts.in_a_row;
  } else if (w[0] == "keep_resets") {
    const int before = writes;
    evhealth::ResetCounts counts;
    counts.panics = static_cast<std::uint32_t>(std::stoul(w[1]));
    counts.in_a_row = static_cast<std::uint32_t>(std::stoul(w[2]));
    out << nvs_store::keep_resets(counts) << " writes=" << writes - before;
  } else if (w[0] == "format") {
    nvs_store::count_storage_format();
    out << nvs_store::load_storage_formats();
  } else {
    return "?";
  }
  return out.str();
}

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::stringstream stream(line);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word);
    std::printf("%s\n", answer(words).c_str());
    std::fflush(stdout);
  }
}
