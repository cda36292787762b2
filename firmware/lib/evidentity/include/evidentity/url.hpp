// SPDX-License-Identifier: Apache-2.0
// The CSMS address: endpoint + "/" + identity, appended once (OCPP-J 1.6, 3.1.1).
#pragma once

#include <cstdint>
#include <string>

namespace evidentity {

struct Url {
  bool tls = false;
  std::string host;
  uint16_t port = 0;
  std::string path;  // begins with "/"
};

// False, with `out` untouched, unless `text` is ws://host[:port][/path] or wss://... An IPv6
// host stands in brackets; user information and fragments are refused.
bool parse_url(const std::string& text, Url& out);

// `endpoint` with the percent-encoded identity as its last path segment. An endpoint that
// already ends in it (with or without a slash) is not given a second one.
std::string charge_point_url(const std::string& endpoint, const std::string& identity);

}  // namespace evidentity
