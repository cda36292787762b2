// SPDX-License-Identifier: Apache-2.0
// What a caller of the core sees and the lockstep's lines do not say; the twin
// of direct.py.
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "evcore/can_tables.hpp"
#include "evcore/controller.hpp"

namespace {

using evcore::Millis;
using evcore::can_tables::ChargeRequest;
using evcore::can_tables::ControlRequest;
using evcore::can_tables::TelemetryReply;

constexpr Millis kLatest = Millis{1} << 62U;

evcore::CanFrame frame(std::uint32_t can_id, std::array<std::uint8_t, 8> data) {
  evcore::CanFrame made;
  made.can_id = can_id;
  made.dlc = 8;
  made.data = data;
  return made;
}

const evcore::CanFrame kRequest =
    frame(ChargeRequest::kId, {0x02, 0xD0, 0x01, 0x2C});

// An input before the start, and a second start, do nothing.
void unstarted() {
  evcore::Controller controller(evcore::Config{}, evcore::BootInfo{});
  controller.on_bus(0, evcore::BusState::running, 0);
  controller.on_frame(0, kRequest, 0);
  controller.on_ocpp({true, true, true, evcore::kNoLimit}, 0);
  controller.on_key('5', 0);
  controller.on_report(evcore::Report::transaction, 9000);
  controller.tick(9000);
  evcore::Output output;
  const evcore::Snapshot snapshot = controller.snapshot(0);
  std::printf("%d %d %d %d %d\n", controller.pop(output), snapshot.plugged,
              snapshot.transaction,
              snapshot.bus[0] == evcore::BusState::stopped,
              snapshot.view == evcore::View::mute);
  controller.boot(0);
  while (controller.pop(output)) {
  }
  controller.boot(0);
  std::printf("%d\n", controller.pop(output));
}

// Time neither begins before 0, nor goes back, nor beyond 2^62.
void odd_times() {
  for (const Millis age : {3000, 3001}) {
    evcore::Controller early(evcore::Config{}, evcore::BootInfo{});
    early.boot(-5);
    early.on_frame(0, kRequest, -3);
    early.tick(age);
    evcore::Controller back(evcore::Config{}, evcore::BootInfo{});
    back.boot(9000);
    back.on_frame(0, kRequest, 0);
    back.tick(9000 + age);
    evcore::Controller late(evcore::Config{}, evcore::BootInfo{});
    late.boot(0);
    late.on_frame(0, kRequest, kLatest - age);
    late.tick(INT64_MAX);
    std::printf("%d %d %d\n", early.snapshot(0).plugged,
                back.snapshot(0).plugged, late.snapshot(0).plugged);
  }
}

// A snapshot of a later time than the last input's knows what has become stale
// by then.
void later_snapshot() {
  evcore::Controller controller(evcore::Config{}, evcore::BootInfo{});
  controller.boot(0);
  controller.on_frame(0, kRequest, 0);
  std::printf("%d %d\n", controller.snapshot(3000).plugged,
              controller.snapshot(3001).plugged);
}

// A frame of CAN FD's length codes: no more than its 8 bytes are kept and
// shown.
void long_frame() {
  evcore::Controller controller(evcore::Config{}, evcore::BootInfo{});
  controller.boot(0);
  evcore::CanFrame request = kRequest;
  request.dlc = 9;
  controller.on_frame(0, request, 0);
  controller.on_key('1', 0);
  evcore::Output output;
  while (controller.pop(output)) {
    const std::string_view line = output.text.view();
    if (output.kind == evcore::OutputKind::console &&
        line.substr(0, 5) == "[bms]") {
      std::printf("%.*s\n", static_cast<int>(line.size()), line.data());
    }
  }
}

void print_frames(evcore::Controller &controller) {
  evcore::Output output;
  while (controller.pop(output)) {
    if (output.kind != evcore::OutputKind::can) {
      continue;
    }
    if (output.frame.can_id != ControlRequest::kId) {
      std::printf("bus=%d id=%08x urgent=%d\n", output.bus, output.frame.can_id,
                  output.urgent);
    } else {
      std::printf("bus=%d function=%02x switch=%d urgent=%d\n", output.bus,
                  output.frame.data[1], output.frame.data[3], output.urgent);
    }
  }
}

// Which commands are urgent, and which are left when nobody fetched any for a
// while.
void commands(bool fetched) {
  evcore::Controller controller(evcore::Config{}, evcore::BootInfo{});
  controller.boot(0);
  controller.on_bus(0, evcore::BusState::running, 0);
  controller.on_frame(0, kRequest, 0);
  controller.on_frame(
      0, frame(TelemetryReply::kId, {1, 0x80, 0, 0, 0, 0, 1, 0}), 0);
  controller.on_ocpp({true, true, true, evcore::kNoLimit}, 0);
  for (Millis now = 50; now < 1000; now += 50) {
    controller.tick(now);
    if (fetched) {
      print_frames(controller);
    }
  }
  controller.on_ocpp({true, false, false, evcore::kNoLimit}, 1000);
  print_frames(controller);
  for (Millis now = 1050; now < 2000; now += 50) {
    controller.tick(now);
    print_frames(controller);
  }
}

} // namespace

int main() {
  unstarted();
  odd_times();
  later_snapshot();
  long_frame();
  commands(true);
  commands(false);
  return 0;
}
