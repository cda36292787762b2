// SPDX-License-Identifier: Apache-2.0
// Starts that nobody asked for: how many there were, and what a row of them leads to.
//
// Whatever crashes a unit over and over is most likely what comes over the network, or a supply
// that the radio's current pulls down. So after kCrashesInARow starts of that kind, none of which
// lasted, nothing towards the CSMS is started for kHoldMs. Without a CSMS nobody permits, so the
// module stays off; the controller and the console run.
#pragma once

#include <cstdint>

namespace evhealth {

using Millis = std::int64_t;

enum class Reset : std::uint8_t {
  power_on,  // power, or the reset pin: a person was there
  wanted,    // by the firmware itself, or of a kind that is no crash
  panic,
  brownout,
  watchdog,
};

// What is kept in NVS. A count that is full stays full.
struct ResetCounts {
  std::uint32_t panics = 0;
  std::uint32_t brownouts = 0;
  std::uint32_t watchdogs = 0;
  std::uint32_t in_a_row = 0;  // since a start that lasted, or one by power_on
};

constexpr bool operator==(const ResetCounts& a, const ResetCounts& b) {
  return a.panics == b.panics && a.brownouts == b.brownouts && a.watchdogs == b.watchdogs &&
         a.in_a_row == b.in_a_row;
}
constexpr bool operator!=(const ResetCounts& a, const ResetCounts& b) { return !(a == b); }

// The counts after one start more. Unchanged after a usual one, so that it costs no write.
ResetCounts counted(ResetCounts before, Reset reset);

inline constexpr std::uint32_t kCrashesInARow = 5;
inline constexpr Millis kHoldMs = 600'000;
// A start that has had the network for this long is not one of a row.
inline constexpr Millis kLastsMs = 120'000;

class CrashGuard {
 public:
  explicit CrashGuard(std::uint32_t in_a_row)
      : held_(in_a_row >= kCrashesInARow), row_(in_a_row != 0) {}

  [[nodiscard]] bool held(Millis uptime) const { return held_ && uptime < kHoldMs; }
  // True once: the row is over, and is to be stored as 0.
  bool row_ended(Millis uptime);

 private:
  bool held_;
  bool row_;
};

}  // namespace evhealth
