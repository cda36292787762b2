// SPDX-License-Identifier: Apache-2.0
// Every second: the heap's low-water mark, the row of crashes, and whether OCPP may start yet.
#include <esp_core_dump.h>
#include <esp_heap_caps.h>
#include <esp_system.h>

#include <mutex>

#include "evhealth/health.hpp"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "health.hpp"
#include "nvs_store.hpp"
#include "tasks.hpp"

namespace {

constexpr TickType_t kPeriod = pdMS_TO_TICKS(1000);
constexpr UBaseType_t kPriority = 1;
constexpr BaseType_t kCore = 0;
constexpr std::uint32_t kStack = 4096;

std::mutex latest_lock;
evhealth::Health latest;

evhealth::Reset reset_of(esp_reset_reason_t reason) {
  switch (reason) {
    case ESP_RST_POWERON:
    case ESP_RST_EXT:
      return evhealth::Reset::power_on;
    case ESP_RST_PANIC:
      return evhealth::Reset::panic;
    case ESP_RST_BROWNOUT:
      return evhealth::Reset::brownout;
    case ESP_RST_INT_WDT:
    case ESP_RST_TASK_WDT:
    case ESP_RST_WDT:
      return evhealth::Reset::watchdog;
    default:
      return evhealth::Reset::wanted;
  }
}

// This start among the others. The count is in RAM where NVS refuses it.
evhealth::ResetCounts count_this_start() {
  const evhealth::ResetCounts before = nvs_store::load_resets();
  const evhealth::ResetCounts now = evhealth::counted(before, reset_of(esp_reset_reason()));
  if (now != before) {
    nvs_store::keep_resets(now);
  }
  return now;
}

class Watch {
 public:
  Watch(Shared& shared, const evhealth::ResetCounts& resets, void (*start_ocpp)())
      : shared_(shared), guard_(resets.in_a_row), start_ocpp_(start_ocpp) {
    health_.resets = resets;
  }

  [[noreturn]] void run() {
    health_.core_dump = esp_core_dump_image_check() == ESP_OK;
    shared_.lines.put(evhealth::resets_line(health_));
    for (;;) {
      turn(uptime_ms());
      vTaskDelay(kPeriod);
    }
  }

 private:
  void turn(evcore::Millis now) {
    hold_or_start(now);
    if (guard_.row_ended(now)) {
      health_.resets.in_a_row = 0;
      nvs_store::keep_resets(health_.resets);
    }
    measure(now);
    health_.uptime_ms = now;
    const std::lock_guard<std::mutex> lock(latest_lock);
    latest = health_;
  }

  void hold_or_start(evcore::Millis now) {
    const bool held = guard_.held(now);
    if (held && !health_.network_held) {
      shared_.lines.put(evhealth::held_line(health_));
    } else if (!held && health_.network_held) {
      shared_.lines.put(evcore::ConsoleLine("[event] crash_loop network=started"));
    }
    health_.network_held = held;
    if (!held && start_ocpp_ != nullptr) {
      start_ocpp_();
      start_ocpp_ = nullptr;
    }
  }

  void measure(evcore::Millis now) {
    // Internal memory that C and C++ allocate from.
    constexpr std::uint32_t kHeap = MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT;
    health_.heap.free = heap_caps_get_free_size(kHeap);
    health_.heap.lowest_free = heap_caps_get_minimum_free_size(kHeap);
    health_.heap.largest_block = heap_caps_get_largest_free_block(kHeap);
    const bool tell = heap_watch_.turn(now, health_.heap);
    health_.smallest_block = heap_watch_.smallest_block();
    if (tell) {
      shared_.lines.put(evhealth::heap_line(health_));
    }
  }

  Shared& shared_;
  evhealth::CrashGuard guard_;
  evhealth::HeapWatch heap_watch_;
  evhealth::Health health_;
  void (*start_ocpp_)();
};

void health_task(void* watch) { static_cast<Watch*>(watch)->run(); }

}  // namespace

evhealth::Health health_now() {
  evhealth::Health health;
  {
    const std::lock_guard<std::mutex> lock(latest_lock);
    health = latest;
  }
  health.storage_formats = nvs_store::load_storage_formats();
  return health;
}

bool start_health_task(Shared& shared, void (*start_ocpp)()) {
  // Counted here, before the network begins: what crashes then is in the row.
  static Watch watch(shared, count_this_start(), start_ocpp);
  return xTaskCreatePinnedToCore(health_task, "health", kStack, &watch, kPriority, nullptr,
                                 kCore) == pdPASS;
}
