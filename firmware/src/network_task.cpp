// SPDX-License-Identifier: Apache-2.0
// Wi-Fi and the WebSocket. This task alone may wait for the network.
#include <Arduino.h>
#include <WiFi.h>
#include <esp_sntp.h>

#include <ctime>
#include <string>

#include "csms_client.hpp"
#include "csms_socket.hpp"
#include "evidentity/url.hpp"
#include "evnet/backoff.hpp"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "nvs_store.hpp"
#include "tasks.hpp"
#include "unit_clock.hpp"

namespace {

constexpr UBaseType_t kPriority = 3;
constexpr BaseType_t kCore = 0;
constexpr std::uint32_t kStack = 12288;  // the TLS handshake is most of it
constexpr evcore::Millis kJoinAgainMs = 30000;
constexpr evcore::Millis kNewKeyDelayMs = 2000;  // the answer to the CSMS goes out first
constexpr std::uint32_t kPongMs = 3000;
constexpr std::uint8_t kMissedPongs = 2;
constexpr const char* kTimeServer = "pool.ntp.org";

std::atomic<bool> new_key{false};

class Network {
 public:
  Network(Shared& shared, const evidentity::Identity& identity)
      : shared_(shared), identity_(identity), key_(identity.authorization_key) {}

  [[noreturn]] void run() {
    WiFi.persistent(false);  // NVS has the passphrase once; twice would be once too often
    WiFi.mode(WIFI_STA);
    WiFi.setAutoReconnect(true);
    join(uptime_ms());
    for (;;) {
      turn(uptime_ms());
      vTaskDelay(pdMS_TO_TICKS(joined_ ? 5 : 100));
    }
  }

 private:
  void turn(evcore::Millis now) {
    const bool joined = WiFi.status() == WL_CONNECTED;
    if (joined != joined_) {
      joined_ = joined;
      lost_at_ = now;
      shared_.lines.put(
          evcore::ConsoleLine(joined ? "[event] wifi state=connected" : "[event] wifi state=lost"));
    }
    if (!joined) {
      csms_socket().set_open(false);
      if (now - lost_at_ >= kJoinAgainMs) {
        join(now);
      }
      return;
    }
    if (!begun_) {
      begin();
    }
    if (begun_) {
      take_new_key(now);
      take_time();
      set_ping_interval();
      keep_connected(now);
      // Not by its events alone: a Wi-Fi that was away for a moment comes back with the TCP
      // connection still alive, and of that there is no event.
      csms_socket().set_open(client_.isConnected());
      send_waiting();
    }
  }

  void keep_connected(evcore::Millis now) {
    if (!client_.idle()) {
      client_.turn();
      return;
    }
    if (tried_) {
      tried_ = false;
      if (client_.http_status() > 101) {
        say("refused http=" + std::to_string(client_.http_status()));
      }
      backoff_.ended(now, esp_random());
    }
    if (!backoff_.due(now)) {
      return;
    }
    tried_ = true;
    switch (client_.connect(unit_clock::now())) {
      case CsmsClient::Outcome::opening:
        break;
      case CsmsClient::Outcome::unreachable:
        say("unreachable");
        break;
      case CsmsClient::Outcome::untrusted:
        say("refused certificate=other_issuer_or_host");
        break;
      case CsmsClient::Outcome::expired:
        say("refused certificate=expired");
        break;
      case CsmsClient::Outcome::not_yet_valid:
        say("refused certificate=not_yet_valid");
        break;
      case CsmsClient::Outcome::rejected:
        say("refused tls=alert");
        break;
    }
  }

  void say(const std::string& state) {
    shared_.lines.put(evcore::ConsoleLine("[event] csms state=" + state));
  }

  // SNTP is not authenticated: it may not reach the flash, where it would outlive its server.
  void take_time() {
    if (sntp_get_sync_status() == SNTP_SYNC_STATUS_COMPLETED) {
      unit_clock::tell(static_cast<std::int64_t>(time(nullptr)));
    }
    std::int64_t told = 0;
    if (csms_socket().take_time(told)) {
      unit_clock::tell_by_csms(told, client_.certificates_end());
    }
  }

  void set_ping_interval() {
    const std::uint32_t interval_ms = csms_socket().ping_interval_s() * 1000U;
    if (interval_ms == ping_ms_) {
      return;
    }
    ping_ms_ = interval_ms;
    if (interval_ms == 0) {
      client_.disableHeartbeat();
    } else {
      client_.enableHeartbeat(interval_ms, kPongMs, kMissedPongs);
    }
  }

  void join(evcore::Millis now) {
    lost_at_ = now;
    WiFi.disconnect();
    const std::string& passphrase = identity_.wifi_passphrase;
    WiFi.begin(identity_.wifi_ssid.c_str(), passphrase.empty() ? nullptr : passphrase.c_str());
  }

  void begin() {
    evidentity::Url url;
    if (!evidentity::parse_url(
            evidentity::charge_point_url(identity_.csms_url, identity_.charge_point), url)) {
      return;  // load_identity has said so already
    }
    client_.begin(url, identity_);
    authorize();
    client_.onEvent([this](WStype_t type, std::uint8_t* payload, size_t length) {
      on_event(type, payload, length);
    });
    configTime(0, 0, kTimeServer);
    backoff_.start(uptime_ms(), esp_random());
    begun_ = true;
  }

  // setAuthorization(user, password) takes C strings, and a key's bytes may hold a NUL.
  void authorize() {
    evidentity::Identity identity;
    identity.charge_point = identity_.charge_point;
    identity.security_profile = identity_.security_profile;
    identity.authorization_key = key_;
    const std::string credentials = evidentity::basic_credentials(identity);
    const std::string header =
        credentials.empty() ? "" : "Authorization: Basic " + evidentity::base64(credentials);
    client_.setExtraHeaders(header.c_str());
  }

  void take_new_key(evcore::Millis now) {
    if (new_key.exchange(false)) {
      new_key_at_ = now + kNewKeyDelayMs;
    }
    if (new_key_at_ >= 0 && now >= new_key_at_) {
      new_key_at_ = -1;
      nvs_store::get_changed_key(key_);
      authorize();
      client_.disconnect();  // and the back-off brings it back
    }
  }

  void on_event(WStype_t type, std::uint8_t* payload, size_t length) {
    switch (type) {
      case WStype_CONNECTED:
        backoff_.opened(uptime_ms());
        csms_socket().set_open(true);
        break;
      case WStype_DISCONNECTED: {
        csms_socket().set_open(false);
        std::string unsent;
        while (csms_socket().next_to_send(unsent)) {
          // MicroOcpp repeats what matters when its time limit has passed.
        }
        break;
      }
      case WStype_TEXT:
        csms_socket().received(reinterpret_cast<const char*>(payload), length);
        break;
      default:
        break;
    }
  }

  void send_waiting() {
    std::string message;
    while (client_.isConnected() && csms_socket().next_to_send(message)) {
      client_.sendTXT(message.c_str(), message.size());
    }
  }

  Shared& shared_;
  const evidentity::Identity& identity_;
  std::string key_;
  evnet::Backoff backoff_;
  CsmsClient client_;
  std::uint32_t ping_ms_ = 0;
  bool tried_ = false;  // since the last wait
  bool begun_ = false;
  bool joined_ = false;
  evcore::Millis lost_at_ = 0;
  evcore::Millis new_key_at_ = -1;
};

void network_task(void* network) { static_cast<Network*>(network)->run(); }

}  // namespace

void reconnect_with_new_key() { new_key = true; }

bool start_network_task(Shared& shared, const evidentity::Identity& identity) {
  static Network network(shared, identity);
  return xTaskCreatePinnedToCore(network_task, "network", kStack, &network, kPriority, nullptr,
                                 kCore) == pdPASS;
}
