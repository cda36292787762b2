// SPDX-License-Identifier: Apache-2.0
// What a firmware image must be before a byte of it reaches the flash.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "evnet/http_url.hpp"
#include "evupdate/sha256.hpp"

namespace evupdate {

struct Location {
  evnet::HttpUrl url;
  Digest sha256{};
};

// Null, or the rule that `text` breaks (a literal without blanks). The location of UpdateFirmware
// must be http:// or https:// and end in #sha256=<64 hex digits>, the digest of the whole image:
// the central system vouches for it, and the server that holds the file need not be trusted. That
// is worth as much as the connection that the order came over, so it must be `authentic`: wss://
// with the certificate checked.
const char* parse_location(const std::string& text, bool authentic, Location& out);

// As much of an image as has its descriptor in it.
constexpr std::size_t kHeaderSize = 288;
using Header = std::array<std::uint8_t, kHeaderSize>;
constexpr std::uint16_t kEsp32 = 0;

// Null, or the rule that the first bytes break: an ESP32 application image with a
// descriptor that names `project`. Written down in esp_image_format.h and esp_app_format.h.
const char* check_header(const Header& header, const std::string& project);

}  // namespace evupdate
