// SPDX-License-Identifier: Apache-2.0
// Who this unit is: what provisioning wrote into the evcfg NVS partition.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace evidentity {

// Partition, namespace and schema of the factory data. Provisioning writes the same names.
constexpr const char* kPartition = "evcfg";
constexpr const char* kNamespace = "evcfg";
constexpr uint8_t kSchema = 1;

// One NVS namespace, read only. Each getter gives false where the key is absent, has another
// type, or cannot be read; `out` is then untouched.
class NvsReader {
 public:
  virtual ~NvsReader() = default;
  virtual bool get_str(const char* key, std::string& out) const = 0;
  virtual bool get_u8(const char* key, uint8_t& out) const = 0;
};

struct Identity {
  std::string charge_point;       // cp_id
  std::string vendor;             // vendor
  std::string model;              // model
  std::string serial;             // serial
  std::string csms_url;           // csms_url, without the charge point's identity
  std::string authorization_key;  // auth_key, hex digits
  uint8_t security_profile = 0;   // sec_profile
  std::string wifi_ssid;          // wifi_ssid
  std::string wifi_passphrase;    // wifi_pass, empty for an open network
  std::string ca_certificate;     // ca_cert, PEM, empty where TLS is not used
  std::string client_chain;       // client_cert, PEM, our own certificate first; in profile 3
  std::string client_key;         // client_key, PEM of its private key, not encrypted
  std::string local_id_tag;       // id_tag, empty forbids the console's `s`
};

// A key of the namespace, and the rule that its value breaks; never the value, which may be
// a secret. Both are literals without blanks, so that they fit a console record.
struct Problem {
  const char* key;
  const char* rule;
};

struct Loaded {
  Identity identity;
  bool present = false;         // the namespace holds anything at all
  bool from_secrets_h = false;  // compiled in: the lab environment's only
  std::vector<Problem> problems;
  bool complete() const { return present && problems.empty(); }
};

// Read and check the whole namespace; every problem is named, not only the first.
Loaded load_identity(const NvsReader& nvs);

// The rules alone, for an identity that comes from somewhere else (secrets.h).
std::vector<Problem> check_identity(const Identity& identity);

// The bytes that hex digits stand for: a key's, among others (OCPP-J 1.6, 6.2.2: the Basic password
// is the decoded key, which may hold NUL). Empty where `hex` is not an even number of hex digits.
std::string decode_key(const std::string& hex);

// identity ":" key bytes, the credentials of HTTP Basic; empty without a key, and in the profiles
// that send none: 0 has nothing to say, in 3 the certificate stands in its place.
std::string basic_credentials(const Identity& identity);

std::string base64(const std::string& bytes);

}  // namespace evidentity
