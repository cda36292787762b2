// SPDX-License-Identifier: Apache-2.0
#include "evhealth/resets.hpp"

namespace evhealth {
namespace {

void count(std::uint32_t& value) {
  if (value != UINT32_MAX) {
    ++value;
  }
}

}  // namespace

ResetCounts counted(ResetCounts before, Reset reset) {
  switch (reset) {
    case Reset::power_on:
      before.in_a_row = 0;
      return before;
    case Reset::wanted:
      return before;
    case Reset::panic:
      count(before.panics);
      break;
    case Reset::brownout:
      count(before.brownouts);
      break;
    case Reset::watchdog:
      count(before.watchdogs);
      break;
  }
  count(before.in_a_row);
  return before;
}

bool CrashGuard::row_ended(Millis uptime) {
  const Millis network_since = held_ ? kHoldMs : 0;
  if (!row_ || uptime < network_since + kLastsMs) {
    return false;
  }
  row_ = false;
  return true;
}

}  // namespace evhealth
