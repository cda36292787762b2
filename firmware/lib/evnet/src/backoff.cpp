// SPDX-License-Identifier: Apache-2.0
#include "evnet/backoff.hpp"

#include <algorithm>

namespace evnet {

void Backoff::start(std::int64_t now, std::uint32_t random) {
  ceiling_ = kFirstMs;
  opened_at_ = -1;
  wait(now, random);
}

void Backoff::opened(std::int64_t now) { opened_at_ = now; }

void Backoff::ended(std::int64_t now, std::uint32_t random) {
  if (opened_at_ >= 0 && now - opened_at_ >= kLastingMs) {
    ceiling_ = kFirstMs;
  } else {
    ceiling_ = std::min(kLongestMs, ceiling_ * 2);
  }
  opened_at_ = -1;
  wait(now, random);
}

void Backoff::wait(std::int64_t now, std::uint32_t random) {
  at_ = now + kShortestMs +
        static_cast<std::int64_t>(random) * (ceiling_ - kShortestMs) / 0xFFFFFFFFLL;
}

}  // namespace evnet
