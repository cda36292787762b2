// SPDX-License-Identifier: Apache-2.0
// What GetDiagnostics uploads. None of it may be a secret: the report goes wherever the CSMS says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>

#include "evidentity/identity.hpp"

namespace evdiagnostics {

// The newest console lines, at most kBytes of them. Any task may add and read.
class RecentLines {
 public:
  static constexpr std::size_t kBytes = 6144;

  // `uptime_ms` is milliseconds since the start.
  void add(std::int64_t uptime_ms, std::string_view line);
  // Oldest first, each with its uptime in seconds, ended by "\n".
  std::string text();

 private:
  std::mutex lock_;
  std::deque<std::string> lines_;
  std::size_t size_ = 0;
};

struct Facts {
  std::string version;
  std::string build;
  std::string reset;  // reason of the last start
  std::int64_t uptime_ms = 0;
  std::string health;  // lines of name=value, each ended by "\n"; may be empty
};

// `identity` without its secrets, `facts`, and `lines`. A line in which a secret stands, as it is,
// in hex or in base64, is left out: console lines hold none, and this is the last door.
std::string report(const evidentity::Identity& identity, const Facts& facts,
                   const std::string& lines);

// A file name for it that other units do not use: the identity, what is no letter, digit, "-", "_"
// or "." made "_".
std::string file_name(const std::string& charge_point);

}  // namespace evdiagnostics
