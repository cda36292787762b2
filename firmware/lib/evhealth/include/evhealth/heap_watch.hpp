// SPDX-License-Identifier: Apache-2.0
// When a measurement of the heap is worth a line.
#pragma once

#include <cstdint>

#include "evhealth/resets.hpp"

namespace evhealth {

// Bytes.
struct Heap {
  std::uint32_t free = 0;
  std::uint32_t lowest_free = 0;    // since the start
  std::uint32_t largest_block = 0;  // what one allocation could have now
};

inline constexpr Millis kHeapPeriodMs = 3'600'000;

class HeapWatch {
 public:
  // True where `heap` reached a lower threshold than any before, in what is free or in the largest
  // block, or where the last line is an hour old.
  bool turn(Millis now, const Heap& heap);
  // The smallest of all largest blocks; 0 before the first turn.
  [[nodiscard]] std::uint32_t smallest_block() const { return measured_ ? smallest_block_ : 0; }

 private:
  unsigned free_level_ = 0;
  unsigned block_level_ = 0;
  std::uint32_t smallest_block_ = UINT32_MAX;
  bool measured_ = false;
  Millis told_at_ = 0;
};

}  // namespace evhealth
