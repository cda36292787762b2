// SPDX-License-Identifier: Apache-2.0
#include "csms_client.hpp"

#include <WiFi.h>

#include <cstdlib>
#include <memory>

#include "verified_client.hpp"

namespace {

constexpr const char* kSubprotocol = "ocpp1.6";
constexpr std::int32_t kConnectMs = 5000;

}  // namespace

void CsmsClient::begin(const evidentity::Url& url, const evidentity::Identity& identity) {
  WebSocketsClient::begin(url.host.c_str(), url.port, url.path.c_str(), kSubprotocol);
  _client.isSSL = url.tls;
  identity_ = &identity;
}

CsmsClient::Outcome CsmsClient::connect(const evnet::Reading& now) {
  drop();
  status_ = 0;
  certificates_end_ = 0;
  // What an earlier server answered would be offered to this one.
  _client.cProtocol = kSubprotocol;
  // Nor do pings that an earlier connection did not answer count for this one.
  _client.pongTimeoutCount = 0;
  _client.pongReceived = true;
  _client.lastPing = millis();
  if (_client.isSSL) {
    const Outcome outcome = connect_tls(now);
    if (outcome != Outcome::opening) {
      return outcome;
    }
  } else {
    auto tcp = std::unique_ptr<WiFiClient>(new WiFiClient());
    if (tcp->connect(_host.c_str(), _port, kConnectMs) == 0) {
      return Outcome::unreachable;
    }
    _client.tcp = tcp.release();
  }
  connectedCb();
  return Outcome::opening;
}

CsmsClient::Outcome CsmsClient::connect_tls(const evnet::Reading& now) {
  const std::string& ca = identity_->ca_certificate;
  const bool shows_own = identity_->security_profile == 3;
#if defined(EVTOOL_LAB)
  if (ca.empty() && !shows_own) {
    auto unverified = std::unique_ptr<WiFiClientSecure>(new WiFiClientSecure());
    unverified->setInsecure();
    if (unverified->connect(_host.c_str(), _port, kConnectMs) == 0) {
      return Outcome::unreachable;
    }
    _client.ssl = unverified.release();
    _client.tcp = _client.ssl;
    return Outcome::opening;
  }
#endif
  if (ca.empty()) {
    return Outcome::unreachable;
  }
  auto tls = std::unique_ptr<VerifiedClient>(new VerifiedClient(ca.c_str(), now));
  if (shows_own) {
    tls->show(identity_->client_chain.c_str(), identity_->client_key.c_str());
  }
  if (tls->connect(_host.c_str(), _port, kConnectMs) == 0) {
    return failure(*tls);
  }
  certificates_end_ = tls->chain().ends_first();
  _client.ssl = tls.release();
  _client.tcp = _client.ssl;
  return Outcome::opening;
}

CsmsClient::Outcome CsmsClient::failure(const VerifiedClient& tls) {
  switch (tls.chain().verdict()) {
    case evnet::Dates::expired:
      return Outcome::expired;
    case evnet::Dates::not_yet_valid:
      return Outcome::not_yet_valid;
    case evnet::Dates::valid:
      break;
  }
  if (tls.refused()) {
    return Outcome::untrusted;
  }
  return tls.rejected() ? Outcome::rejected : Outcome::unreachable;
}

void CsmsClient::turn() {
  if (idle()) {
    return;
  }
  handleClientData();
  if (_client.status == WSC_CONNECTED) {
    handleHBPing();
    handleHBTimeout(&_client);
  }
}

// The library deletes the client of a connection that it has closed itself, but not of one that it
// only found to be closed.
void CsmsClient::drop() {
  if (_client.ssl != nullptr) {
    delete _client.ssl;
  } else {
    delete _client.tcp;
  }
  _client.ssl = nullptr;
  _client.tcp = nullptr;
}

void CsmsClient::runCbEvent(WStype_t type, std::uint8_t* payload, size_t length) {
  if (type == WStype_CONNECTED) {
    status_ = _client.cCode;
    if (_client.cProtocol != kSubprotocol) {
      disconnect();  // whatever it speaks, it is not OCPP 1.6
      return;
    }
  } else if (type == WStype_DISCONNECTED && payload != nullptr) {
    // "... HTTP 401", the library's own text
    const std::string reason(reinterpret_cast<const char*>(payload), length);
    const size_t at = reason.find("HTTP ");
    status_ = at == std::string::npos ? 0 : std::atoi(reason.c_str() + at + 5);
  }
  WebSocketsClient::runCbEvent(type, payload, length);
}
