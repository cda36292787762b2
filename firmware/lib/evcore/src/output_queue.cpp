// SPDX-License-Identifier: Apache-2.0
#include "evcore/output_queue.hpp"

namespace evcore {

void OutputQueue::push_back(const Output& output) {
  if (size_ == kCapacity) {
    return;
  }
  outputs_[slot(size_)] = output;
  ++size_;
}

void OutputQueue::push_front(const Output& output) {
  if (size_ == kCapacity) {
    --size_;  // the newest gives way
  }
  head_ = (head_ + kCapacity - 1) % kCapacity;
  outputs_[head_] = output;
  ++size_;
}

bool OutputQueue::pop(Output& output) {
  if (size_ == 0) {
    return false;
  }
  output = outputs_[head_];
  head_ = slot(1);
  --size_;
  return true;
}

void OutputQueue::drop_frames(std::uint32_t can_id) {
  std::size_t kept = 0;
  for (std::size_t position = 0; position < size_; ++position) {
    const Output& output = outputs_[slot(position)];
    if (output.kind == OutputKind::can && output.frame.can_id == can_id) {
      continue;
    }
    if (kept != position) {
      outputs_[slot(kept)] = output;
    }
    ++kept;
  }
  size_ = kept;
}

}  // namespace evcore
