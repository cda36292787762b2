// SPDX-License-Identifier: Apache-2.0
// The control task: the core's turn every 5 ms, whatever Wi-Fi and OCPP are doing.
#include <esp_task_wdt.h>
#include <esp_timer.h>

#include <array>

#include "evcan/bus_report.hpp"
#include "evcan/mcp2515.hpp"
#include "evcore/controller.hpp"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "mcp2515_port.hpp"
#include "tasks.hpp"
#include "twai_bus.hpp"

namespace {

constexpr TickType_t kPeriod = pdMS_TO_TICKS(kControlPeriodMs);
constexpr evcore::Millis kSnapshotPeriodMs = 50;
constexpr UBaseType_t kPriority = 15;  // above everything of ours, below the Wi-Fi driver
constexpr BaseType_t kCore = 1;        // the Wi-Fi driver has core 0
constexpr std::uint32_t kStack = 6144;
constexpr int kFramesInOneTurn = 32;  // of each bus
constexpr std::uint8_t kBmsBus = 1;   // where there are two

// A bus, and what has been said of it.
struct Bus {
  Bus(evcan::Controller& controller, std::uint8_t number) : can(controller), report(number) {}
  evcan::Controller& can;
  evcan::BusReport report;
  evcore::BusState state = evcore::BusState::stopped;
  bool state_known = false;
};

class Control {
 public:
  Control(Shared& shared, const evcore::Config& config, const evcore::BootInfo& boot_info)
      : shared_(shared),
        bus_count_(config.buses == 2 ? 2 : 1),
        controller_(config, boot_info),
        bms_can_(bms_port_, kBmsBusSettings) {}

  [[noreturn]] void run() {
    esp_task_wdt_add(nullptr);
    module_can_.open();
    controller_.boot(uptime_ms());
    carry_out();  // off goes out before anything else is touched
    if (bus_count_ > 1) {
      bms_port_.open();
      bms_can_.open();
    }
    TickType_t due = xTaskGetTickCount();
    for (;;) {
      turn(uptime_ms());
      esp_task_wdt_reset();
      due += kPeriod;
      rest_until(due);
    }
  }

 private:
  void turn(evcore::Millis now) {
    for (std::uint8_t bus = 0; bus < bus_count_; ++bus) {
      look_at(bus, now);
      fetch(bus, now);
    }
    // A word is taken out of its mailbox, so one that OCPP does not repeat grows old in the core.
    evcore::OcppWord word;
    if (shared_.word.take(word)) {
      controller_.on_ocpp(word, now);
      carry_out();
    }
    evcore::Report report{};
    if (shared_.report.take(report)) {
      controller_.on_report(report, now);
      carry_out();
      shared_.may_tell.put(controller_.snapshot(now).stored_mwh);
    }
    std::uint8_t key = 0;
    while (shared_.keys.take(key)) {
      controller_.on_key(key, now);
      carry_out();
    }
    controller_.tick(now);
    carry_out();
    if (now - told_at_ >= kSnapshotPeriodMs) {
      shared_.snapshot.put(controller_.snapshot(now));
      told_at_ = now;
    }
  }

  void look_at(std::uint8_t number, evcore::Millis now) {
    Bus& bus = buses_[number];
    const evcore::BusState state = bus.can.poll();
    if (!bus.state_known || state != bus.state) {
      bus.state_known = true;
      bus.state = state;
      controller_.on_bus(number, state, now);
      carry_out();
    }
    evcore::ConsoleLine line;
    while (bus.report.next(bus.can, state, now, line)) {
      shared_.lines.put(line);
    }
  }

  void fetch(std::uint8_t bus, evcore::Millis now) {
    evcore::CanFrame frame;
    for (int i = 0; i < kFramesInOneTurn && buses_[bus].can.receive(frame); ++i) {
      controller_.on_frame(bus, frame, now);
      carry_out();
    }
  }

  // The MCP2515 has room for two frames, and INT wakes this task for each: three may come in one
  // period. A turn that comes late is not made up for.
  void rest_until(TickType_t& due) {
    for (;;) {
      const TickType_t now = xTaskGetTickCount();
      const TickType_t left = due - now;
      if (left == 0 || left > kPeriod) {
        due = now;
        return;
      }
      if (ulTaskNotifyTake(pdTRUE, left) != 0) {
        fetch(kBmsBus, uptime_ms());
      }
    }
  }

  void carry_out() {
    while (controller_.pop(output_)) {
      switch (output_.kind) {
        case evcore::OutputKind::can:
          buses_[output_.bus].can.send(output_.frame, output_.urgent);
          break;
        case evcore::OutputKind::console:
          shared_.lines.put(output_.text);
          break;
        case evcore::OutputKind::ocpp_start:
        case evcore::OutputKind::ocpp_stop:
          shared_.requests.put({output_.kind == evcore::OutputKind::ocpp_start,
                                evcore::FixedText<20>(output_.text.view())});
          break;
        case evcore::OutputKind::store:
          shared_.stores.put(output_.value);  // the core stores nothing but the register
          break;
        case evcore::OutputKind::recover:
          buses_[output_.bus].can.recover();
          break;
      }
    }
  }

  Shared& shared_;
  std::uint8_t bus_count_;
  evcore::Controller controller_;
  TwaiBus module_can_;
  Mcp2515Port bms_port_;
  evcan::Mcp2515 bms_can_;
  std::array<Bus, evcore::kMaxBuses> buses_{Bus(module_can_, evcore::kModuleBus),
                                            Bus(bms_can_, kBmsBus)};
  evcore::Output output_;
  evcore::Millis told_at_ = 0;
};

void control_task(void* control) { static_cast<Control*>(control)->run(); }

}  // namespace

evcore::Millis uptime_ms() { return esp_timer_get_time() / 1000; }

bool start_control_task(Shared& shared, const evcore::Config& config,
                        const evcore::BootInfo& boot_info) {
  // In static memory: made once, never given back.
  static Control control(shared, config, boot_info);
  return xTaskCreatePinnedToCore(control_task, "control", kStack, &control, kPriority, nullptr,
                                 kCore) == pdPASS;
}
