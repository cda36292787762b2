// SPDX-License-Identifier: Apache-2.0
#include "evupdate/image.hpp"

#include <string_view>
#include <utility>

namespace evupdate {
namespace {

constexpr std::uint8_t kImageMagic = 0xE9;
constexpr std::uint32_t kDescriptorMagic = 0xABCD5432;
constexpr std::size_t kSegmentsMost = 16;
constexpr std::size_t kChipAt = 12;
constexpr std::size_t kDescriptorAt = 32;  // behind the header (24) and the first segment's (8)
constexpr std::size_t kProjectAt = kDescriptorAt + 48;
constexpr std::size_t kProjectSize = 32;
constexpr std::string_view kDigestName = "sha256=";

int nibble(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool parse_digest(const std::string& fragment, Digest& out) {
  const std::size_t begin = kDigestName.size();
  if (fragment.compare(0, begin, kDigestName) != 0 || fragment.size() != begin + 2 * out.size()) {
    return false;
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = nibble(fragment[begin + 2 * i]);
    const int low = nibble(fragment[begin + 2 * i + 1]);
    if (high < 0 || low < 0) {
      return false;
    }
    out.at(i) = static_cast<std::uint8_t>(high * 16 + low);
  }
  return true;
}

std::uint32_t little_endian(const Header& header, std::size_t at, std::size_t count) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    value |= static_cast<std::uint32_t>(header.at(at + i)) << (8 * i);
  }
  return value;
}

}  // namespace

const char* parse_location(const std::string& text, bool authentic, Location& out) {
  Location location;
  if (!evnet::parse_http_url(text, location.url)) {
    return "http_or_https";
  }
  if (!parse_digest(location.url.fragment, location.sha256)) {
    return "ends_in_#sha256=";
  }
  if (!authentic) {
    return "ordered_over_wss";
  }
  out = std::move(location);
  return nullptr;
}

const char* check_header(const Header& header, const std::string& project) {
  const std::size_t segments = header[1];
  if (header[0] != kImageMagic || segments == 0 || segments > kSegmentsMost) {
    return "application_image";
  }
  if (little_endian(header, kChipAt, 2) != kEsp32) {
    return "for_this_chip";
  }
  if (little_endian(header, kDescriptorAt, 4) != kDescriptorMagic) {
    return "has_a_descriptor";
  }
  std::string name;
  for (std::size_t i = kProjectAt; i < kProjectAt + kProjectSize && header.at(i) != 0; ++i) {
    name += static_cast<char>(header.at(i));
  }
  return name == project ? nullptr : "of_this_project";
}

}  // namespace evupdate
