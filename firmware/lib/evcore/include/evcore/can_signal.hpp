// SPDX-License-Identifier: Apache-2.0
// Where a signal lies in a frame, and how its bits get in and out.
//
// The twin of evtool/protocol/can_signal.py. Values are raw integers; scales belong to
// whoever reads them, so that both languages compute with integers alone.
#pragma once

#include <array>
#include <cstdint>

namespace evcore {

using CanData = std::array<std::uint8_t, 8>;

enum class ByteOrder : std::uint8_t {
  big_endian,     // Motorola: start_bit is the most significant bit
  little_endian,  // Intel: start_bit is the least significant bit
};

enum class SignalKind : std::uint8_t {
  unsigned_integer,
  signed_integer,  // two's complement
  float_bits,      // IEEE-754; extracted and inserted as the bits of the pattern
};

// A run of bits in 8 data bytes. The tables hold only runs that stay inside them; a decoder
// compares the frame's length with the message's kMinLength before it extracts anything.
struct Signal {
  std::uint8_t start_bit = 0;  // byte x 8 + bit, bit 0 being a byte's least significant
  std::uint8_t length = 1;     // 1 to 64 bits
  ByteOrder byte_order = ByteOrder::big_endian;
  SignalKind kind = SignalKind::unsigned_integer;

  // The bits as they stand, zero-extended.
  [[nodiscard]] constexpr std::uint64_t extract(const CanData& data) const {
    std::uint64_t raw = 0;
    for (std::uint8_t index = 0; index < length; ++index) {
      const std::uint8_t bit = bit_at(index);
      raw = (raw << 1U) | ((std::uint32_t{data[bit >> 3U]} >> (bit & 7U)) & 1U);
    }
    return raw;
  }

  // The value, sign-extended where the kind is signed_integer. A value of 64 bits that is not
  // signed may not fit: use extract.
  [[nodiscard]] constexpr std::int64_t extract_signed(const CanData& data) const {
    const std::uint64_t raw = extract(data);
    if (kind != SignalKind::signed_integer || ((raw >> (length - 1U)) & 1U) == 0) {
      return static_cast<std::int64_t>(raw);
    }
    // -(~x) - 1 stays inside int64 for every x with the top bit set; a plain cast would be
    // implementation-defined before C++20.
    const std::uint64_t extended = length < 64U ? raw | (~std::uint64_t{0} << length) : raw;
    return -static_cast<std::int64_t>(~extended) - 1;
  }

  // Writes the low `length` bits of `value`; all other bits of `data` stay. The caller has
  // checked or saturated the value: higher bits are dropped. A signed value is cast to uint64.
  constexpr void insert(CanData& data, std::uint64_t value) const {
    for (std::uint8_t index = length; index > 0; --index) {
      const std::uint8_t bit = bit_at(static_cast<std::uint8_t>(index - 1U));
      const auto mask = static_cast<std::uint8_t>(1U << (bit & 7U));
      std::uint8_t& byte = data[bit >> 3U];
      byte = static_cast<std::uint8_t>(
          (value & 1U) != 0 ? (byte | mask) : (byte & static_cast<std::uint8_t>(~mask)));
      value >>= 1U;
    }
  }

 private:
  // The DBC number of the bit that stands `index` places after the most significant one.
  [[nodiscard]] constexpr std::uint8_t bit_at(std::uint8_t index) const {
    if (byte_order == ByteOrder::little_endian) {
      return static_cast<std::uint8_t>(start_bit + length - 1U - index);
    }
    // Downwards inside a byte, then to the top of the next one: mirrored, that is a line.
    return mirrored(static_cast<std::uint8_t>(mirrored(start_bit) + index));
  }

  static constexpr std::uint8_t mirrored(std::uint8_t bit) {
    return static_cast<std::uint8_t>((bit & ~7U) | (7U - (bit & 7U)));
  }
};

}  // namespace evcore
