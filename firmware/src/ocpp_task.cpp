// SPDX-License-Identifier: Apache-2.0
// MicroOcpp's only task: snapshots in, words out, every 10 ms.
#include <Arduino.h>
#include <esp_task_wdt.h>

#include <string>

#include "csms_socket.hpp"
#include "evdiagnostics/report.hpp"
#include "evocpp/charge_point.hpp"
#include "files_task.hpp"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "health.hpp"
#include "nvs_store.hpp"
#include "storage.hpp"
#include "tasks.hpp"
#include "unit_config.hpp"
#include "version.hpp"

namespace {

constexpr TickType_t kPeriod = pdMS_TO_TICKS(10);
constexpr UBaseType_t kPriority = 5;
constexpr BaseType_t kCore = 0;
constexpr std::uint32_t kStack = 12288;  // ArduinoJson documents and the library's call depth
constexpr TickType_t kAnswer = pdMS_TO_TICKS(100);  // the control task has its turn every 5 ms

struct Arguments {
  Shared& shared;
  const evidentity::Identity& identity;
};

// The core says what may be told; this task, which may wait for the flash, stores it first. Without
// an answer, or where the flash refuses, it tells what was stored before.
std::uint64_t durable_energy(Shared& shared, evcore::Report report) {
  std::uint64_t may_tell = 0;
  shared.may_tell.take(may_tell);  // an answer that came too late for an earlier question
  may_tell = 0;
  shared.report.put(report);
  shared.may_tell.take_within(may_tell, kAnswer);
  return nvs_store::keep_energy(may_tell);
}

std::string diagnostics(Shared& shared, const evidentity::Identity& identity) {
  evdiagnostics::Facts facts;
  facts.version = kVersion;
  facts.build = kBuildId;
  facts.reset = shared.reset_reason;
  facts.uptime_ms = uptime_ms();
  facts.health = evhealth::render_health(health_now());
  return evdiagnostics::report(identity, facts, shared.recent.text());
}

evocpp::Hooks hooks(Shared& shared, const evidentity::Identity& identity) {
  evocpp::Hooks hooks;
  hooks.files = file_worker();
  hooks.diagnostics = [&shared, &identity] { return diagnostics(shared, identity); };
  hooks.diagnostics_name = evdiagnostics::file_name(identity.charge_point);
  hooks.boot_nonce = (static_cast<std::uint64_t>(esp_random()) << 32U) | esp_random();
  hooks.reset = [](bool) { ESP.restart(); };
  hooks.durable_energy = [&shared](evcore::Report report) {
    return durable_energy(shared, report);
  };
  hooks.limit = {static_cast<float>(unit_config().max_current_ma) / 1000.0F,
                 static_cast<float>(unit_config().max_voltage_mv) / 1000.0F};
  hooks.tell_time = [](std::int64_t unix_s) { csms_socket().tell_time(unix_s); };
  hooks.set_ping_interval = [](std::uint32_t seconds) { csms_socket().set_ping_interval(seconds); };
  hooks.store_key = [](const char* hex) {
    if (!nvs_store::put_changed_key(hex)) {
      return false;
    }
    reconnect_with_new_key();
    return true;
  };
  return hooks;
}

void ocpp_task(void* argument) {
  const Arguments& arguments = *static_cast<Arguments*>(argument);
  Shared& shared = arguments.shared;
  const evidentity::Identity& identity = arguments.identity;
  evocpp::ChargePoint charge_point(
      csms_socket(), mount_storage(shared),
      {identity.vendor.c_str(), identity.model.c_str(), identity.serial.c_str(), kVersion},
      hooks(shared, identity));
  esp_task_wdt_add(nullptr);
  for (;;) {
    const evcore::Millis now = uptime_ms();
    evcore::Snapshot snapshot;
    if (shared.snapshot.take(snapshot)) {
      charge_point.set_inputs(snapshot);
    }
    OcppRequest request;
    while (shared.requests.take(request)) {
      const std::string text(request.text.view());
      request.start ? charge_point.start(text) : charge_point.stop(text);
    }
    charge_point.loop(now);
    set_charging(charge_point.charging());
    evcore::OcppWord word;
    if (charge_point.word_due(now, word)) {
      shared.word.put(word);
    }
    esp_task_wdt_reset();
    vTaskDelay(kPeriod);
  }
}

}  // namespace

bool start_ocpp_task(Shared& shared, const evidentity::Identity& identity) {
  static Arguments arguments{shared, identity};
  return xTaskCreatePinnedToCore(ocpp_task, "ocpp", kStack, &arguments, kPriority, nullptr,
                                 kCore) == pdPASS;
}
