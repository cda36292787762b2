// SPDX-License-Identifier: Apache-2.0
// A controller before its start: no input may have an effect. The twin of unstarted_lines().
#include <cstdio>
#include <string>

#include "evcore/can_tables.hpp"
#include "evcore/controller.hpp"

int main() {
  evcore::Controller controller(evcore::Config{}, evcore::BootInfo{});
  evcore::CanFrame frame;
  frame.can_id = evcore::can_tables::ChargeRequest::kId;
  frame.dlc = 8;
  controller.on_bus(0, evcore::BusState::running, 0);
  controller.on_frame(0, frame, 0);
  controller.on_ocpp({true, true, true, evcore::kNoLimit}, 0);
  controller.on_key('5', 0);
  controller.tick(9000);
  evcore::Output output;
  const evcore::Snapshot snapshot = controller.snapshot(9000);
  std::printf("%d%d%d", controller.pop(output), snapshot.plugged, snapshot.transaction);
  std::puts((std::string(evcore::name(snapshot.bus[0])) + std::string(evcore::name(snapshot.view)))
                .c_str());
  controller.boot(0);
  while (controller.pop(output)) {
  }
  controller.boot(0);
  std::printf("%d\n", controller.pop(output));
  return 0;
}
