// SPDX-License-Identifier: Apache-2.0
#include "factory_identity.hpp"

#include <algorithm>
#include <cstring>

#include "evidentity/url.hpp"

#if defined(EVTOOL_LAB) && __has_include("secrets.h")
#include "secrets.h"
#endif

namespace factory_identity {
namespace {

class Namespace : public evidentity::NvsReader {
 public:
  // `number` 0 for a namespace that is not there.
  Namespace(const evnvs::Partition* partition, std::uint8_t number)
      : partition_(partition), number_(number) {}
  bool get_str(const char* key, std::string& out) const override {
    return number_ != 0 && partition_->get_str(number_, key, out);
  }
  bool get_u8(const char* key, uint8_t& out) const override {
    return number_ != 0 && partition_->get_u8(number_, key, out);
  }

 private:
  const evnvs::Partition* partition_;
  std::uint8_t number_;
};

evidentity::Loaded unreadable() {
  evidentity::Loaded loaded;
  loaded.problems.push_back({evidentity::kPartition, "readable"});
  return loaded;
}

#if defined(EVTOOL_LAB)
void fall_back([[maybe_unused]] evidentity::Loaded& loaded) {
#if defined(SECRET_CHARGER_ID)
  loaded = {};
  evidentity::Identity& identity = loaded.identity;
  identity.charge_point = SECRET_CHARGER_ID;
  identity.vendor = SECRET_CHARGER_VENDOR;
  identity.model = SECRET_CHARGER_MODEL;
  identity.serial = SECRET_CHARGER_SERIAL;
  identity.csms_url = SECRET_CSMS_URL;
  identity.authorization_key = SECRET_AUTHORIZATION_KEY;
  identity.security_profile = SECRET_SECURITY_PROFILE;
  identity.wifi_ssid = SECRET_WIFI_SSID;
  identity.wifi_passphrase = SECRET_WIFI_PASS;
  identity.ca_certificate = SECRET_CA_CERTIFICATE;
#if defined(SECRET_CLIENT_KEY)  // one of an earlier evtool has none
  identity.client_chain = SECRET_CLIENT_CERTIFICATE;
  identity.client_key = SECRET_CLIENT_KEY;
#endif
  identity.local_id_tag = SECRET_LOCAL_ID_TAG;
  loaded.present = true;
  loaded.from_secrets_h = true;
  loaded.problems = evidentity::check_identity(identity);
#endif
}

// On the bench, and there alone, TLS may go unverified; never in profile 3, which Arduino cannot
// do unverified.
void forgive_missing_certificate(evidentity::Loaded& loaded) {
  if (loaded.identity.security_profile == 3) {
    return;
  }
  auto& problems = loaded.problems;
  problems.erase(std::remove_if(problems.begin(), problems.end(),
                                [](const evidentity::Problem& problem) {
                                  return std::strcmp(problem.key, "ca_cert") == 0;
                                }),
                 problems.end());
}
#endif

}  // namespace

evidentity::Loaded load(const Found& found) {
  std::uint8_t number = 0;
  if (found.evcfg != nullptr) {
    if (found.keys == evnvs::KeyState::damaged || !found.evcfg->sound()) {
      return unreadable();
    }
    number = found.evcfg->find_namespace(evidentity::kNamespace);
  }
  evidentity::Loaded loaded = evidentity::load_identity(Namespace(found.evcfg, number));
#if defined(EVTOOL_LAB)
  if (number == 0) {
    fall_back(loaded);
  }
  forgive_missing_certificate(loaded);
#endif
  return loaded;
}

bool tls_unverified(const evidentity::Identity& identity) {
  evidentity::Url url;
  return evidentity::parse_url(identity.csms_url, url) && url.tls &&
         identity.ca_certificate.empty();
}

}  // namespace factory_identity
