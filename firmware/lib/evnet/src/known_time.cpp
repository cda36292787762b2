// SPDX-License-Identifier: Apache-2.0
#include "evnet/known_time.hpp"

#include <algorithm>

namespace evnet {
namespace {

// The flash is written at most once a day for it.
constexpr std::int64_t kKeepEvery = 86400;

}  // namespace

KnownTime::KnownTime(std::int64_t built_s, std::int64_t kept_s)
    : earliest_(std::max(built_s, kept_s)) {}

bool KnownTime::tell(std::int64_t unix_s, std::int64_t uptime_ms) {
  if (unix_s < earliest_) {
    return false;
  }
  told_ = unix_s;
  told_at_ms_ = uptime_ms;
  return true;
}

Reading KnownTime::read(std::int64_t uptime_ms) const {
  if (told_at_ms_ < 0) {
    return {earliest_ + uptime_ms / 1000, false};
  }
  return {told_ + (uptime_ms - told_at_ms_) / 1000, true};
}

Dates judge(const Validity& validity, const Reading& now) {
  if (now.unix_s > validity.not_after_s) {
    return Dates::expired;
  }
  if (now.told && now.unix_s < validity.not_before_s) {
    return Dates::not_yet_valid;
  }
  return Dates::valid;
}

std::int64_t unix_time(int year, int month, int day, int hour, int minute, int second) {
  // Years counted from March, so that the leap day ends one.
  const std::int64_t y = month <= 2 ? year - 1 : year;
  const std::int64_t m = month <= 2 ? month + 9 : month - 3;
  const std::int64_t days =
      365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
  return ((days * 24 + hour) * 60 + minute) * 60 + second;
}

bool worth_keeping(std::int64_t told_s, std::int64_t kept_s, bool authenticated,
                   std::int64_t ends_first_s) {
  return authenticated && told_s <= ends_first_s && told_s >= kept_s + kKeepEvery;
}

}  // namespace evnet
