// SPDX-License-Identifier: Apache-2.0
// What time it is, as far as a unit without a battery-backed clock can know, and what a
// certificate's dates are worth then. All times are seconds since 1970, UTC; uptimes are
// milliseconds.
#pragma once

#include <cstdint>

namespace evnet {

// What is known of the time. Where nobody has told it, `unix_s` is the earliest that it can be.
struct Reading {
  std::int64_t unix_s = 0;
  bool told = false;
};

// Never before the firmware was built, nor before a time that an authenticated CSMS has told in an
// earlier life. Whoever tells an earlier time is wrong, and is not believed.
class KnownTime {
 public:
  KnownTime(std::int64_t built_s, std::int64_t kept_s);

  // SNTP or the CSMS says so. False where it cannot be.
  bool tell(std::int64_t unix_s, std::int64_t uptime_ms);
  [[nodiscard]] Reading read(std::int64_t uptime_ms) const;

 private:
  std::int64_t earliest_;
  std::int64_t told_ = 0;
  std::int64_t told_at_ms_ = -1;
};

struct Validity {
  std::int64_t not_before_s = 0;
  std::int64_t not_after_s = 0;  // the last second in which it is valid
};

enum class Dates : std::uint8_t { valid, expired, not_yet_valid };

// Expired is expired also where the time is only a lower bound: it can but be later. Not yet valid
// is said only of a time that was told.
Dates judge(const Validity& validity, const Reading& now);

// Seconds since 1970 of a date in the Gregorian calendar, UTC.
std::int64_t unix_time(int year, int month, int day, int hour, int minute, int second);

// Whether a time that a CSMS tells may be kept for the next life: it came over a connection whose
// certificates were checked, and all of them, the last of which ends at `ends_first_s`, are still
// valid then. A CSMS that errs by decades would otherwise shut the unit out for good.
bool worth_keeping(std::int64_t told_s, std::int64_t kept_s, bool authenticated,
                   std::int64_t ends_first_s);

}  // namespace evnet
