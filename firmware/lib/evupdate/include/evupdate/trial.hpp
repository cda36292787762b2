// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace evupdate {

// A new image is on trial at its first start: it is kept when the CSMS has accepted its
// BootNotification, and given up when that has not happened in kLimitMs. A restart for any other
// reason in between gives it up as well; the boot loader sees to that.
class Trial {
 public:
  static constexpr std::int64_t kLimitMs = 600000;
  enum class Action : std::uint8_t { none, keep, give_up };

  explicit Trial(bool on_trial) : running_(on_trial) {}

  bool running() const { return running_; }
  // `now` is milliseconds since the start. The action is repeated until done() is told; nothing is
  // given up while `charging`.
  Action step(std::int64_t now, bool registered, bool charging) const;
  void done() { running_ = false; }

 private:
  bool running_;
};

}  // namespace evupdate
