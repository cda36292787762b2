// SPDX-License-Identifier: Apache-2.0
// Wi-Fi and the WebSocket. This task alone may wait for the network.
#include <Arduino.h>
#include <WebSocketsClient.h>
#include <WiFi.h>

#include <string>

#include "csms_socket.hpp"
#include "evidentity/url.hpp"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "nvs_store.hpp"
#include "tasks.hpp"

namespace {

constexpr UBaseType_t kPriority = 3;
constexpr BaseType_t kCore = 0;
constexpr std::uint32_t kStack = 12288;  // the TLS handshake is most of it
constexpr evcore::Millis kJoinAgainMs = 30000;
constexpr evcore::Millis kNewKeyDelayMs = 2000;  // the answer to the CSMS goes out first
constexpr unsigned long kReconnectMs = 5000;
constexpr std::uint32_t kPingMs = 15000;
constexpr std::uint32_t kPongMs = 3000;
constexpr std::uint8_t kMissedPongs = 2;

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
      client_.loop();
      // Not by its events alone: a Wi-Fi that was away for a moment comes back with the TCP
      // connection still alive, and of that there is no event.
      csms_socket().set_open(client_.isConnected());
      send_waiting();
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
    if (url.tls) {
      const std::string& certificate = identity_.ca_certificate;
#if !defined(EVTOOL_LAB)
      // Without a certificate this library turns the verification off and does not say so.
      if (certificate.empty()) {
        return;
      }
#endif
      client_.beginSslWithCA(url.host.c_str(), url.port, url.path.c_str(),
                             certificate.empty() ? nullptr : certificate.c_str(), "ocpp1.6");
    } else {
      client_.begin(url.host.c_str(), url.port, url.path.c_str(), "ocpp1.6");
    }
    authorize();
    client_.setReconnectInterval(kReconnectMs);
    client_.enableHeartbeat(kPingMs, kPongMs, kMissedPongs);
    client_.onEvent([this](WStype_t type, std::uint8_t* payload, size_t length) {
      on_event(type, payload, length);
    });
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
      client_.disconnect();  // and the reconnect interval brings it back
    }
  }

  void on_event(WStype_t type, std::uint8_t* payload, size_t length) {
    switch (type) {
      case WStype_CONNECTED:
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
  WebSocketsClient client_;
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
