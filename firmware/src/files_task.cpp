// SPDX-License-Identifier: Apache-2.0
#include "files_task.hpp"

#include <atomic>

#include "evidentity/url.hpp"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "http_transport.hpp"
#include "ota_slots.hpp"

namespace {

constexpr UBaseType_t kPriority = 1;
constexpr BaseType_t kCore = 0;
constexpr std::uint32_t kStack = 10240;  // the TLS handshake is most of it
constexpr TickType_t kPeriod = pdMS_TO_TICKS(10);

std::atomic<bool> charging_now{true};  // until OCPP has said that nothing charges
evupdate::Worker* the_worker = nullptr;

void files_task(void* worker) {
  for (;;) {
    static_cast<evupdate::Worker*>(worker)->step(uptime_ms());
    vTaskDelay(kPeriod);
  }
}

bool authentic(const evidentity::Identity& identity) {
  evidentity::Url url;
  return evidentity::parse_url(identity.csms_url, url) && url.tls &&
         !identity.ca_certificate.empty();
}

}  // namespace

bool start_files_task(Shared& shared, const evidentity::Identity& identity, bool with_ocpp) {
  charging_now = with_ocpp;
  evupdate::Worker::Rules rules;
  rules.authentic = authentic(identity);
  rules.charging = [] { return charging_now.load(); };
  rules.say = [&shared](const std::string& state) {
    shared.lines.put(evcore::ConsoleLine("[event] update state=" + state));
  };
  static OtaSlots slots;
  static HttpTransport transport(identity.ca_certificate);
  static evupdate::Worker worker(slots, transport, rules);
  the_worker = &worker;
  return xTaskCreatePinnedToCore(files_task, "files", kStack, &worker, kPriority, nullptr, kCore) ==
         pdPASS;
}

evupdate::Worker* file_worker() { return the_worker; }

void set_charging(bool charging) { charging_now = charging; }
