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
    return (number(data) >> shift()) & mask();
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
    std::uint64_t rest = (number(data) & ~(mask() << shift())) | ((value & mask()) << shift());
    for (unsigned place = byte_count(); place > 0; --place) {
      data[byte_at(place - 1)] = static_cast<std::uint8_t>(rest & 0xFFU);
      rest >>= 8U;
    }
  }

 private:
  // Read in its own byte order, what the signal touches is one number of whole bytes, in which the
  // signal is one run of bits.
  [[nodiscard]] constexpr std::uint64_t number(const CanData& data) const {
    std::uint64_t value = 0;
    for (unsigned place = 0; place < byte_count(); ++place) {
      value = (value << 8U) | data[byte_at(place)];
    }
    return value;
  }

  [[nodiscard]] constexpr std::uint64_t mask() const { return ~std::uint64_t{0} >> (64U - length); }

  // How many of the number's bits stand below the signal.
  [[nodiscard]] constexpr unsigned shift() const {
    return is_big() ? 7U - (first_bit() + length - 1U) % 8U : start_bit % 8U;
  }

  [[nodiscard]] constexpr unsigned byte_count() const {
    return (first_bit() % 8U + length + 7U) / 8U;
  }

  // The byte that stands `place` bytes after the number's most significant one.
  [[nodiscard]] constexpr unsigned byte_at(unsigned place) const {
    const unsigned first = start_bit / 8U;
    return is_big() ? first + place : first + byte_count() - 1U - place;
  }

  // How far the signal begins into the frame, counted in its own byte order's direction.
  [[nodiscard]] constexpr unsigned first_bit() const {
    return is_big() ? (start_bit & ~7U) | (7U - start_bit % 8U) : start_bit;
  }

  [[nodiscard]] constexpr bool is_big() const { return byte_order == ByteOrder::big_endian; }
};

}  // namespace evcore
