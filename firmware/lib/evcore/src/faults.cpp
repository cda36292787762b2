// SPDX-License-Identifier: Apache-2.0
#include "evcore/faults.hpp"

#include "evcore/charge_gate.hpp"

namespace evcore {
namespace {

constexpr std::int64_t kCoolMdegc = 60000;
constexpr std::int64_t kVoltageMarginMv = 2000;
constexpr std::int64_t kCurrentMarginMa = 1000;
constexpr Millis kObey = 2000;
constexpr std::int64_t kLeakMa = 1000;

constexpr bool leaks(std::int64_t milliamperes) {
  return milliamperes > kLeakMa || milliamperes < -kLeakMa;
}

}  // namespace

void Excess::judge(std::int64_t value, std::int64_t limit, Millis now) {
  if (value <= limit) {
    since_.reset();
    return;
  }
  limit_ = limit;
  if (!since_) {
    since_ = now;
  }
}

void FaultMonitor::judge_voltage(std::int64_t millivolts, std::int64_t setpoint_mv, Millis now) {
  voltage_.judge(millivolts, setpoint_mv + kVoltageMarginMv, now);
}

void FaultMonitor::judge_current(std::int64_t milliamperes, std::int64_t setpoint_ma, Millis now) {
  current_.judge(milliamperes * 10, setpoint_ma * 11 + kCurrentMarginMa * 10, now);
}

void FaultMonitor::judge_obedience(bool module_on, std::int64_t milliamperes, Millis off_for) {
  if (off_for >= kObey && (module_on || leaks(milliamperes))) {
    active_.set(Fault::module_disobeys);
  }
}

void FaultMonitor::evaluate(const FaultFacts& facts, Millis now) {
  if (!facts.energised || !facts.measured_mv) {
    voltage_.stop();
  }
  if (!facts.energised || !facts.measured_ma) {
    current_.stop();
  }
  if (voltage_.ripe(now)) {
    active_.set(Fault::over_voltage);
    voltage_limit_mv_ = voltage_.limit();
  }
  if (current_.ripe(now)) {
    active_.set(Fault::over_current);
    current_limit_tenths_ = current_.limit();
  }
  evaluate_levels(facts);
  if (!facts.plugged) {
    clear_latched(facts);
  }
}

void FaultMonitor::evaluate_levels(const FaultFacts& facts) {
  if (facts.temperature_mdegc) {
    if (*facts.temperature_mdegc > kMaxTemperatureMdegc) {
      active_.set(Fault::over_temperature);
    } else if (*facts.temperature_mdegc <= kCoolMdegc) {
      active_.clear(Fault::over_temperature);
    }
  }
  if (facts.any_bus_off) {
    active_.set(Fault::bus_off);
  } else if (facts.all_buses_running) {
    active_.clear(Fault::bus_off);
  }
}

void FaultMonitor::clear_latched(const FaultFacts& facts) {
  if (facts.measured_mv && *facts.measured_mv <= voltage_limit_mv_) {
    active_.clear(Fault::over_voltage);
  }
  if (facts.measured_ma && *facts.measured_ma * 10 <= current_limit_tenths_) {
    active_.clear(Fault::over_current);
  }
  if (facts.module_on && !*facts.module_on && facts.measured_ma && !leaks(*facts.measured_ma)) {
    active_.clear(Fault::module_disobeys);
  }
}

std::string_view error_code(Faults active, bool module_silent, bool bms_silent_in_transaction) {
  if (active.has(Fault::over_temperature)) {
    return "HighTemperature";
  }
  if (active.has(Fault::over_voltage)) {
    return "OverVoltage";
  }
  if (active.has(Fault::over_current)) {
    return "OverCurrentFailure";
  }
  if (active.has(Fault::module_disobeys)) {
    return "PowerSwitchFailure";
  }
  if (active.has(Fault::bus_off)) {
    return "InternalError";
  }
  if (module_silent) {
    return "PowerSwitchFailure";
  }
  return bms_silent_in_transaction ? "EVCommunicationError" : "NoError";
}

}  // namespace evcore
