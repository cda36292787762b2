// SPDX-License-Identifier: Apache-2.0
// The console, and the flash: both can take their time, so neither is the control task's.
#include <Arduino.h>

#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "nvs_store.hpp"
#include "tasks.hpp"

namespace {

constexpr TickType_t kPeriod = pdMS_TO_TICKS(10);
constexpr UBaseType_t kPriority = 2;
constexpr BaseType_t kCore = 0;
constexpr std::uint32_t kStack = 4096;

void print(const evcore::ConsoleLine& line) {
  const std::string_view text = line.view();
  Serial.write(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  Serial.write("\r\n");
}

void console_task(void* argument) {
  Shared& shared = *static_cast<Shared*>(argument);
  for (;;) {
    while (Serial.available() > 0) {
      shared.keys.put(static_cast<std::uint8_t>(Serial.read()));
    }
    evcore::ConsoleLine line;
    while (shared.lines.take(line)) {
      print(line);
      shared.recent.add(uptime_ms(), line.view());
    }
    std::uint64_t energy_mwh = 0;
    while (shared.stores.take(energy_mwh)) {
      if (nvs_store::keep_energy(energy_mwh) < energy_mwh) {
        print(evcore::ConsoleLine("[event] store state=failed"));
      }
    }
    vTaskDelay(kPeriod);
  }
}

}  // namespace

bool start_console_task(Shared& shared) {
  return xTaskCreatePinnedToCore(console_task, "console", kStack, &shared, kPriority, nullptr,
                                 kCore) == pdPASS;
}
