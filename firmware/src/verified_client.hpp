// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <WiFiClientSecure.h>

#include "chain_dates.hpp"
#include "evnet/known_time.hpp"

// A TLS client that checks what Arduino's does not: the certificates' dates. Issuer and host name
// are checked by mbedTLS itself as soon as there is a CA certificate.
class VerifiedClient : public WiFiClientSecure {
 public:
  // `ca` is PEM, not empty, and lives as long as this object. `now` is what the dates are held to.
  VerifiedClient(const char* ca, const evnet::Reading& now);

  // Show this certificate, PEM with its chain, where the server asks for one. Both are not empty,
  // and live as long as this object.
  void show(const char* chain, const char* key);

  int connect(IPAddress address, uint16_t port) override;
  int connect(const char* host, uint16_t port) override;
  using WiFiClientSecure::connect;

  const ChainDates& chain() const { return chain_; }
  // The last connect() ended at the certificate: issuer, host name or dates.
  bool refused() const;
  // The last connect() ended with an alert of the server's: in profile 3 it does not take our
  // certificate, more often than not.
  bool rejected() const;

 private:
  int checked(int connected);

  ChainDates chain_;
};
