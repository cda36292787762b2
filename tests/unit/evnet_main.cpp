// SPDX-License-Identifier: GPL-3.0-or-later
// Answers each line of numbers with a line: what evnet makes of them (test_evnet.py).
#include <iostream>
#include <sstream>
#include <string>

#include "evnet/backoff.hpp"
#include "evnet/known_time.hpp"

namespace {

const char* name(evnet::Dates dates) {
  switch (dates) {
    case evnet::Dates::valid:
      return "valid";
    case evnet::Dates::expired:
      return "expired";
    case evnet::Dates::not_yet_valid:
      return "not_yet_valid";
  }
  return "?";
}

// How long after `now` the next attempt is due, by looking.
std::int64_t wait(const evnet::Backoff& backoff, std::int64_t now) {
  std::int64_t low = 0;
  std::int64_t high = std::int64_t{1} << 40;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (backoff.due(now + middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

}  // namespace

int main() {
  evnet::Backoff backoff;
  evnet::KnownTime known(0, 0);
  for (std::string line; std::getline(std::cin, line);) {
    std::stringstream words(line);
    std::string verb;
    words >> verb;
    std::int64_t a = 0;
    std::int64_t b = 0;
    std::int64_t c = 0;
    std::int64_t d = 0;
    if (verb == "unix") {
      int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
      words >> year >> month >> day >> hour >> minute >> second;
      std::cout << evnet::unix_time(year, month, day, hour, minute, second);
    } else if (verb == "judge") {
      words >> a >> b >> c >> d;
      std::cout << name(evnet::judge({a, b}, {c, d != 0}));
    } else if (verb == "known") {
      words >> a >> b;
      known = evnet::KnownTime(a, b);
    } else if (verb == "tell") {
      words >> a >> b;
      std::cout << known.tell(a, b);
    } else if (verb == "read") {
      words >> a;
      const evnet::Reading reading = known.read(a);
      std::cout << reading.unix_s << (reading.told ? " told" : " at least");
    } else if (verb == "keep") {
      words >> a >> b >> c >> d;
      std::cout << evnet::worth_keeping(a, b, c != 0, d);
    } else if (verb == "start" || verb == "ended") {
      words >> a >> b;
      const auto random = static_cast<std::uint32_t>(b);
      verb == "start" ? backoff.start(a, random) : backoff.ended(a, random);
      std::cout << wait(backoff, a);
    } else if (verb == "opened") {
      words >> a;
      backoff.opened(a);
    }
    std::cout << std::endl;
  }
}
