// SPDX-License-Identifier: Apache-2.0
#include "test_lines.hpp"

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

}  // namespace

std::string take_test_line(std::string_view line, OcppLink* link) {
  const size_t space = line.find(' ');
  const std::string_view verb = line.substr(0, space);
  const std::string_view value =
      space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
  if (link == nullptr) {
    return "card and error want a program that runs MicroOcpp";
  }
  if (verb == "card") {
    if (!id_tag(value)) {
      return "card wants an id_tag, 1 to 20 characters ! to ~";
    }
    link->present(std::string(value));
    return {};
  }
  return !value.empty() && link->report_error(value == "-" ? std::string_view() : value)
             ? std::string()
             : "error wants an error code of OCPP 1.6, or -";
}

}  // namespace evhost
