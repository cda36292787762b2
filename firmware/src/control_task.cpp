// SPDX-License-Identifier: Apache-2.0
// The control task: the core's turn every 5 ms, whatever Wi-Fi and OCPP are doing.
#include <esp_task_wdt.h>
#include <esp_timer.h>

#include "evcore/controller.hpp"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "tasks.hpp"
#include "twai_bus.hpp"

namespace {

constexpr TickType_t kPeriod = pdMS_TO_TICKS(5);
constexpr evcore::Millis kSnapshotPeriodMs = 50;
constexpr UBaseType_t kPriority = 15;  // above everything of ours, below the Wi-Fi driver
constexpr BaseType_t kCore = 1;        // the Wi-Fi driver has core 0
constexpr std::uint32_t kStack = 6144;
constexpr int kFramesInOneTurn = 32;

class Control {
 public:
  Control(Shared& shared, const evcore::Config& config, const evcore::BootInfo& boot_info)
      : shared_(shared), buses_(config.buses), controller_(config, boot_info) {}

  [[noreturn]] void run() {
    esp_task_wdt_add(nullptr);
    const bool opened = bus_.open();
    controller_.boot(uptime_ms());
    carry_out();
    if (!opened) {
      say("[event] twai state=not_installed");
    }
    if (buses_ > 1) {
      // The core sees a second bus that is stopped, so the gate stays closed.
      say("[event] can bus=1 state=not_supported");
    }
    TickType_t wake = xTaskGetTickCount();
    for (;;) {
      turn(uptime_ms());
      esp_task_wdt_reset();
      vTaskDelayUntil(&wake, kPeriod);
    }
  }

 private:
  void turn(evcore::Millis now) {
    const evcore::BusState state = bus_.poll();
    if (!state_known_ || state != state_) {
      state_known_ = true;
      state_ = state;
      controller_.on_bus(evcore::kModuleBus, state, now);
      carry_out();
    }
    evcore::CanFrame frame;
    for (int i = 0; i < kFramesInOneTurn && bus_.receive(frame); ++i) {
      controller_.on_frame(evcore::kModuleBus, frame, now);
      carry_out();
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

  void carry_out() {
    while (controller_.pop(output_)) {
      switch (output_.kind) {
        case evcore::OutputKind::can:
          if (output_.bus == evcore::kModuleBus) {
            bus_.send(output_.frame, output_.urgent);
          }
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
          if (output_.bus == evcore::kModuleBus) {
            bus_.recover();
          }
          break;
      }
    }
  }

  void say(std::string_view text) { shared_.lines.put(evcore::ConsoleLine(text)); }

  Shared& shared_;
  std::uint8_t buses_;
  evcore::Controller controller_;
  TwaiBus bus_;
  evcore::Output output_;
  evcore::BusState state_ = evcore::BusState::stopped;
  bool state_known_ = false;
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
