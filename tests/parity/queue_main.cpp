// SPDX-License-Identifier: Apache-2.0
// A caller that does not fetch its outputs: the off command must be first, and the last command.
#include <iostream>

#include "evcore/can_tables.hpp"
#include "evcore/controller.hpp"

namespace {

using evcore::can_tables::ChargeRequest;
using evcore::can_tables::ControlRequest;
using evcore::can_tables::TelemetryReply;

evcore::CanFrame frame(std::uint32_t can_id, std::array<std::uint8_t, 8> data) {
  evcore::CanFrame made;
  made.can_id = can_id;
  made.dlc = 8;
  made.data = data;
  return made;
}

// Opens the gate, lets `ticks` of 10 ms pass, withdraws the permission, and only then fetches.
bool off_is_first_and_last(int ticks) {
  evcore::Controller controller(evcore::Config{}, evcore::BootInfo{});
  controller.boot(0);
  controller.on_bus(0, evcore::BusState::running, 0);
  controller.on_frame(0, frame(ChargeRequest::kId, {0x02, 0xD0, 0x01, 0x2C}), 0);
  controller.on_frame(0, frame(TelemetryReply::kId, {1, 0x80, 0, 0, 0, 0, 1, 0}), 0);
  controller.on_ocpp({true, true, true, evcore::kNoLimit}, 0);
  if (!controller.snapshot(0).energised) {
    return false;
  }
  for (int tick = 1; tick <= ticks; ++tick) {
    controller.tick(tick * 10);
  }
  controller.on_ocpp({true, false, false, evcore::kNoLimit}, ticks * 10);
  evcore::Output output;
  bool first = true;
  bool off_came_first = false;
  bool off_came_last = false;
  while (controller.pop(output)) {
    const bool command = output.kind == evcore::OutputKind::can &&
                         output.frame.can_id == ControlRequest::kId && output.frame.data[1] == 0x32;
    if (first) {
      off_came_first = command && output.urgent && output.frame.data[3] == 1;
    }
    if (command) {
      off_came_last = output.frame.data[3] == 1;
    }
    first = false;
  }
  return off_came_first && off_came_last;
}

}  // namespace

int main() {
  for (const int ticks : {0, 1, 10, 50, 250}) {
    if (!off_is_first_and_last(ticks)) {
      std::cout << "after " << ticks << " ticks\n";
      return 1;
    }
  }
  return 0;
}
