// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "evcore/types.hpp"

namespace evcore {

// What the controller wants done, in order. One input yields at most about 35 outputs; a caller
// that does not fetch them loses the newest, but never the off command.
class OutputQueue {
 public:
  void push_back(const Output& output);
  void push_front(const Output& output);
  bool pop(Output& output);

  // Drops the frames with this identifier that were not fetched yet.
  void drop_frames(std::uint32_t can_id);

 private:
  static constexpr std::size_t kCapacity = 48;

  [[nodiscard]] std::size_t slot(std::size_t position) const {
    return (head_ + position) % kCapacity;
  }

  std::array<Output, kCapacity> outputs_{};
  std::size_t head_ = 0;
  std::size_t size_ = 0;
};

}  // namespace evcore
