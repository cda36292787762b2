// SPDX-License-Identifier: Apache-2.0
// The faults: what sets each one, and what it takes to clear it.
//
//   over_temperature  above 70 degrees; clears at 60 or below
//   over_voltage      measured > setpoint + 2 V for 200 ms, while energised
//   over_current      measured > setpoint x 1.1 + 1 A for 500 ms, while energised
//   module_disobeys   a sample taken 2000 ms or more after off says on, or shows more than 1 A
//   bus_off           the CAN controller says so; clears when every bus runs again
//
// A sample is judged once, when it comes, against the setpoint then in force: a lowered setpoint
// does not turn an older sample into a fault. A stale measurement neither sets a fault nor proves
// that one is gone. The middle three stay until the vehicle is unplugged and a fresh measurement
// shows that the cause is gone.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "evcore/types.hpp"

namespace evcore {

// What is known when faults are evaluated; an empty optional is unknown or stale.
struct FaultFacts {
  bool plugged = false;
  bool energised = false;
  std::optional<std::int64_t> measured_mv;
  std::optional<std::int64_t> measured_ma;
  std::optional<std::int64_t> temperature_mdegc;
  std::optional<bool> module_on;
  bool any_bus_off = false;
  bool all_buses_running = false;
};

// Something above its limit since a sample that showed it.
class Excess {
 public:
  explicit Excess(Millis hold) : hold_(hold) {}

  void judge(std::int64_t value, std::int64_t limit, Millis now);
  void stop() { since_.reset(); }
  [[nodiscard]] bool ripe(Millis now) const { return since_ && now - *since_ >= hold_; }
  [[nodiscard]] std::int64_t limit() const { return limit_; }

 private:
  Millis hold_;
  std::optional<Millis> since_;
  std::int64_t limit_ = 0;
};

class FaultMonitor {
 public:
  [[nodiscard]] Faults active() const { return active_; }

  // A voltage or a current was measured while energised.
  void judge_voltage(std::int64_t millivolts, std::int64_t setpoint_mv, Millis now);
  void judge_current(std::int64_t milliamperes, std::int64_t setpoint_ma, Millis now);

  // The module was told off `off_for` ago and now says this; false and 0 for what it did not.
  // Current in either direction counts: none may flow.
  void judge_obedience(bool module_on, std::int64_t milliamperes, Millis off_for);

  // Lets time and facts set and clear faults.
  void evaluate(const FaultFacts& facts, Millis now);

 private:
  void evaluate_levels(const FaultFacts& facts);
  void clear_latched(const FaultFacts& facts);

  static constexpr Millis kVoltageHold = 200;
  static constexpr Millis kCurrentHold = 500;

  Faults active_;
  Excess voltage_{kVoltageHold};
  Excess current_{kCurrentHold};  // in tenths of a milliampere, to stay with integers
  std::int64_t voltage_limit_mv_ = 0;
  std::int64_t current_limit_tenths_ = 0;
};

// The OCPP 1.6 ChargePointErrorCode of the first thing that is wrong.
std::string_view error_code(Faults active, bool module_silent, bool bms_silent_in_transaction);

}  // namespace evcore
