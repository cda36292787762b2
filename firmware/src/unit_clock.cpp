// SPDX-License-Identifier: Apache-2.0
#include "unit_clock.hpp"

#include <mutex>

#include "nvs_store.hpp"
#include "tasks.hpp"
#include "version.hpp"

namespace unit_clock {
namespace {

struct Clock {
  std::mutex lock;
  std::int64_t kept = nvs_store::load_time();
  evnet::KnownTime time{kBuildTime, kept};
};

Clock& clock() {
  static Clock clock;
  return clock;
}

}  // namespace

bool tell(std::int64_t unix_s) {
  const std::lock_guard<std::mutex> guard(clock().lock);
  return clock().time.tell(unix_s, uptime_ms());
}

evnet::Reading now() {
  const std::lock_guard<std::mutex> guard(clock().lock);
  return clock().time.read(uptime_ms());
}

void tell_by_csms(std::int64_t unix_s, std::int64_t certificates_end) {
  const bool authenticated = certificates_end != 0;
  const std::lock_guard<std::mutex> guard(clock().lock);
  if (clock().time.tell(unix_s, uptime_ms()) &&
      evnet::worth_keeping(unix_s, clock().kept, authenticated, certificates_end) &&
      nvs_store::keep_time(unix_s)) {
    clock().kept = unix_s;
  }
}

}  // namespace unit_clock
