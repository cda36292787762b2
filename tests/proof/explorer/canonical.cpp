// SPDX-License-Identifier: Apache-2.0
#include "canonical.hpp"

#include <algorithm>

namespace proof {
namespace {

using evcore::Millis;

constexpr Millis kFresh = 3000;
constexpr Millis kWord = 4999;
constexpr Millis kVoltsHold = 200;
constexpr Millis kAmperesHold = 500;
constexpr Millis kObey = 2000;
constexpr Millis kSpacing = 100;
constexpr Millis kRepeat = 500;
constexpr Millis kControlPeriod = 100;

std::int32_t small(std::int64_t value) { return static_cast<std::int32_t>(value); }

// The age of a fresh value, or kNever.
template <typename Value>
std::int32_t age_of(const evcore::Timed<Value>& timed, Millis limit, Millis now) {
  return timed.within(limit, now) ? small(now - timed.at_) : kNever;
}

std::int32_t since(const std::optional<Millis>& start, Millis hold, Millis now) {
  return start ? small(std::min(now - *start, hold)) : kNever;
}

class Writer {
 public:
  Writer(Millis now, Disguise* disguise) : now_(now), disguise_(disguise) {}

  [[nodiscard]] bool plain() const { return disguise_ == nullptr; }
  std::int64_t any(std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(*disguise_);
  }

  // A time that lies `age` back; from the limit on, any that lies further back.
  Millis back(std::int32_t age, Millis limit) {
    return now_ - (age < limit || plain() ? age : any(limit, limit * 3 + (limit << any(0, 20))));
  }

  template <typename Value>
  void timed(evcore::Timed<Value>& member, std::int32_t age, Millis limit, const Value& fresh,
             const Value& stale) {
    member.clear();
    member.at_ = 0;
    if (age != kNever) {
      member.set(fresh, now_ - age);
    } else if (!plain() && any(0, 1) == 1) {
      member.set(stale, back(small(limit + 1), limit + 1));
    }
  }

  std::optional<Millis> excess(std::int32_t age, Millis hold) {
    if (age == kNever) {
      return std::nullopt;
    }
    return back(age, hold);
  }

 private:
  Millis now_;
  Disguise* disguise_;
};

void write_left_out(evcore::Controller& controller, Writer& writer, Millis now) {
  const auto some = [&writer](std::int64_t most) { return writer.any(0, most); };
  controller.malformed_ = static_cast<std::uint64_t>(some(99));
  controller.connected_ = some(1) == 1;
  controller.permitted_ = some(1) == 1;
  controller.view_ = static_cast<evcore::View>(some(5));
  controller.records_.due_ = now + some(1000) - 500;
  controller.telemetry_.due_ = now + some(100);
  controller.feedback_.due_ = now + some(100);
  controller.capacity_.due_ = now + some(2000);
  controller.telemetry_turn_ = static_cast<std::uint8_t>(some(4));
  controller.boot_at_ = now - some(9000);
  controller.stored_at_ = now - some(70000);
  controller.buses_.start_ = now - some(9000);
  for (auto& recovery : controller.buses_.last_recovery_) {
    recovery = some(1) == 1 ? std::optional<Millis>(now - some(9000)) : std::nullopt;
  }
  controller.meter_.register_mwh_ = static_cast<std::uint64_t>(some(1LL << 40));
  controller.meter_.carried_nj_ = static_cast<std::uint64_t>(some(3'599'999'999));
  controller.meter_.previous_uw_ = static_cast<std::uint64_t>(some(1LL << 40));
  controller.meter_.previous_at_ = now - some(3000);
  controller.stored_mwh_ = controller.meter_.register_mwh_ / 2;
  controller.bms_.capacity_mah_.set(some(40000), now - some(12000));
  controller.module_.heartbeat_.set(some(1) == 1, now - some(4000));
  controller.module_.status_.set(static_cast<std::uint16_t>(some(0xFFFF)), now - some(4000));
}

}  // namespace

Core read(const evcore::Controller& controller, Millis now, const Scope& scope) {
  Core core;
  const evcore::PowerModule& module = controller.module_;
  if (const auto request = controller.bms_.request_.within(kFresh, now)) {
    core.request_age = age_of(controller.bms_.request_, kFresh, now);
    core.request_mv = small(request->voltage_mv);
    core.request_ma = small(request->current_ma);
    core.allowed = request->allowed ? 1 : 0;
  }
  core.any_age = age_of(module.any_, kFresh, now);
  core.temperature_age = age_of(module.temperature_mdegc_, kFresh, now);
  core.temperature = small(module.temperature_mdegc_.within(kFresh, now).value_or(0));
  core.terminal_age = age_of(module.terminal_, kFresh, now);
  const auto terminal = module.terminal_.within(kFresh, now).value_or(evcore::Terminal{});
  core.terminal_mv = small(terminal.millivolts);
  core.terminal_ma = small(terminal.milliamperes);
  core.output_mv_age = age_of(module.output_mv_, kFresh, now);
  core.output_mv = small(module.output_mv_.within(kFresh, now).value_or(0));
  core.output_ma_age = age_of(module.output_ma_, kFresh, now);
  core.output_ma = small(module.output_ma_.within(kFresh, now).value_or(0));
  core.on_age = age_of(module.on_, kFresh, now);
  core.on = module.on_.within(kFresh, now).value_or(false) ? 1 : 0;
  if (const auto word = controller.permission_.word_.within(kWord, now)) {
    core.word_age = age_of(controller.permission_.word_, kWord, now);
    core.transaction = word->transaction ? 1 : 0;
    core.permitted = word->permitted ? 1 : 0;
    core.limit = word->limit_ma;
  }
  for (std::size_t bus = 0; bus < evcore::kMaxBuses; ++bus) {
    core.bus[bus] = static_cast<std::int32_t>(controller.buses_.state_[bus]);
  }
  const evcore::FaultMonitor& faults = controller.faults_;
  core.faults = faults.active_.bits_;
  core.volts_age = since(faults.voltage_.since_, kVoltsHold, now);
  core.volts_limit = core.volts_age == kNever ? 0 : small(faults.voltage_.limit_);
  core.amperes_age = since(faults.current_.since_, kAmperesHold, now);
  core.amperes_limit = core.amperes_age == kNever ? 0 : small(faults.current_.limit_);
  const bool over_voltage = faults.active_.has(evcore::Fault::over_voltage);
  const bool over_current = faults.active_.has(evcore::Fault::over_current);
  core.over_voltage_limit = over_voltage ? small(faults.voltage_limit_mv_) : 0;
  core.over_current_limit = over_current ? small(faults.current_limit_tenths_) : 0;
  core.energised = controller.energised_ ? 1 : 0;
  core.plugged = controller.plugged_ ? 1 : 0;
  core.setpoint_mv = small(controller.setpoint_.millivolts);
  core.setpoint_ma = small(controller.setpoint_.milliamperes);
  if (core.energised == 1) {  // asked for only while the gate is open
    core.setpoint_age = small(std::min(now - controller.setpoint_sent_, kSpacing));
  } else if (scope.off_since) {  // only while it is closed
    core.off_age = small(std::min(now - controller.off_since_, kObey));
  }
  if (scope.repetition) {
    core.switch_age = small(std::min(now - controller.switch_sent_, kRepeat));
    core.control_due = small(controller.control_.due_ - now);
    core.control_turn = controller.control_turn_;
  }
  return core;
}

void write(evcore::Controller& controller, const Core& core, Millis now, const Scope& scope,
           Disguise* disguise) {
  Writer writer(now, disguise);
  evcore::Output output;
  while (controller.pop(output)) {
  }
  controller.now_ = now;
  evcore::Request request;
  request.voltage_mv = core.request_mv;
  request.current_ma = core.request_ma;
  request.allowed = core.allowed != 0;
  evcore::Request other = request;
  other.voltage_mv = 72000;
  other.current_ma = 30000;
  other.allowed = true;
  writer.timed(controller.bms_.request_, core.request_age, kFresh, request, other);
  evcore::PowerModule& module = controller.module_;
  using Number = std::int64_t;
  writer.timed(module.any_, core.any_age, kFresh, true, true);
  writer.timed<Number>(module.temperature_mdegc_, core.temperature_age, kFresh, core.temperature,
                       90000);
  writer.timed<evcore::Terminal>(module.terminal_, core.terminal_age, kFresh,
                                 {core.terminal_mv, core.terminal_ma}, {99000, 99000});
  writer.timed<Number>(module.output_mv_, core.output_mv_age, kFresh, core.output_mv, 99000);
  writer.timed<Number>(module.output_ma_, core.output_ma_age, kFresh, core.output_ma, 99000);
  writer.timed(module.on_, core.on_age, kFresh, core.on != 0, true);
  evcore::OcppWord word{true, core.transaction != 0, core.permitted != 0, core.limit};
  writer.timed(controller.permission_.word_, core.word_age, kWord, word, {true, true, true, -1});
  for (std::size_t bus = 0; bus < evcore::kMaxBuses; ++bus) {
    controller.buses_.state_[bus] = static_cast<evcore::BusState>(core.bus[bus]);
  }
  evcore::FaultMonitor& faults = controller.faults_;
  faults.active_.bits_ = static_cast<std::uint8_t>(core.faults);
  controller.known_faults_ = faults.active_;
  faults.voltage_.since_ = writer.excess(core.volts_age, kVoltsHold);
  faults.voltage_.limit_ = core.volts_limit;
  faults.current_.since_ = writer.excess(core.amperes_age, kAmperesHold);
  faults.current_.limit_ = core.amperes_limit;
  faults.voltage_limit_mv_ = core.over_voltage_limit;
  faults.current_limit_tenths_ = core.over_current_limit;
  controller.energised_ = core.energised != 0;
  controller.plugged_ = core.plugged != 0;
  controller.setpoint_ = {core.setpoint_mv, core.setpoint_ma};
  controller.setpoint_sent_ = writer.back(core.setpoint_age, kSpacing);
  controller.off_since_ = writer.back(core.off_age, kObey);
  controller.switch_sent_ = writer.back(core.switch_age, kRepeat);
  controller.control_.due_ = now + core.control_due;
  controller.control_turn_ = static_cast<std::uint8_t>(core.control_turn);
  if (!writer.plain()) {
    write_left_out(controller, writer, now);
    if (!scope.repetition) {
      controller.control_.due_ = now + writer.any(0, kControlPeriod);
      controller.control_turn_ = static_cast<std::uint8_t>(writer.any(0, 2));
      controller.switch_sent_ = now - writer.any(0, 2 * kRepeat);
    }
    if (core.energised == 1 || !scope.off_since) {
      controller.off_since_ = now - writer.any(0, 2 * kObey);
    }
  }
}

}  // namespace proof
