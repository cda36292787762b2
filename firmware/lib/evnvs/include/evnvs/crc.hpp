// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace evnvs {

inline constexpr std::uint32_t kCrcStart = 0xFFFFFFFF;

// CRC-32 as NVS has it: begin with kCrcStart, go on with what the call before gave.
template <std::size_t N>
constexpr std::uint32_t crc32(std::uint32_t crc, const std::array<std::uint8_t, N>& bytes,
                              std::size_t first, std::size_t length) {
  crc = ~crc;
  for (std::size_t i = first; i < first + length; ++i) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
    }
  }
  return ~crc;
}

// A little-endian integer in `bytes`.
template <std::size_t N>
constexpr std::uint64_t little_endian(const std::array<std::uint8_t, N>& bytes, std::size_t first,
                                      std::size_t length) {
  std::uint64_t value = 0;
  for (std::size_t i = first + length; i > first; --i) {
    value = (value << 8U) | bytes[i - 1];
  }
  return value;
}

}  // namespace evnvs
