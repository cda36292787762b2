// SPDX-License-Identifier: Apache-2.0
// Asks firmware/lib/evnvs and src/factory_identity from the computer: one command a line, one
// answer a line (test_nvs_reader.py).
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "evidentity/identity.hpp"
#include "evnvs/keys.hpp"
#include "evnvs/partition.hpp"
#include "factory_identity.hpp"
#include "xts_aes.hpp"

namespace {

using Byte = std::uint8_t;
using Bytes = std::vector<Byte>;

class Cipher final : public evnvs::Cipher {
 public:
  explicit Cipher(const evnvs::Keys& keys) : cipher_(keys.data()) {}
  bool decrypt(const evnvs::Tweak& tweak, evnvs::Entry& entry) const override {
    cipher_.decrypt(tweak.data(), entry.data(), entry.size());
    return true;
  }

 private:
  xts::XtsAes256 cipher_;
};

struct Memory final : evnvs::Flash {
  Bytes bytes;
  bool read(std::uint32_t offset, Byte* out, std::size_t length) const override {
    if (offset > bytes.size() || length > bytes.size() - offset) return false;
    std::memcpy(out, bytes.data() + offset, length);
    return true;
  }
};

std::string to_hex(const std::string& bytes) {
  std::string hex;
  for (const char c : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<Byte>(c));
    hex += digits;
  }
  return hex;
}

struct Driver {
  Memory flash;
  evnvs::Keys keys{};
  evnvs::KeyState state = evnvs::KeyState::absent;

  std::string get(const evnvs::Partition& nvs, const std::string& space, const std::string& key,
                  const std::string& type) const {
    const Byte number = nvs.find_namespace(space);
    std::string text;
    if (type == "str") return nvs.get_str(number, key, text) ? "=" + to_hex(text) : "-";
    if (type == "blob") return nvs.get_blob(number, key, text) ? "=" + to_hex(text) : "-";
    Byte u8 = 0;
    std::uint32_t u32 = 0;
    std::uint64_t u64 = 0;
    if (type == "u8") return nvs.get_u8(number, key, u8) ? std::to_string(u8) : "-";
    if (type == "u32") return nvs.get_u32(number, key, u32) ? std::to_string(u32) : "-";
    return nvs.get_u64(number, key, u64) ? std::to_string(u64) : "-";
  }

  // Flips every bit from byte `first` to `last`: how many images were refused, read as before,
  // and (with the words that follow: namespace, key, type of each value) gave anything else.
  std::string flips(std::size_t first, std::size_t last, const std::vector<std::string>& w,
                    const evnvs::Partition& nvs) {
    std::vector<std::string> expected;
    for (std::size_t i = 3; i + 2 < w.size(); i += 3) {
      expected.push_back(get(nvs, w[i], w[i + 1], w[i + 2]));
    }
    int refused = 0, same = 0, invented = 0, believed = 0;
    for (std::size_t bit = first * 8; bit < last * 8; ++bit) {
      flash.bytes[bit / 8] ^= static_cast<Byte>(1U << bit % 8);
      const bool sound = nvs.sound();
      bool all = true;
      for (std::size_t i = 3; i + 2 < w.size(); i += 3) {
        const std::string now = get(nvs, w[i], w[i + 1], w[i + 2]);
        invented += now != "-" && now != expected[i / 3 - 1];
        all = all && now == expected[i / 3 - 1];
      }
      refused += !sound;
      same += sound && all;
      believed += sound && !all;
      flash.bytes[bit / 8] ^= static_cast<Byte>(1U << bit % 8);
    }
    std::ostringstream out;
    out << refused << ' ' << same << ' ' << believed << ' ' << invented;
    return out.str();
  }

  std::string identity(const evnvs::Partition* nvs) const {
    factory_identity::Found found;
    found.evcfg = nvs;
    found.keys = state;
    const evidentity::Loaded loaded = factory_identity::load(found);
    std::string out = loaded.complete() ? "complete" : "incomplete";
    if (loaded.from_secrets_h) out += " secrets.h";
    if (factory_identity::tls_unverified(loaded.identity)) out += " tls_unverified";
    out += " cp_id=" + loaded.identity.charge_point;
    for (const evidentity::Problem& problem : loaded.problems) {
      out += std::string(" ") + problem.key + ":" + problem.rule;
    }
    return out;
  }

  std::string answer(const std::vector<std::string>& w) {
    if (w[0] == "image") {
      const std::string bytes = evidentity::decode_key(w.size() > 1 ? w[1] : "");
      flash.bytes.assign(bytes.begin(), bytes.end());
      return "ok";
    }
    if (w[0] == "keys") {
      evnvs::KeyRecord record{};
      record.fill(0xFF);
      const std::string bytes = evidentity::decode_key(w.size() > 1 ? w[1] : "");
      std::memcpy(record.data(), bytes.data(), std::min(bytes.size(), record.size()));
      state = evnvs::parse_keys(record, keys);
      return state == evnvs::KeyState::absent    ? "absent"
             : state == evnvs::KeyState::present ? "present"
                                                 : "damaged";
    }
    const Cipher cipher(keys);
    const evnvs::Partition nvs(flash, static_cast<std::uint32_t>(flash.bytes.size()),
                               state == evnvs::KeyState::present ? &cipher : nullptr);
    if (w[0] == "sound") return nvs.sound() ? "yes" : "no";
    if (w[0] == "lost") return nvs.lost_page() ? "yes" : "no";
    if (w[0] == "get") return get(nvs, w[1], w[2], w[3]);
    if (w[0] == "flips") return flips(std::stoul(w[1]), std::stoul(w[2]), w, nvs);
    if (w[0] == "identity") return identity(flash.bytes.empty() ? nullptr : &nvs);
    return "?";
  }
};

}  // namespace

int main() {
  Driver driver;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::stringstream stream(line);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word);
    std::printf("%s\n", words.empty() ? "?" : driver.answer(words).c_str());
    std::fflush(stdout);
  }
}
