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

  int connect(IPAddress address, uint16_t port) override;
  int connect(const char* host, uint16_t port) override;
  using WiFiClientSecure::connect;

  const ChainDates& chain() const { return chain_; }
  // The last connect() ended at the certificate: issuer, host name or dates.
  bool refused() const;

 private:
  int checked(int connected);

  ChainDates chain_;
};
