// SPDX-License-Identifier: Apache-2.0
#include "evidentity/identity.hpp"

#include "evidentity/url.hpp"

namespace evidentity {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  if (c >= 'A' && c <= 'F') {
    return c - 'A' + 10;
  }
  return -1;
}

bool all_hex(const std::string& text) {
  for (const char c : text) {
    if (hex_digit(c) < 0) {
      return false;
    }
  }
  return true;
}

bool printable(const std::string& text, size_t longest) {
  if (text.size() > longest) {
    return false;
  }
  for (const char c : text) {
    if (c < ' ' || c > '~') {
      return false;
    }
  }
  return true;
}

// The identity is a URL segment and an HTTP user-id, which may not hold a colon.
bool identity_text(const std::string& text) {
  if (text.empty() || !printable(text, 48)) {
    return false;
  }
  return text.find_first_of(" :=/()<>") == std::string::npos;
}

bool passphrase_text(const std::string& text) {
  if (text.empty()) {
    return true;
  }
  if (text.size() == 64) {
    return all_hex(text);
  }
  return text.size() >= 8 && printable(text, 63);
}

void require(std::vector<Problem>& problems, bool holds, const char* key, const char* rule) {
  if (!holds) {
    problems.push_back({key, rule});
  }
}

bool certificates_text(const std::string& text) {
  return text.find("-----BEGIN CERTIFICATE-----") != std::string::npos;
}

// Either form of PEM has the word where the key is encrypted, and base64 does not.
bool private_key_text(const std::string& text) {
  return text.find(" PRIVATE KEY-----") != std::string::npos &&
         text.find("ENCRYPTED") == std::string::npos;
}

bool sends_key(const Identity& identity) {
  return identity.security_profile == 1 || identity.security_profile == 2;
}

void check_client(const Identity& identity, std::vector<Problem>& problems) {
  if (identity.security_profile != 3) {
    return;
  }
  require(problems, certificates_text(identity.client_chain), "client_cert",
          "profile_3_needs_a_PEM_chain");
  require(problems, private_key_text(identity.client_key), "client_key",
          "profile_3_needs_a_PEM_key_not_encrypted");
}

void check_csms(const Identity& identity, std::vector<Problem>& problems) {
  Url url;
  const bool parsed = parse_url(identity.csms_url, url);
  require(problems, parsed, "csms_url", "ws://_or_wss://host[:port][/path]");
  const std::string& key = identity.authorization_key;
  const bool key_form = key.size() >= 32 && key.size() <= 40 && key.size() % 2 == 0 && all_hex(key);
  require(problems, key_form || (key.empty() && !sends_key(identity)), "auth_key",
          "32_to_40_hex_digits");
  require(problems, identity.security_profile <= 3, "sec_profile", "0_to_3");
  check_client(identity, problems);
  if (!parsed) {
    return;
  }
  require(problems, identity.security_profile < 2 || url.tls, "csms_url",
          "profiles_2_and_3_need_wss://");
  require(problems, !url.tls || !identity.ca_certificate.empty(), "ca_cert", "needed_for_wss://");
}

}  // namespace

std::vector<Problem> check_identity(const Identity& identity) {
  std::vector<Problem> problems;
  require(problems, identity_text(identity.charge_point), "cp_id",
          "1_to_48_printable_without_blank_or_:=/()<>");
  require(problems, !identity.vendor.empty() && printable(identity.vendor, 20), "vendor",
          "1_to_20_printable");
  require(problems, !identity.model.empty() && printable(identity.model, 20), "model",
          "1_to_20_printable");
  require(problems, printable(identity.serial, 25), "serial", "at_most_25_printable");
  check_csms(identity, problems);
  require(problems, !identity.wifi_ssid.empty() && identity.wifi_ssid.size() <= 32, "wifi_ssid",
          "1_to_32_bytes");
  require(problems, passphrase_text(identity.wifi_passphrase), "wifi_pass",
          "8_to_63_printable_or_64_hex_digits");
  require(problems, printable(identity.local_id_tag, 20), "id_tag", "at_most_20_printable");
  return problems;
}

Loaded load_identity(const NvsReader& nvs) {
  Loaded loaded;
  Identity& identity = loaded.identity;
  struct Text {
    const char* key;
    std::string* out;
    bool required;
  };
  const Text texts[] = {
      {"cp_id", &identity.charge_point, true},
      {"vendor", &identity.vendor, true},
      {"model", &identity.model, true},
      {"serial", &identity.serial, true},
      {"csms_url", &identity.csms_url, true},
      {"auth_key", &identity.authorization_key, false},
      {"wifi_ssid", &identity.wifi_ssid, true},
      {"wifi_pass", &identity.wifi_passphrase, false},
      {"ca_cert", &identity.ca_certificate, false},
      {"client_cert", &identity.client_chain, false},
      {"client_key", &identity.client_key, false},
      {"id_tag", &identity.local_id_tag, false},
  };
  std::vector<Problem> missing;
  for (const Text& text : texts) {
    if (nvs.get_str(text.key, *text.out)) {
      loaded.present = true;
    } else if (text.required) {
      missing.push_back({text.key, "missing"});
    }
  }
  uint8_t schema = 0;
  if (!nvs.get_u8("schema", schema)) {
    missing.push_back({"schema", "missing"});
  } else {
    loaded.present = true;
    if (schema != kSchema) {
      missing.push_back({"schema", "written_for_another_firmware"});
    }
  }
  if (!nvs.get_u8("sec_profile", identity.security_profile)) {
    missing.push_back({"sec_profile", "missing"});
  }
  loaded.problems = missing;
  for (const Problem& problem : check_identity(identity)) {
    bool named = false;
    for (const Problem& before : missing) {
      named = named || std::string(before.key) == problem.key;
    }
    if (!named) {
      loaded.problems.push_back(problem);
    }
  }
  return loaded;
}

std::string decode_key(const std::string& hex) {
  std::string bytes;
  if (hex.size() % 2 != 0 || !all_hex(hex)) {
    return bytes;
  }
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes += static_cast<char>(hex_digit(hex[i]) * 16 + hex_digit(hex[i + 1]));
  }
  return bytes;
}

std::string basic_credentials(const Identity& identity) {
  const std::string key = decode_key(identity.authorization_key);
  if (!sends_key(identity) || key.empty()) {
    return {};
  }
  return identity.charge_point + ":" + key;
}

std::string base64(const std::string& bytes) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = bytes.size() - i;
    uint32_t group = static_cast<uint32_t>(static_cast<unsigned char>(bytes[i])) << 16;
    if (left > 1) {
      group |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[i + 1])) << 8;
    }
    if (left > 2) {
      group |= static_cast<unsigned char>(bytes[i + 2]);
    }
    out += digits[(group >> 18) & 63];
    out += digits[(group >> 12) & 63];
    out += left > 1 ? digits[(group >> 6) & 63] : '=';
    out += left > 2 ? digits[group & 63] : '=';
  }
  return out;
}

}  // namespace evidentity
