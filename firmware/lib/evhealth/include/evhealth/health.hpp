// SPDX-License-Identifier: Apache-2.0
// How the unit is: lines for the console, and the text for GetDiagnostics. Numbers only, no secret.
#pragma once

#include <cstdint>
#include <string>

#include "evcore/fixed_text.hpp"
#include "evhealth/heap_watch.hpp"
#include "evhealth/resets.hpp"

namespace evhealth {

struct Health {
  Millis uptime_ms = 0;
  ResetCounts resets;
  bool core_dump = false;     // one waits in flash
  bool network_held = false;  // after a row of crashes
  Heap heap;
  std::uint32_t smallest_block = 0;   // of all largest blocks, bytes
  std::uint32_t storage_formats = 0;  // how often the file system was lost
};

// `[event] resets panics= brownouts= watchdogs= core_dump=`
evcore::ConsoleLine resets_line(const Health& health);
// `[event] heap free= lowest= block= smallest_block=`
evcore::ConsoleLine heap_line(const Health& health);
// `[event] crash_loop crashes= network=held for=`
evcore::ConsoleLine held_line(const Health& health);

// One `name=value` a line, each ended by LF.
std::string render_health(const Health& health);

}  // namespace evhealth
