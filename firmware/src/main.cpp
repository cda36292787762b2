// SPDX-License-Identifier: Apache-2.0
// Start-up: read who we are, tell the core how we got here, start the tasks, and end.
#include <Arduino.h>
#include <esp_system.h>
#include <esp_task_wdt.h>

#include "csms_socket.hpp"
#include "evcore/types.hpp"
#include "factory_identity.hpp"
#include "files_task.hpp"
#include "health.hpp"
#include "nvs_store.hpp"
#include "tasks.hpp"
#include "unit_config.hpp"
#include "version.hpp"

namespace {

constexpr unsigned long kBaudrate = 115200;
constexpr std::uint32_t kWatchdogSeconds = 3;

Shared shared;
evidentity::Loaded unit;  // who we are; read once, then never changed

const char* reset_reason() {
  switch (esp_reset_reason()) {
    case ESP_RST_POWERON:
      return "power_on";
    case ESP_RST_EXT:
      return "external";
    case ESP_RST_SW:
      return "software";
    case ESP_RST_PANIC:
      return "panic";
    case ESP_RST_INT_WDT:
    case ESP_RST_TASK_WDT:
    case ESP_RST_WDT:
      return "watchdog";
    case ESP_RST_DEEPSLEEP:
      return "deep_sleep";
    case ESP_RST_BROWNOUT:
      return "brownout";
    default:
      return "unknown";
  }
}

// Half a firmware is worse than one that starts again: nobody would watch over the half.
void require(bool enough_memory) {
  if (!enough_memory) {
    Serial.println("[event] memory state=exhausted");
    Serial.flush();
    ESP.restart();
  }
}

const char* nvs_event() {
  switch (nvs_store::opened()) {
    case nvs_store::Opened::sound:
      return nullptr;
    case nvs_store::Opened::damaged:
      return "[event] nvs state=damaged";
    case nvs_store::Opened::kept:
      return "[event] nvs state=erased register=kept";
    case nvs_store::Opened::erased:
      return "[event] nvs state=erased register=lost";
    case nvs_store::Opened::failed:
      break;
  }
  return "[event] nvs state=failed";
}

void say_what_was_found() {
  if (const char* event = nvs_event()) {
    shared.lines.put(evcore::ConsoleLine(event));
  }
  for (const evidentity::Problem& problem : unit.problems) {
    evcore::ConsoleLine line("[event] identity field=");
    line.append(std::string_view(problem.key));
    line.append(std::string_view(" rule="));
    line.append(std::string_view(problem.rule));
    shared.lines.put(line);
  }
#if defined(EVTOOL_LAB)
  if (unit.from_secrets_h) {
    shared.lines.put(evcore::ConsoleLine("[event] identity source=secrets.h"));
  }
  if (factory_identity::tls_unverified(unit.identity)) {
    shared.lines.put(evcore::ConsoleLine("[event] tls verification=off"));
  }
#endif
}

void start_ocpp() {
  require(start_network_task(shared, unit.identity));
  require(start_ocpp_task(shared, unit.identity));
}

}  // namespace

// The only call of ours that Arduino makes before it opens the partition nvs, and erases it where
// it cannot. The answer: a new image is on trial until the files task says otherwise; Arduino would
// take it for good at once.
extern "C" bool verifyRollbackLater() {
  nvs_store::open_before_arduino();
  return true;
}

bool Shared::create() {
  snapshot.create();
  word.create();
  report.create();
  may_tell.create();
  requests.create(4);
  keys.create(32);
  lines.create(64);
  stores.create(4);
  return snapshot.created() && word.created() && report.created() && may_tell.created() &&
         requests.created() && keys.created() && lines.created() && stores.created();
}

void setup() {
  Serial.begin(kBaudrate);
  // Arduino has initialised the watchdog; a controller that stands still for this long starts
  // anew, and a start begins with the module off.
  esp_task_wdt_init(kWatchdogSeconds, true);
  // Arduino has the idle task of core 0 watched as well. A TLS handshake may keep it from running
  // for longer, and to restart the chip for that would end a charge.
  disableCore0WDT();
  require(shared.create() && csms_socket().create());
  unit = nvs_store::load_identity();

  evcore::Config config = unit_config();
  config.id_tag = evcore::FixedText<20>(unit.identity.local_id_tag);
  evcore::BootInfo boot_info;
  shared.reset_reason = reset_reason();
  boot_info.reset = evcore::FixedText<24>(shared.reset_reason);
  boot_info.version = evcore::FixedText<16>(kVersion);
  boot_info.build = evcore::FixedText<40>(kBuildId);
  boot_info.charge_point = evcore::FixedText<48>(unit.identity.charge_point);
  boot_info.energy_mwh = nvs_store::load_energy();

  // Control first: the module is told to be off before anything else has begun.
  require(start_control_task(shared, config, boot_info));
  require(start_console_task(shared));
  say_what_was_found();
  require(start_files_task(shared, unit.identity, unit.complete()));
  // Without a whole identity no CSMS is asked, so nothing permits, and the gate stays closed.
  require(start_health_task(shared, unit.complete() ? start_ocpp : nullptr));
}

void loop() { vTaskDelete(nullptr); }
