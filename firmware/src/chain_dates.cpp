// SPDX-License-Identifier: Apache-2.0
#include "chain_dates.hpp"

#include <mbedtls/x509_crt.h>

#include <algorithm>

namespace {

std::int64_t seconds(const mbedtls_x509_time& t) {
  return evnet::unix_time(t.year, t.mon, t.day, t.hour, t.min, t.sec);
}

}  // namespace

void ChainDates::watch(mbedtls_ssl_config& config) {
  verdict_ = evnet::Dates::valid;
  seen_ = 0;
  ends_first_ = 0;
  mbedtls_ssl_conf_verify(&config, check, this);
}

// Once for each certificate of the chain, root first.
int ChainDates::check(void* self, mbedtls_x509_crt* certificate, int /*depth*/,
                      std::uint32_t* flags) {
  auto& chain = *static_cast<ChainDates*>(self);
  const evnet::Validity validity{seconds(certificate->valid_from), seconds(certificate->valid_to)};
  const evnet::Dates dates = evnet::judge(validity, chain.now_);
  if (dates == evnet::Dates::expired) {
    *flags |= MBEDTLS_X509_BADCERT_EXPIRED;
  } else if (dates == evnet::Dates::not_yet_valid) {
    *flags |= MBEDTLS_X509_BADCERT_FUTURE;
  }
  if (dates != evnet::Dates::valid) {
    chain.verdict_ = dates;
  }
  chain.ends_first_ =
      chain.seen_ == 0 ? validity.not_after_s : std::min(chain.ends_first_, validity.not_after_s);
  chain.seen_ += 1;
  return 0;  // the flags say it, and the handshake requires that there are none
}
