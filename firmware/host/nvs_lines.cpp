// SPDX-License-Identifier: Apache-2.0
#include "nvs_lines.hpp"

#include <array>

namespace evhost {
namespace {

constexpr size_t kLongestName = 15;

// Bytes of an integer type, 0 for a type of any length, -1 for no type.
int type_size(std::string_view type) {
  if (type == "u8") {
    return 1;
  }
  if (type == "u16") {
    return 2;
  }
  if (type == "u32") {
    return 4;
  }
  if (type == "u64") {
    return 8;
  }
  return type == "str" || type == "blob" ? 0 : -1;
}

uint64_t little_endian(const std::string& bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) {
    value = (value << 8U) | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

}  // namespace

std::string NvsLines::add(std::string_view words) {
  std::array<std::string_view, 4> parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    const size_t end = i + 1 < parts.size() ? words.find(' ') : words.size();
    if (end == std::string_view::npos) {
      return "nvs wants a namespace, a key, a type and hex bytes";
    }
    parts[i] = words.substr(0, end);
    words.remove_prefix(i + 1 < parts.size() ? end + 1 : end);
  }
  const auto [name_space, key, type, hex] = parts;
  if (name_space.empty() || name_space.size() > kLongestName || key.empty() ||
      key.size() > kLongestName) {
    return "nvs names have 1 to 15 characters";
  }
  const int size = type_size(type);
  if (size < 0) {
    return "nvs type is none of u8 u16 u32 u64 str blob";
  }
  const std::string digits(hex == "-" ? std::string_view() : hex);
  std::string bytes = evidentity::decode_key(digits);
  if (bytes.empty() && !digits.empty()) {
    return "nvs value is not pairs of hex digits";
  }
  if (size > 0 && bytes.size() != static_cast<size_t>(size)) {
    return "nvs value has another length than its type";
  }
  if (type == "str" && !bytes.empty() && bytes.back() == '\0') {
    bytes.pop_back();  // NVS counts the terminator
  }
  entries_[std::string(name_space) + ' ' + std::string(key)] = {std::string(type), bytes};
  return {};
}

const NvsLines::Entry* NvsLines::find(std::string_view name_space, std::string_view key) const {
  const auto found = entries_.find(std::string(name_space) + ' ' + std::string(key));
  return found == entries_.end() ? nullptr : &found->second;
}

bool NvsLines::get_u64(std::string_view name_space, std::string_view key, uint64_t& out) const {
  const Entry* entry = find(name_space, key);
  if (entry == nullptr || entry->type != "u64") {
    return false;
  }
  out = little_endian(entry->bytes);
  return true;
}

bool NvsNamespace::get_str(const char* key, std::string& out) const {
  const NvsLines::Entry* entry = lines_.find(name_, key);
  if (entry == nullptr || entry->type != "str") {
    return false;
  }
  out = entry->bytes;
  return true;
}

bool NvsNamespace::get_u8(const char* key, uint8_t& out) const {
  const NvsLines::Entry* entry = lines_.find(name_, key);
  if (entry == nullptr || entry->type != "u8") {
    return false;
  }
  out = static_cast<uint8_t>(little_endian(entry->bytes));
  return true;
}

}  // namespace evhost
