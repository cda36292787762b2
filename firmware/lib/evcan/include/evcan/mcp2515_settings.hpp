// SPDX-License-Identifier: Apache-2.0
// What the MCP2515 is told in configuration mode, worked out at compile time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "evcan/mcp2515_registers.hpp"

namespace evcan::mcp2515 {

// CNF1...3; quanta is 0 where the bit rate cannot be made.
struct Timing {
  std::uint32_t quanta = 0;          // of one bit
  std::uint32_t sample_quantum = 0;  // the sample point, counted from the start of the bit
  std::uint8_t cnf1 = 0;
  std::uint8_t cnf2 = 0;
  std::uint8_t cnf3 = 0;
};

// Exactly this bit rate, sampled as near to 87.5 % of the bit (CiA 301) as its quanta allow. One
// quantum of resynchronisation, for a crystal on either side (data sheet, 5.3).
constexpr Timing timing(std::uint32_t oscillator_hz, std::uint32_t bitrate) {
  constexpr std::uint32_t kFewest = 8;  // ISO 11898-1: 8 to 25 quanta
  constexpr std::uint32_t kMost = 25;
  constexpr std::uint32_t kLongestBeforeSample = 17;  // synchronisation 1, propagation 8, phase 1 8
  Timing best;
  std::uint32_t best_miss = 0;
  for (std::uint32_t brp = 0; brp < 64; ++brp) {
    const std::uint32_t per_bit = 2 * (brp + 1) * bitrate;
    const std::uint32_t quanta = per_bit == 0 ? 0 : oscillator_hz / per_bit;
    if (quanta < kFewest || quanta > kMost || quanta * per_bit != oscillator_hz) {
      continue;
    }
    for (std::uint32_t phase2 = 2; phase2 <= 8; ++phase2) {
      const std::uint32_t sample = quanta - phase2;
      if (sample > kLongestBeforeSample || sample - 1 < phase2) {
        continue;
      }
      // In thousandths of the bit.
      const std::uint32_t point = 1000 * sample / quanta;
      const std::uint32_t miss = point > 875 ? point - 875 : 875 - point;
      if (best.quanta != 0 && miss >= best_miss) {
        continue;
      }
      best_miss = miss;
      const std::uint32_t phase1 = sample - 2 > 8 ? 8 : sample - 2;
      const std::uint32_t propagation = sample - 1 - phase1;
      best.quanta = quanta;
      best.sample_quantum = sample;
      best.cnf1 = static_cast<std::uint8_t>(brp);
      best.cnf2 = static_cast<std::uint8_t>(0x80U | ((phase1 - 1) << 3U) | (propagation - 1));
      best.cnf3 = static_cast<std::uint8_t>(phase2 - 1);
    }
  }
  return best;
}

using IdBytes = std::array<std::uint8_t, 4>;  // SIDH, SIDL, EID8, EID0

constexpr IdBytes extended_id(std::uint32_t can_id) {
  const std::uint32_t standard = can_id >> 18U;
  return {static_cast<std::uint8_t>(standard >> 3U),
          static_cast<std::uint8_t>(((standard & 7U) << 5U) | kExtended | ((can_id >> 16U) & 3U)),
          static_cast<std::uint8_t>(can_id >> 8U), static_cast<std::uint8_t>(can_id)};
}

// Every bit of an extended identifier; EXIDE is no bit of a mask.
inline constexpr IdBytes kMaskAll{0xFF, 0xE3, 0xFF, 0xFF};

// RXF0, RXF1 lead to the first buffer and from there to the second, RXF2...5 to the second alone.
using Filters = std::array<IdBytes, 6>;

// Lets these extended identifiers through and nothing else. `first` is the one that both buffers
// should have room for.
template <std::size_t N>
constexpr Filters exact_filters(const std::array<std::uint32_t, N>& ids, std::uint32_t first) {
  static_assert(N >= 1 && N <= 6, "the MCP2515 has six filters");
  Filters filters{};
  for (IdBytes& filter : filters) {
    filter = extended_id(first);
  }
  std::size_t next = 1;
  for (const std::uint32_t can_id : ids) {
    if (can_id != first) {
      filters[next++] = extended_id(can_id);
    }
  }
  return filters;
}

// How many calls of poll(), one every `turn_ms`, a bus that was off must rest: 128 times 11 bits
// (ISO 11898-1), which the chip itself does not wait for when it comes out of configuration mode.
constexpr std::uint32_t rest_turns(std::uint32_t bitrate, std::uint32_t turn_ms) {
  return bitrate == 0 ? 0 : 1 + 128 * 11 * 1000 / (bitrate * turn_ms);
}

struct Settings {
  Timing timing;
  Filters filters{};
  std::uint32_t rest_turns = 0;
};

}  // namespace evcan::mcp2515
