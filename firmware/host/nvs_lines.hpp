// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "evidentity/identity.hpp"

namespace evhost {

// The board's NVS as the `nvs` lines before `boot` tell it.
class NvsLines {
 public:
  // Keeps what `nvs <namespace> <key> <type> <hex>` says (the words after `nvs `). Gives what is
  // wrong with the line, or an empty text.
  std::string add(std::string_view words);

  bool get_u64(std::string_view name_space, std::string_view key, uint64_t& out) const;

 private:
  friend class NvsNamespace;
  struct Entry {
    std::string type;
    std::string bytes;
  };
  const Entry* find(std::string_view name_space, std::string_view key) const;
  std::map<std::string, Entry> entries_;  // by "namespace key"
};

class NvsNamespace : public evidentity::NvsReader {
 public:
  NvsNamespace(const NvsLines& lines, std::string name) : lines_(lines), name_(std::move(name)) {}
  bool get_str(const char* key, std::string& out) const override;
  bool get_u8(const char* key, uint8_t& out) const override;

 private:
  const NvsLines& lines_;
  std::string name_;
};

}  // namespace evhost
