// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace evnet {

// When to connect: exponential back-off with full jitter, so that a central system that comes back
// is not met by all its charge points at once. The n-th attempt in a row waits a random time of
// kShortestMs to min(kLongestMs, kFirstMs * 2^(n-1)). A connection that lasted kLastingMs begins
// anew; one that was refused or lost sooner counts as an attempt that failed.
class Backoff {
 public:
  static constexpr std::int64_t kShortestMs = 500;
  static constexpr std::int64_t kFirstMs = 5000;
  static constexpr std::int64_t kLongestMs = 300000;
  static constexpr std::int64_t kLastingMs = 60000;

  // `random` is a fresh 32-bit random number each time.
  void start(std::int64_t now, std::uint32_t random);
  bool due(std::int64_t now) const { return now >= at_; }
  // The connection is open: the WebSocket's handshake is done.
  void opened(std::int64_t now);
  // The attempt failed, was refused, or the open connection ended.
  void ended(std::int64_t now, std::uint32_t random);

 private:
  void wait(std::int64_t now, std::uint32_t random);

  std::int64_t ceiling_ = kFirstMs;
  std::int64_t at_ = 0;
  std::int64_t opened_at_ = -1;
};

}  // namespace evnet
