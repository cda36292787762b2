// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace evnet {

struct HttpUrl {
  bool tls = false;
  std::string host;
  std::uint16_t port = 0;
  std::string path;      // begins with "/", with the query
  std::string fragment;  // without "#"; never sent

  // scheme://host:port/path, as it is asked for.
  std::string text() const;
};

// False, with `out` untouched, unless `text` is http://host[:port][/path][#fragment] or https://...
// User information is refused: it would be a password in a message that is logged.
bool parse_http_url(const std::string& text, HttpUrl& out);

}  // namespace evnet
