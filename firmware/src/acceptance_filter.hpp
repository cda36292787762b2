// SPDX-License-Identifier: Apache-2.0
// The TWAI controller's two acceptance filters, worked out from the list of identifiers.
//
// In dual mode each filter sees the upper 16 of an extended frame's 29 bits. The hardware only
// thins out: the core compares all 29 bits and the extended flag itself.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace acceptance {

struct Half {
  std::uint16_t code = 0;
  std::uint16_t dont_care = 0xFFFF;  // 1: this bit may be anything
};

struct Filter {
  Half first;
  Half second;
  // The registers' layout: filter 1 in the upper half.
  constexpr std::uint32_t code() const {
    return (static_cast<std::uint32_t>(first.code) << 16U) | second.code;
  }
  constexpr std::uint32_t mask() const {
    return (static_cast<std::uint32_t>(first.dont_care) << 16U) | second.dont_care;
  }
};

constexpr std::uint16_t upper_bits(std::uint32_t can_id) {
  return static_cast<std::uint16_t>(can_id >> 13U);
}

constexpr bool passes(const Half& half, std::uint32_t can_id) {
  return ((upper_bits(can_id) ^ half.code) & static_cast<std::uint16_t>(~half.dont_care)) == 0;
}

constexpr bool passes(const Filter& filter, std::uint32_t can_id) {
  return passes(filter.first, can_id) || passes(filter.second, can_id);
}

template <std::size_t N>
constexpr Half cover(const std::array<std::uint32_t, N>& ids, std::size_t begin, std::size_t end) {
  Half half{upper_bits(ids[begin]), 0};
  for (std::size_t i = begin; i < end; ++i) {
    half.dont_care = static_cast<std::uint16_t>(half.dont_care | (upper_bits(ids[i]) ^ half.code));
  }
  return half;
}

// How many of the 65536 patterns a half lets through.
constexpr std::uint32_t width(const Half& half) {
  std::uint32_t count = 1;
  for (unsigned bit = 0; bit < 16; ++bit) {
    count <<= (half.dont_care >> bit) & 1U;
  }
  return count;
}

// The ascending list cut in two where the two halves let the least through.
template <std::size_t N>
constexpr Filter narrowest(const std::array<std::uint32_t, N>& ids) {
  static_assert(N >= 2, "a dual filter wants two groups");
  Filter best{cover(ids, 0, 1), cover(ids, 1, N)};
  for (std::size_t cut = 2; cut < N; ++cut) {
    const Filter candidate{cover(ids, 0, cut), cover(ids, cut, N)};
    if (width(candidate.first) + width(candidate.second) < width(best.first) + width(best.second)) {
      best = candidate;
    }
  }
  return best;
}

template <std::size_t N>
constexpr bool lets_all_through(const Filter& filter, const std::array<std::uint32_t, N>& ids) {
  for (const std::uint32_t can_id : ids) {
    if (!passes(filter, can_id)) {
      return false;
    }
  }
  return true;
}

}  // namespace acceptance
