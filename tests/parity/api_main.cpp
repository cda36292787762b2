// SPDX-License-Identifier: Apache-2.0
// What no line of the lockstep can say, but a driver can: length codes beyond 8, which are legal on
// the wire, times outside the clock, and limits below 0. Built with the sanitizers.
#include <iostream>
#include <limits>
#include <string>

#include "charging.hpp"

namespace {

using evcore::Millis;
using evcore::can_tables::ChargeRequest;
using evcore::can_tables::ControlReply;

// Everything that was printed, for there is a line with the frame's bytes among it.
std::string printed(evcore::Controller& controller) {
  std::string text;
  evcore::Output output;
  while (controller.pop(output)) {
    if (output.kind == evcore::OutputKind::console) {
      text.append(output.text.view()).append("\n");
    }
  }
  return text;
}

bool long_length_codes_mean_eight() {
  for (const std::uint8_t dlc : std::array<std::uint8_t, 3>{9, 15, 255}) {
    evcore::Controller controller(evcore::Config{}, evcore::BootInfo{});
    open_gate(controller, 0, dlc);
    controller.on_frame(0, frame(ControlReply::kId, {1, 0x32, 0, 1, 0, 0, 0, 0}, dlc), 0);
    controller.on_key('5', 0);
    const std::string text = printed(controller);
    if (!controller.snapshot(0).energised ||
        text.find("raw=02 D0 01 2C 00 00 00 00\n") == std::string::npos ||
        text.find("raw=01 32 00 01 00 00 00 00\n") == std::string::npos) {
      return false;
    }
  }
  return true;
}

bool times_outside_the_clock_stand_still() {
  constexpr Millis kFirst = std::numeric_limits<Millis>::min();
  constexpr Millis kLast = std::numeric_limits<Millis>::max();
  evcore::Controller controller(evcore::Config{}, evcore::BootInfo{});
  open_gate(controller, kFirst);
  controller.on_key('5', kFirst);
  if (!controller.snapshot(kFirst).energised) {
    return false;
  }
  controller.tick(kLast);
  controller.on_frame(0, frame(ChargeRequest::kId, {0x02, 0xD0, 0x01, 0x2C}), kFirst);
  const evcore::Snapshot last = controller.snapshot(kLast);
  return !last.energised && last.plugged;
}

bool limits_below_zero_permit_nothing() {
  for (const std::int32_t limit : {-2, std::numeric_limits<std::int32_t>::min()}) {
    evcore::Controller controller(evcore::Config{}, evcore::BootInfo{});
    open_gate(controller);
    controller.on_ocpp({true, true, true, limit}, 10);
    const evcore::Snapshot snapshot = controller.snapshot(10);
    if (snapshot.energised || snapshot.gate != evcore::GateReason::limit_zero ||
        snapshot.offered_ma != 0) {
      return false;
    }
  }
  return true;
}

}  // namespace

int main() {
  if (!long_length_codes_mean_eight()) {
    std::cout << "length codes beyond 8\n";
    return 1;
  }
  if (!times_outside_the_clock_stand_still()) {
    std::cout << "times outside the clock\n";
    return 1;
  }
  if (!limits_below_zero_permit_nothing()) {
    std::cout << "limits below 0\n";
    return 1;
  }
  return 0;
}
