// SPDX-License-Identifier: Apache-2.0
// AES-256 as FIPS 197 has it, and XTS around it: slow and plain, for the drivers of these tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace xts {

using Byte = std::uint8_t;

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
          t[c + r] = round == 14
                         ? u[r]
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

// `key`: 32 bytes for the data, 32 for the tweak (IEEE 1619). `unit`: 16 bytes, little-endian.
class XtsAes256 {
 public:
  explicit XtsAes256(const Byte* key) : data_(key), tweak_(key + 32) {}
  void decrypt(const Byte* unit, Byte* bytes, std::size_t length) const {
    Byte t[16];
    std::memcpy(t, unit, 16);
    tweak_.encrypt(t);
    for (Byte* s = bytes; s != bytes + length; s += 16) {
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
  }

 private:
  Aes256 data_, tweak_;
};

}  // namespace xts
