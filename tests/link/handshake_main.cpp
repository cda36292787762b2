// SPDX-License-Identifier: GPL-3.0-or-later
// One TLS handshake as Arduino's start_ssl_client makes it, with ChainDates on it; then the
// "credentials". usage: program port host ca.pem unix_s told [client.pem client.key]
// (test_certificate_check.py)
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "chain_dates.hpp"

namespace {

std::string text_of(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// setCertificate and setPrivateKey: what start_ssl_client makes of the two texts.
bool show(mbedtls_ssl_config& config, mbedtls_x509_crt& chain, mbedtls_pk_context& key,
          const std::string& chain_pem, const std::string& key_pem) {
  const auto* chain_text = reinterpret_cast<const unsigned char*>(chain_pem.c_str());
  const auto* key_text = reinterpret_cast<const unsigned char*>(key_pem.c_str());
  return mbedtls_x509_crt_parse(&chain, chain_text, chain_pem.size() + 1) >= 0 &&
         mbedtls_pk_parse_key(&key, key_text, key_pem.size() + 1, nullptr, 0) == 0 &&
         mbedtls_ssl_conf_own_cert(&config, &chain, &key) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6 && argc != 8) {
    return 2;
  }
  const evnet::Reading now{std::atoll(argv[4]), std::atoi(argv[5]) != 0};
  mbedtls_net_context socket;
  mbedtls_ssl_context ssl;
  mbedtls_ssl_config config;
  mbedtls_x509_crt ca;
  mbedtls_x509_crt own_chain;
  mbedtls_pk_context own_key;
  mbedtls_entropy_context entropy;
  mbedtls_ctr_drbg_context random;
  mbedtls_net_init(&socket);
  mbedtls_ssl_init(&ssl);
  mbedtls_ssl_config_init(&config);
  mbedtls_x509_crt_init(&ca);
  mbedtls_x509_crt_init(&own_chain);
  mbedtls_pk_init(&own_key);
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
  if (ready && argc == 8) {
    ready = show(config, own_chain, own_key, text_of(argv[6]), text_of(argv[7]));
  }
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
  const bool alerted = shaken == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE;  // VerifiedClient::rejected
  std::printf("%s flags=%x ends=%lld dates=%s\n",
              open      ? "open"
              : alerted ? "alert"
                        : "refused",
              mbedtls_ssl_get_verify_result(&ssl), static_cast<long long>(dates.ends_first()),
              kVerdicts[static_cast<int>(dates.verdict())]);
  mbedtls_net_free(&socket);
  return 0;
}
