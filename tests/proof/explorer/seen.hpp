// SPDX-License-Identifier: Apache-2.0
// The states that were reached, as 128-bit hashes, and how each was reached first.
//
// Two states with one hash would be taken for one: among 10^8 states the chance of any such pair
// is below 10^-22.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

namespace proof {

class Seen {
 public:
  Seen() : slots_(1U << 16U, 0) {}

  // True if it is new.
  template <typename State>
  bool add(const State& state, std::uint32_t from, std::uint16_t move) {
    static_assert(sizeof(State) % 4 == 0);
    const Hash hash = hash_of(&state, sizeof state);
    std::size_t slot = hash.low & (slots_.size() - 1);
    while (slots_[slot] != 0) {
      const Entry& entry = entries_[slots_[slot] - 1];
      if (entry.hash.low == hash.low && entry.hash.high == hash.high) {
        return false;
      }
      slot = (slot + 1) & (slots_.size() - 1);
    }
    entries_.push_back({hash, from, move});
    slots_[slot] = static_cast<std::uint32_t>(entries_.size());
    if (entries_.size() * 2 > slots_.size()) {
      grow();
    }
    return true;
  }

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] std::uint32_t from(std::uint32_t index) const { return entries_[index].from; }
  [[nodiscard]] std::uint16_t move(std::uint32_t index) const { return entries_[index].move; }

 private:
  struct Hash {
    std::uint64_t low;
    std::uint64_t high;
  };
  struct Entry {
    Hash hash;
    std::uint32_t from;
    std::uint16_t move;
  };

  static std::uint64_t mix(std::uint64_t value) {
    value ^= value >> 32U;
    value *= 0xD6E8FEB86659FD93U;
    value ^= value >> 32U;
    value *= 0xD6E8FEB86659FD93U;
    return value ^ value >> 32U;
  }

  static Hash hash_of(const void* data, std::size_t size) {
    Hash hash{0x9E3779B97F4A7C15U, 0xC2B2AE3D27D4EB4FU};
    for (std::size_t at = 0; at < size; at += 4) {
      std::uint32_t word = 0;
      std::memcpy(&word, static_cast<const char*>(data) + at, 4);
      hash.low = (hash.low ^ word) * 0x100000001B3U;
      hash.low ^= hash.low >> 29U;
      hash.high = (hash.high + word) * 0x9FB21C651E98DF25U;
      hash.high ^= hash.high >> 31U;
    }
    return {mix(hash.low), mix(hash.high)};
  }

  void grow() {
    slots_.assign(slots_.size() * 2, 0);
    for (std::size_t index = 0; index < entries_.size(); ++index) {
      std::size_t slot = entries_[index].hash.low & (slots_.size() - 1);
      while (slots_[slot] != 0) {
        slot = (slot + 1) & (slots_.size() - 1);
      }
      slots_[slot] = static_cast<std::uint32_t>(index + 1);
    }
  }

  std::vector<std::uint32_t> slots_;  // an entry's number and 1, or 0
  std::vector<Entry> entries_;
};

}  // namespace proof
