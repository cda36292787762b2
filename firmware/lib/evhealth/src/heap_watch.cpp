// SPDX-License-Identifier: Apache-2.0
#include "evhealth/heap_watch.hpp"

#include <algorithm>
#include <array>

namespace evhealth {
namespace {

// A TLS handshake takes some 40 KB, the largest message of a CSMS 16 KB.
constexpr std::array<std::uint32_t, 6> kThresholds = {65536, 49152, 32768, 24576, 16384, 8192};

unsigned level(std::uint32_t bytes) {
  return static_cast<unsigned>(
      std::count_if(kThresholds.begin(), kThresholds.end(),
                    [bytes](std::uint32_t threshold) { return bytes < threshold; }));
}

}  // namespace

bool HeapWatch::turn(Millis now, const Heap& heap) {
  measured_ = true;
  smallest_block_ = std::min(smallest_block_, heap.largest_block);
  const unsigned free_level = std::max(free_level_, level(heap.lowest_free));
  const unsigned block_level = std::max(block_level_, level(heap.largest_block));
  const bool lower = free_level > free_level_ || block_level > block_level_;
  free_level_ = free_level;
  block_level_ = block_level;
  if (!lower && now - told_at_ < kHeapPeriodMs) {
    return false;
  }
  told_at_ = now;
  return true;
}

}  // namespace evhealth
