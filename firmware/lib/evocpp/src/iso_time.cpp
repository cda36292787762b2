// SPDX-License-Identifier: Apache-2.0
#include "evocpp/iso_time.hpp"

#include <cinttypes>
#include <cstdint>
#include <cstdio>

namespace evocpp {
namespace {

// Digits text[at, at + count) as a number, -1 where one of them is no digit.
int number(const std::string& text, size_t at, size_t count) {
  int value = 0;
  for (size_t i = at; i < at + count; ++i) {
    if (i >= text.size() || text[i] < '0' || text[i] > '9') {
      return -1;
    }
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

// Days since 0000-03-01 of the proleptic Gregorian calendar, years counted from March so that
// the leap day ends a year.
int64_t days_from_date(int64_t year, int month, int day) {
  const int64_t y = month <= 2 ? year - 1 : year;
  const int64_t m = month <= 2 ? month + 9 : month - 3;
  return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
}

void date_from_days(int64_t days, int64_t& year, int& month, int& day) {
  year = (10000 * days + 14780) / 3652425;
  int64_t rest = days - (365 * year + year / 4 - year / 100 + year / 400);
  if (rest < 0) {
    year -= 1;
    rest = days - (365 * year + year / 4 - year / 100 + year / 400);
  }
  const int64_t m = (100 * rest + 52) / 3060;
  day = static_cast<int>(rest - (m * 306 + 5) / 10 + 1);
  month = static_cast<int>(m < 10 ? m + 3 : m - 9);
  year += month <= 2 ? 1 : 0;
}

// Minutes east of UTC from text[at] on; false where that is no zone.
bool parse_zone(const std::string& text, size_t at, int& minutes) {
  if (at == text.size() || (text[at] == 'Z' && at + 1 == text.size())) {
    minutes = 0;
    return true;
  }
  if (text[at] != '+' && text[at] != '-') {
    return false;
  }
  const bool colon = at + 3 < text.size() && text[at + 3] == ':';
  const bool hours_alone = text.size() == at + 3;
  const int hours = number(text, at + 1, 2);
  const int rest = hours_alone ? 0 : number(text, at + (colon ? 4 : 3), 2);
  const size_t length = hours_alone ? 3 : (colon ? 6 : 5);
  if (hours < 0 || hours > 23 || rest < 0 || rest > 59 || text.size() != at + length) {
    return false;
  }
  minutes = (hours * 60 + rest) * (text[at] == '-' ? -1 : 1);
  return true;
}

}  // namespace

std::string to_utc(const std::string& text) {
  if (text.size() < 19 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
      text[16] != ':') {
    return {};
  }
  const int year = number(text, 0, 4);
  const int month = number(text, 5, 2);
  const int day = number(text, 8, 2);
  const int hour = number(text, 11, 2);
  const int minute = number(text, 14, 2);
  const int second = number(text, 17, 2);
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
      minute < 0 || minute > 59 || second < 0 || second > 60) {
    return {};
  }
  size_t at = 19;
  if (at < text.size() && (text[at] == '.' || text[at] == ',')) {
    ++at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
      ++at;
    }
  }
  int zone = 0;
  if (!parse_zone(text, at, zone)) {
    return {};
  }
  const int64_t total_minutes = (days_from_date(year, month, day) * 24 + hour) * 60 + minute - zone;
  int64_t utc_year = 0;
  int utc_month = 0;
  int utc_day = 0;
  date_from_days(total_minutes / 1440, utc_year, utc_month, utc_day);
  const int of_day = static_cast<int>(total_minutes % 1440);
  char out[40];
  const int length =
      std::snprintf(out, sizeof out, "%04d-%02d-%02dT%02d:%02d:%02dZ", static_cast<int>(utc_year),
                    utc_month, utc_day, of_day / 60, of_day % 60, second);
  return length == 20 ? std::string(out) : std::string();
}

std::int64_t to_unix(const std::string& text) {
  constexpr std::int64_t kDaysTo1970 = 719468;
  const std::string utc = to_utc(text);
  if (utc.empty()) {
    return -1;
  }
  const std::int64_t days =
      days_from_date(number(utc, 0, 4), number(utc, 5, 2), number(utc, 8, 2)) - kDaysTo1970;
  const std::int64_t seconds =
      ((days * 24 + number(utc, 11, 2)) * 60 + number(utc, 14, 2)) * 60 + number(utc, 17, 2);
  return seconds < 0 ? -1 : seconds;
}

}  // namespace evocpp
