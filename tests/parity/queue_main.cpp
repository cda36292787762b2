// SPDX-License-Identifier: Apache-2.0
// A caller that does not fetch its outputs: the off command must be first, and the last command.
#include <iostream>

#include "charging.hpp"

namespace {

using evcore::can_tables::ControlRequest;

// Fetches everything: an urgent off must be the first, and no command to switch on may follow.
bool off_is_first_and_last(evcore::Controller& controller) {
  evcore::Output output;
  std::size_t count = 0;
  bool off_came_first = false;
  bool on_came = false;
  while (controller.pop(output) && count < 1000) {
    const bool command = output.kind == evcore::OutputKind::can &&
                         output.frame.can_id == ControlRequest::kId && output.frame.data[1] == 0x32;
    if (count == 0) {
      off_came_first = command && output.urgent && output.frame.data[3] == 1;
    }
    on_came = on_came || (command && output.frame.data[3] == 0);
    ++count;
  }
  return off_came_first && !on_came && count <= 48;
}

// Opens the gate, lets `ticks` of 10 ms pass, withdraws the permission, and only then fetches.
bool after_ticks(int ticks) {
  evcore::Controller controller(evcore::Config{}, evcore::BootInfo{});
  open_gate(controller);
  if (!controller.snapshot(0).energised) {
    return false;
  }
  for (int tick = 1; tick <= ticks; ++tick) {
    controller.tick(tick * 10);
  }
  controller.on_ocpp({true, false, false, evcore::kNoLimit}, ticks * 10);
  return off_is_first_and_last(controller);
}

// The same with a queue that is full of what may not be dropped for being a command.
bool behind_console_lines() {
  evcore::Controller controller(evcore::Config{}, evcore::BootInfo{});
  open_gate(controller);
  evcore::Output output;
  while (controller.pop(output)) {
  }
  for (int press = 0; press < 60; ++press) {
    controller.on_key('m', 0);
  }
  controller.on_ocpp({true, false, false, evcore::kNoLimit}, 0);
  return off_is_first_and_last(controller);
}

}  // namespace

int main() {
  for (const int ticks : {0, 1, 10, 50, 250}) {
    if (!after_ticks(ticks)) {
      std::cout << "after " << ticks << " ticks\n";
      return 1;
    }
  }
  if (!behind_console_lines()) {
    std::cout << "behind console lines\n";
    return 1;
  }
  return 0;
}
