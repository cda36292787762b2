// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mbedtls/ssl.h>

#include <cstdint>

#include "evnet/known_time.hpp"

// The dates of every certificate in a chain that mbedTLS has built, the root's among them, checked
// inside the handshake: where one is wrong, nothing has been sent to the peer yet. Arduino's
// mbedTLS does not look at dates, because it is built without a calendar (MBEDTLS_HAVE_TIME_DATE).
class ChainDates {
 public:
  explicit ChainDates(const evnet::Reading& now) : now_(now) {}

  // Before a handshake. This object stays where it is as long as `config` is used.
  void watch(mbedtls_ssl_config& config);

  // Every certificate was looked at, and there was one: a TLS stack that never asks passes nothing.
  bool passed() const { return seen_ > 0 && verdict_ == evnet::Dates::valid; }
  evnet::Dates verdict() const { return verdict_; }
  // When the first certificate of the chain ends, seconds since 1970; 0 before a handshake.
  std::int64_t ends_first() const { return ends_first_; }

 private:
  static int check(void* self, mbedtls_x509_crt* certificate, int depth, std::uint32_t* flags);

  evnet::Reading now_;
  evnet::Dates verdict_ = evnet::Dates::valid;
  int seen_ = 0;
  std::int64_t ends_first_ = 0;
};
