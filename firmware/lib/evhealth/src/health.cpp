// SPDX-License-Identifier: Apache-2.0
#include "evhealth/health.hpp"

#include <string_view>

namespace evhealth {
namespace {

constexpr Millis kSecond = 1000;

std::string_view core_dump(const Health& health) { return health.core_dump ? "kept" : "none"; }

template <typename Text>
void add(Text& text, std::string_view name, std::uint64_t value, std::string_view unit = "") {
  text.append(name);
  text.append_unsigned(value);
  text.append(unit);
}

void line(std::string& text, std::string_view name, std::string_view value) {
  text.append(name);
  text += '=';
  text.append(value);
  text += '\n';
}

void line(std::string& text, std::string_view name, std::uint64_t value) {
  line(text, name, std::string_view(std::to_string(value)));
}

}  // namespace

evcore::ConsoleLine resets_line(const Health& health) {
  evcore::ConsoleLine text("[event] resets");
  add(text, " panics=", health.resets.panics);
  add(text, " brownouts=", health.resets.brownouts);
  add(text, " watchdogs=", health.resets.watchdogs);
  text.append(" core_dump=");
  text.append(core_dump(health));
  return text;
}

evcore::ConsoleLine heap_line(const Health& health) {
  evcore::ConsoleLine text("[event] heap");
  add(text, " free=", health.heap.free, "B");
  add(text, " lowest=", health.heap.lowest_free, "B");
  add(text, " block=", health.heap.largest_block, "B");
  add(text, " smallest_block=", health.smallest_block, "B");
  return text;
}

evcore::ConsoleLine held_line(const Health& health) {
  evcore::ConsoleLine text("[event] crash_loop");
  add(text, " crashes=", health.resets.in_a_row);
  text.append(" network=held");
  add(text, " for=", static_cast<std::uint64_t>(kHoldMs / kSecond), "s");
  return text;
}

std::string render_health(const Health& health) {
  std::string text;
  line(text, "uptime_s", static_cast<std::uint64_t>(health.uptime_ms / kSecond));
  line(text, "panics", health.resets.panics);
  line(text, "brownouts", health.resets.brownouts);
  line(text, "watchdogs", health.resets.watchdogs);
  line(text, "crashes_in_a_row", health.resets.in_a_row);
  line(text, "network_held", health.network_held ? "yes" : "no");
  line(text, "core_dump", core_dump(health));
  line(text, "heap_free_bytes", health.heap.free);
  line(text, "heap_lowest_free_bytes", health.heap.lowest_free);
  line(text, "heap_largest_block_bytes", health.heap.largest_block);
  line(text, "heap_smallest_largest_block_bytes", health.smallest_block);
  line(text, "storage_formats", health.storage_formats);
  return text;
}

}  // namespace evhealth
