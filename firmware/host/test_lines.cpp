// SPDX-License-Identifier: Apache-2.0
#include "test_lines.hpp"

#include "evidentity/identity.hpp"

namespace evhost {
namespace {

constexpr size_t kLongestIdTag = 20;

bool id_tag(std::string_view text) {
  for (const char c : text) {
    if (c <= ' ' || c > '~') {
      return false;
    }
  }
  return !text.empty() && text.size() <= kLongestIdTag;
}

std::string preset(std::string_view words, OcppLink& link, const OcppLink::SendLine& say) {
  const size_t space = words.find(' ');
  const std::string key(words.substr(0, space));
  const std::string digits(space == std::string_view::npos ? "" : words.substr(space + 1));
  const std::string value = digits == "-" ? std::string() : evidentity::decode_key(digits);
  if (key.empty() || (value.empty() && digits != "-")) {
    return "preset wants a key and its value as pairs of hex digits, or -";
  }
  say("preset " + key + ' ' + link.preset(key, value));
  return {};
}

}  // namespace

bool is_test_line(std::string_view line) {
  const std::string_view verb = line.substr(0, line.find(' '));
  return verb == "card" || verb == "error" || verb == "preset";
}

std::string take_test_line(std::string_view line, OcppLink* link, const OcppLink::SendLine& say) {
  const size_t space = line.find(' ');
  const std::string_view verb = line.substr(0, space);
  const std::string_view value =
      space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
  if (link == nullptr) {
    return "card, error and preset want a program that runs MicroOcpp";
  }
  if (verb == "card") {
    if (!id_tag(value)) {
      return "card wants an id_tag, 1 to 20 characters ! to ~";
    }
    link->present(std::string(value));
    return {};
  }
  if (verb == "preset") {
    return preset(value, *link, say);
  }
  return !value.empty() && link->report_error(value == "-" ? std::string_view() : value)
             ? std::string()
             : "error wants an error code of OCPP 1.6, or -";
}

}  // namespace evhost
