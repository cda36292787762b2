// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <WebSocketsClient.h>

#include <string>

#include "evidentity/identity.hpp"
#include "evidentity/url.hpp"
#include "evnet/known_time.hpp"

class VerifiedClient;

// The WebSocket of the library, connected by us. The library's own loop() makes its TLS client
// itself, sends the credentials right after the handshake, and comes back every few seconds for
// ever; so it is never called, and inherited privately.
class CsmsClient : private WebSocketsClient {
 public:
  enum class Outcome : std::uint8_t {
    opening,
    unreachable,
    untrusted,
    expired,
    not_yet_valid,
    rejected
  };

  // `identity` is whole and lives as long as this object; its CA certificate is empty only where
  // TLS is not used, or in the lab.
  void begin(const evidentity::Url& url, const evidentity::Identity& identity);

  // Blocks for the TCP connect and the TLS handshake; then the upgrade is asked for, with the
  // credentials. WStype_CONNECTED tells of its success, WStype_DISCONNECTED of its refusal.
  Outcome connect(const evnet::Reading& now);
  // Receives, and pings. Call often while idle() is false.
  void turn();

  // No connection, nor one that is being opened.
  bool idle() { return !clientIsConnected(&_client); }
  // HTTP status of the last upgrade, 0 where there was none.
  int http_status() const { return status_; }
  // When the first certificate of the open connection ends; 0 where none was checked.
  std::int64_t certificates_end() const { return certificates_end_; }

  using WebSocketsClient::disableHeartbeat;
  using WebSocketsClient::disconnect;
  using WebSocketsClient::enableHeartbeat;
  using WebSocketsClient::isConnected;
  using WebSocketsClient::onEvent;
  using WebSocketsClient::sendTXT;
  using WebSocketsClient::setExtraHeaders;

 private:
  void runCbEvent(WStype_t type, std::uint8_t* payload, size_t length) override;
  Outcome connect_tls(const evnet::Reading& now);
  static Outcome failure(const VerifiedClient& tls);
  void drop();

  const evidentity::Identity* identity_ = nullptr;
  int status_ = 0;
  std::int64_t certificates_end_ = 0;
};
