// SPDX-License-Identifier: Apache-2.0
// Asks firmware/lib/evnvs and src/factory_identity from the computer: one command a line, one
// answer a line (test_nvs_reader.py). AES is FIPS 197 as it stands there, slow and plain.
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

namespace {

using Byte = std::uint8_t;
using Bytes = std::vector<Byte>;

Byte twice(Byte a) { return static_cast<Byte>((a << 1) ^ ((a & 0x80) != 0 ? 0x1B : 0)); }
Byte times(Byte a, Byte b) {
  Byte product = 0;
  for (; b != 0; b >>= 1, a = twice(a)) product ^= (b & 1) != 0 ? a : 0;
  return product;
}

struct Tables {
  Byte box[256], inverse[256], by[4][256];
  Tables() {
    Byte p = 1, q = 1;
    do {
      p ^= twice(p);
      q ^= q << 1;
      q ^= q << 2;
      q ^= q << 4;
      if ((q & 0x80) != 0) q ^= 0x09;
      const auto turn = [q](int n) { return static_cast<Byte>((q << n) | (q >> (8 - n))); };
      box[p] = q ^ turn(1) ^ turn(2) ^ turn(3) ^ turn(4) ^ 0x63;
    } while (p != 1);
    box[0] = 0x63;
    const Byte factors[4] = {14, 11, 13, 9};
    for (int i = 0; i < 256; ++i) {
      inverse[box[i]] = static_cast<Byte>(i);
      for (int f = 0; f < 4; ++f) by[f][i] = times(static_cast<Byte>(i), factors[f]);
    }
  }
};
const Tables kTables;

class Aes256 {
 public:
  explicit Aes256(const Byte* key) {
    std::memcpy(words_, key, 32);
    Byte round = 1;
    for (int i = 8; i < 60; ++i) {
      Byte t[4];
      std::memcpy(t, words_[i - 1], 4);
      if (i % 8 == 0) {
        const Byte first = t[0];
        for (int j = 0; j < 3; ++j) t[j] = kTables.box[t[j + 1]];
        t[3] = kTables.box[first];
        t[0] ^= round;
        round = twice(round);
      } else if (i % 8 == 4) {
        for (Byte& b : t) b = kTables.box[b];
      }
      for (int j = 0; j < 4; ++j) words_[i][j] = words_[i - 8][j] ^ t[j];
    }
  }
  void encrypt(Byte* s) const {
    add(s, 0);
    for (int round = 1; round <= 14; ++round) {
      Byte t[16];
      for (int i = 0; i < 16; ++i) t[i] = kTables.box[s[(i + i % 4 * 4) % 16]];
      for (int c = 0; c < 16; c += 4) {
        const Byte* u = t + c;
        for (int r = 0; r < 4; ++r) {
          s[c + r] = round == 14 ? u[r]
                                 : twice(u[r]) ^ twice(u[(r + 1) % 4]) ^ u[(r + 1) % 4] ^
                                       u[(r + 2) % 4] ^ u[(r + 3) % 4];
        }
      }
      add(s, round);
    }
  }
  void decrypt(Byte* s) const {
    for (int round = 14; round >= 1; --round) {
      add(s, round);
      Byte t[16];
      for (int c = 0; c < 16; c += 4) {
        const Byte* u = s + c;
        for (int r = 0; r < 4; ++r) {
          t[c + r] = round == 14 ? u[r]
                                 : kTables.by[0][u[r]] ^ kTables.by[1][u[(r + 1) % 4]] ^
                                       kTables.by[2][u[(r + 2) % 4]] ^ kTables.by[3][u[(r + 3) % 4]];
        }
      }
      for (int i = 0; i < 16; ++i) s[(i + i % 4 * 4) % 16] = kTables.inverse[t[i]];
    }
    add(s, 0);
  }

 private:
  void add(Byte* s, int round) const {
    for (int i = 0; i < 16; ++i) s[i] ^= words_[round * 4 + i / 4][i % 4];
  }
  Byte words_[60][4];
};

class XtsAes256 : public evnvs::Cipher {
 public:
  explicit XtsAes256(const evnvs::Keys& keys) : data_(keys.data()), tweak_(keys.data() + 32) {}
  bool decrypt(const evnvs::Tweak& unit, Byte* entry) const override {
    Byte t[16];
    std::memcpy(t, unit.data(), 16);
    tweak_.encrypt(t);
    for (int block = 0; block < 2; ++block) {
      Byte* s = entry + block * 16;
      for (int i = 0; i < 16; ++i) s[i] ^= t[i];
      data_.decrypt(s);
      for (int i = 0; i < 16; ++i) s[i] ^= t[i];
      Byte carry = 0;
      for (Byte& b : t) {
        const Byte next = b >> 7;
        b = static_cast<Byte>((b << 1) | carry);
        carry = next;
      }
      if (carry != 0) t[0] ^= 0x87;
    }
    return true;
  }

 private:
  Aes256 data_, tweak_;
};

struct Memory : evnvs::Flash {
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
    const Byte number = nvs.find_namespace(space.c_str());
    std::string text;
    if (type == "str") return nvs.get_str(number, key.c_str(), text) ? "=" + to_hex(text) : "-";
    if (type == "blob") return nvs.get_blob(number, key.c_str(), text) ? "=" + to_hex(text) : "-";
    Byte u8 = 0;
    std::uint32_t u32 = 0;
    std::uint64_t u64 = 0;
    if (type == "u8") return nvs.get_u8(number, key.c_str(), u8) ? std::to_string(u8) : "-";
    if (type == "u32") return nvs.get_u32(number, key.c_str(), u32) ? std::to_string(u32) : "-";
    return nvs.get_u64(number, key.c_str(), u64) ? std::to_string(u64) : "-";
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
    const XtsAes256 cipher(keys);
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
