// SPDX-License-Identifier: Apache-2.0
#include "evidentity/url.hpp"

#include <cstddef>

namespace evidentity {
namespace {

bool starts_with_scheme(const std::string& text, const char* scheme, size_t& length) {
  size_t i = 0;
  for (; scheme[i] != '\0'; ++i) {
    if (i >= text.size()) {
      return false;
    }
    const char c = text[i];
    const char lower = (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
    if (lower != scheme[i]) {
      return false;
    }
  }
  length = i;
  return true;
}

bool parse_port(const std::string& digits, uint16_t& out) {
  if (digits.empty() || digits.size() > 5) {
    return false;
  }
  uint32_t value = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') {
      return false;
    }
    value = value * 10 + static_cast<uint32_t>(c - '0');
  }
  if (value == 0 || value > 65535) {
    return false;
  }
  out = static_cast<uint16_t>(value);
  return true;
}

bool unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

std::string percent_encode(const std::string& text) {
  static const char digits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (unreserved(c)) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += digits[byte >> 4];
      out += digits[byte & 15];
    }
  }
  return out;
}

}  // namespace

bool parse_url(const std::string& text, Url& out) {
  Url url;
  size_t start = 0;
  if (starts_with_scheme(text, "wss://", start)) {
    url.tls = true;
  } else if (!starts_with_scheme(text, "ws://", start)) {
    return false;
  }
  for (const char c : text) {
    if (c <= ' ' || c > '~' || c == '#' || c == '@') {
      return false;
    }
  }
  const size_t slash = text.find('/', start);
  const std::string authority = text.substr(start, slash - start);
  url.path = slash == std::string::npos ? "/" : text.substr(slash);

  size_t host_end = 0;
  if (!authority.empty() && authority[0] == '[') {
    host_end = authority.find(']');
    if (host_end == std::string::npos || host_end == 1) {
      return false;
    }
    url.host = authority.substr(1, host_end - 1);
    host_end += 1;
  } else {
    host_end = authority.find(':');
    if (host_end == std::string::npos) {
      host_end = authority.size();
    }
    url.host = authority.substr(0, host_end);
  }
  if (url.host.empty() || url.host.find_first_of("[]") != std::string::npos) {
    return false;
  }
  if (host_end == authority.size()) {
    url.port = url.tls ? 443 : 80;
  } else if (authority[host_end] != ':' || !parse_port(authority.substr(host_end + 1), url.port)) {
    return false;
  }
  out = url;
  return true;
}

std::string charge_point_url(const std::string& endpoint, const std::string& identity) {
  std::string url = endpoint;
  while (!url.empty() && url.back() == '/') {
    url.pop_back();
  }
  const std::string segment = "/" + percent_encode(identity);
  const bool there = url.size() > segment.size() &&
                     url.compare(url.size() - segment.size(), segment.size(), segment) == 0 &&
                     url[url.size() - segment.size() - 1] != '/';
  return there ? url : url + segment;
}

}  // namespace evidentity
