// SPDX-License-Identifier: Apache-2.0
#include "verified_client.hpp"

#include <mbedtls/ssl.h>
#include <mbedtls/x509.h>

namespace {

constexpr unsigned long kHandshakeSeconds = 30;

}  // namespace

VerifiedClient::VerifiedClient(const char* ca, const evnet::Reading& now) : chain_(now) {
  setCACert(ca);
  setHandshakeTimeout(kHandshakeSeconds);
}

void VerifiedClient::show(const char* chain, const char* key) {
  setCertificate(chain);
  setPrivateKey(key);
}

int VerifiedClient::connect(IPAddress address, uint16_t port) {
  chain_.watch(sslclient->ssl_conf);
  return checked(WiFiClientSecure::connect(address, port));
}

// start_ssl_client sets the configuration's defaults, which leave the callback alone; a core that
// drops it does not pass.
int VerifiedClient::connect(const char* host, uint16_t port) {
  chain_.watch(sslclient->ssl_conf);
  return checked(WiFiClientSecure::connect(host, port));
}

bool VerifiedClient::refused() const { return _lastError == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED; }

bool VerifiedClient::rejected() const { return _lastError == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE; }

int VerifiedClient::checked(int connected) {
  if (connected != 0 && !chain_.passed()) {
    stop();
    return 0;
  }
  return connected;
}
