// SPDX-License-Identifier: GPL-3.0-or-later
// One TLS handshake as Arduino's start_ssl_client makes it, with ChainDates on it; then the
// "credentials". usage: program port host ca.pem unix_s told   (test_certificate_check.py)
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "chain_dates.hpp"

int main(int argc, char** argv) {
  if (argc != 6) {
    return 2;
  }
  const evnet::Reading now{std::atoll(argv[4]), std::atoi(argv[5]) != 0};
  mbedtls_net_context socket;
  mbedtls_ssl_context ssl;
  mbedtls_ssl_config config;
  mbedtls_x509_crt ca;
  mbedtls_entropy_context entropy;
  mbedtls_ctr_drbg_context random;
  mbedtls_net_init(&socket);
  mbedtls_ssl_init(&ssl);
  mbedtls_ssl_config_init(&config);
  mbedtls_x509_crt_init(&ca);
  mbedtls_entropy_init(&entropy);
  mbedtls_ctr_drbg_init(&random);

  ChainDates dates(now);
  dates.watch(config);  // before the defaults, as in VerifiedClient
  bool ready =
      mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, nullptr, 0) == 0 &&
      mbedtls_net_connect(&socket, "127.0.0.1", argv[1], MBEDTLS_NET_PROTO_TCP) == 0 &&
      mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                  MBEDTLS_SSL_PRESET_DEFAULT) == 0 &&
      mbedtls_x509_crt_parse_file(&ca, argv[3]) == 0;
  mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_REQUIRED);
  mbedtls_ssl_conf_ca_chain(&config, &ca, nullptr);
  mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random);
  ready = ready && mbedtls_ssl_set_hostname(&ssl, argv[2]) == 0 &&
          mbedtls_ssl_setup(&ssl, &config) == 0;
  if (!ready) {
    return 2;
  }
  mbedtls_ssl_set_bio(&ssl, &socket, mbedtls_net_send, mbedtls_net_recv, nullptr);
  const int shaken = mbedtls_ssl_handshake(&ssl);
  const bool open = shaken == 0 && dates.passed();
  if (open) {
    static const char kCredentials[] = "credentials";
    mbedtls_ssl_write(&ssl, reinterpret_cast<const unsigned char*>(kCredentials),
                      sizeof kCredentials - 1);
    mbedtls_ssl_close_notify(&ssl);
  }
  static const char* const kVerdicts[] = {"valid", "expired", "not_yet_valid"};
  std::printf("%s flags=%x ends=%lld dates=%s\n", open ? "open" : "refused",
              mbedtls_ssl_get_verify_result(&ssl), static_cast<long long>(dates.ends_first()),
              kVerdicts[static_cast<int>(dates.verdict())]);
  mbedtls_net_free(&socket);
  return 0;
}
