// SPDX-License-Identifier: Apache-2.0
// What came in and what went out, and what docs/controller.md says about it. It is written from
// that page, keeps the inputs themselves and shares no rule with the controller.
#pragma once

#include <cstdint>
#include <string>

#include "event.hpp"

namespace proof {

// The limits of the configuration that a slice runs with.
struct Limits {
  std::uint8_t buses = 1;
  std::int32_t max_mv = 85500;
  std::int32_t max_ma = 100000;
};

// Older than everything that a rule asks about.
inline constexpr std::int32_t kOld = 9999;

// Ages instead of times: the same whenever it happens. No padding, so that bytes compare.
struct Witness {
  // The last of each kind, and how long ago it came.
  std::int32_t request_age = kOld;
  std::int32_t request_mv = 0;
  std::int32_t request_ma = 0;
  std::int32_t control = 0;
  std::int32_t module_age = kOld;
  std::int32_t temperature_age = kOld;
  std::int32_t temperature = 0;
  std::int32_t terminal_age = kOld;
  std::int32_t terminal_mv = 0;
  std::int32_t terminal_ma = 0;
  std::int32_t output_mv_age = kOld;
  std::int32_t output_mv = 0;
  std::int32_t output_ma_age = kOld;
  std::int32_t output_ma = 0;
  std::int32_t reply_age = kOld;
  std::int32_t reply = 0;
  std::int32_t word_age = kOld;
  std::int32_t transaction = 0;
  std::int32_t permitted = 0;
  std::int32_t limit = 0;
  std::int32_t bus[2] = {0, 0};

  // Faults: a level, or an excess since a sample, or a latch with the limit that was exceeded.
  std::int32_t hot = 0;
  std::int32_t bus_off = 0;
  std::int32_t volts_age = -1;
  std::int32_t volts_limit = 0;
  std::int32_t amperes_age = -1;
  std::int32_t amperes_limit = 0;  // in tenths of a milliampere
  std::int32_t over_voltage = 0;
  std::int32_t over_voltage_limit = 0;
  std::int32_t over_current = 0;
  std::int32_t over_current_limit = 0;
  std::int32_t disobeys = 0;

  // What the gate must be, and what the module was told.
  std::int32_t open = 0;
  std::int32_t off_age = 0;  // since the gate closed or the module's bus came back
  std::int32_t told_on = 0;
  std::int32_t switch_age = 0;  // since the switch was sent
  std::int32_t setpoint_mv = 0;
  std::int32_t setpoint_ma = 0;
  std::int32_t setpoint_age = kOld;

  // Inside one call: what was wanted when time had passed, before the event took effect.
  std::int32_t earlier_mv = 0;
  std::int32_t earlier_ma = 0;

  // One call of the controller: time passes, then the event takes effect.
  void before(std::int32_t wait, const Limits& limits);
  void take(const Event& event, const Limits& limits);

  // Reads what came out of that call and compares; empty if all is as the rules say.
  std::string check(evcore::Controller& controller, evcore::Millis now, const Limits& limits);

  // The same for states that no rule can tell apart; `keeps` says what the slice looks at.
  void normalise(bool keeps_off_age, bool keeps_switch_age);

 private:
  [[nodiscard]] bool all_run(const Limits& limits) const;
  [[nodiscard]] bool measures_mv(std::int32_t& value) const;
  [[nodiscard]] bool measures_ma(std::int32_t& value) const;
  [[nodiscard]] bool in_range() const;
  [[nodiscard]] bool may_flow(const Limits& limits) const;
  [[nodiscard]] std::int32_t wanted_mv(const Limits& limits) const;
  [[nodiscard]] std::int32_t wanted_ma(const Limits& limits) const;
  void judge(const Limits& limits);
  void judge_sample(bool volts, bool amperes, bool says_on);
  void clear_latches();
  std::string read_outputs(evcore::Controller& controller, const Limits& limits);
  std::string read_command(const evcore::CanFrame& frame, const Limits& limits);
  [[nodiscard]] std::string compare(const evcore::Snapshot& snapshot, const Limits& limits) const;
};

}  // namespace proof
