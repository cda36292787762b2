// SPDX-License-Identifier: Apache-2.0
#include "evnet/http_url.hpp"

#include <cstddef>
#include <string_view>
#include <utility>

namespace evnet {
namespace {

constexpr std::size_t kLongest = 1024;

bool starts_with(const std::string& text, std::string_view lower_case) {
  if (text.size() < lower_case.size()) {
    return false;
  }
  for (std::size_t i = 0; i < lower_case.size(); ++i) {
    const char c = text[i];
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (lower != lower_case[i]) {
      return false;
    }
  }
  return true;
}

bool parse_port(const std::string& digits, std::uint16_t& out) {
  std::uint32_t value = 0;
  if (digits.empty() || digits.size() > 5) {
    return false;
  }
  for (const char c : digits) {
    if (c < '0' || c > '9') {
      return false;
    }
    value = value * 10 + static_cast<std::uint32_t>(c - '0');
  }
  out = static_cast<std::uint16_t>(value);
  return value >= 1 && value <= 65535;
}

}  // namespace

std::string HttpUrl::text() const {
  return std::string(tls ? "https://" : "http://") + host + ':' + std::to_string(port) + path;
}

bool parse_http_url(const std::string& text, HttpUrl& out) {
  HttpUrl url;
  std::size_t at = 7;
  if (starts_with(text, "https://")) {
    url.tls = true;
    at = 8;
  } else if (!starts_with(text, "http://")) {
    return false;
  }
  if (text.size() > kLongest) {
    return false;
  }
  for (const char c : text) {
    if (c <= ' ' || c > '~') {
      return false;
    }
  }
  std::string rest = text.substr(at);
  const std::size_t hash = rest.find('#');
  if (hash != std::string::npos) {
    url.fragment = rest.substr(hash + 1);
    rest.resize(hash);
  }
  const std::size_t end = rest.find_first_of("/?");
  const std::string authority = rest.substr(0, end);
  url.path = end == std::string::npos ? "/" : rest.substr(end);
  if (url.path[0] == '?') {
    url.path.insert(0, "/");
  }
  if (authority.find_first_of("@[]\\") != std::string::npos) {
    return false;
  }
  const std::size_t colon = authority.find(':');
  url.host = authority.substr(0, colon);
  url.port = url.tls ? 443 : 80;
  if (url.host.empty() ||
      (colon != std::string::npos && !parse_port(authority.substr(colon + 1), url.port))) {
    return false;
  }
  out = std::move(url);
  return true;
}

}  // namespace evnet
