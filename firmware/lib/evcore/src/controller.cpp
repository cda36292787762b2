// SPDX-License-Identifier: Apache-2.0
#include "evcore/controller.hpp"

#include <algorithm>

#include "evcore/can_tables.hpp"
#include "evcore/charge_gate.hpp"
#include "evcore/console.hpp"
#include "evcore/module_commands.hpp"

namespace evcore {
namespace {

using can_tables::CapacityQuery;
using can_tables::ChargeFeedback;
using can_tables::ControlRequest;
using can_tables::DischargeQuery;
using can_tables::TelemetryRequest;

constexpr Millis kLatest = 0x4000'0000'0000'0000;  // 2^62
constexpr Millis kRepeat = 500;
constexpr Millis kSetpointSpacing = 100;
constexpr Millis kReportSpacing = 9000;
constexpr Millis kRecord = 1000;
constexpr std::uint8_t kControlTurns = 3;

constexpr std::string_view bus_digit(std::uint8_t bus) { return bus == 0 ? "0" : "1"; }

}  // namespace

Controller::Controller(const Config& config, const BootInfo& boot_info)
    : config_(config),
      boot_info_(boot_info),
      bus_count_(config.buses == 2 ? 2 : 1),
      bms_(config_),
      module_(config_),
      buses_(bus_count_),
      meter_(boot_info.energy_mwh),
      stored_mwh_(meter_.register_mwh()),
      control_(ControlRequest::kPeriodMs),
      telemetry_(TelemetryRequest::kPeriodMs),
      feedback_(ChargeFeedback::kPeriodMs),
      capacity_(CapacityQuery::kPeriodMs),
      records_(kRecord) {}

// Inputs

void Controller::boot(Millis now) {
  if (booted_) {
    return;
  }
  booted_ = true;
  now = not_before_last(now);
  now_ = now;
  boot_at_ = now;
  stored_at_ = now;
  buses_.start(now);
  for (Every* period : {&control_, &telemetry_, &feedback_, &capacity_}) {
    period->start(now);
  }
  print(boot_event(boot_info_));
  print(kMenu);
  tell_off(now);
  settle(now);
}

void Controller::on_frame(std::uint8_t bus, const CanFrame& frame, Millis now) {
  if (!booted_) {
    return;
  }
  now = let_time_pass(now);
  if (bus == bms_bus() && !bms_.receive(frame, now)) {
    ++malformed_;
  }
  if (bus == kModuleBus) {
    heard(module_.receive(frame, now), now);
  }
  settle(now);
}

void Controller::on_ocpp(const OcppWord& word, Millis now) {
  if (!booted_) {
    return;
  }
  now = let_time_pass(now);
  const bool was_running = permission_.in_transaction();
  permission_.set(word, now);
  if (word.transaction && !was_running) {
    meter_.start_session();
    event("transaction state=started");
  } else if (was_running && !word.transaction) {
    meter_.end_session();
    event("transaction state=ended");
    store(now);
  }
  settle(now);
}

void Controller::on_bus(std::uint8_t bus, BusState state, Millis now) {
  if (!booted_) {
    return;
  }
  now = let_time_pass(now);
  if (buses_.knows(bus)) {
    if (state != buses_.state(bus)) {
      event("bus bus=", bus_digit(bus), " state=", name(state));
    }
    if (buses_.set(bus, state) && bus == kModuleBus) {
      tell_off(now);  // what was sent meanwhile is lost
    }
  }
  settle(now);
}

void Controller::on_report(Report report, Millis now) {
  if (!booted_) {
    return;
  }
  settle(let_time_pass(now), report == Report::transaction ? 0 : kReportSpacing);
}

void Controller::tick(Millis now) {
  if (!booted_) {
    return;
  }
  now_ = not_before_last(now);
  settle(now_);
}

// What happens in every input

Millis Controller::not_before_last(Millis now) const {
  return std::min(std::max(now, now_), kLatest);
}

Millis Controller::let_time_pass(Millis now) {
  now_ = not_before_last(now);
  evaluate(now_);
  return now_;
}

void Controller::settle(Millis now, Millis store_spacing) {
  evaluate(now);
  send_what_is_due(now);
  if (view_ != View::mute && records_.due(now)) {
    print_view(now);
  }
  if (meter_.register_mwh() != stored_mwh_ && now - stored_at_ >= store_spacing) {
    store(now);
  }
  for (std::uint8_t bus = 0; bus < bus_count_; ++bus) {
    if (buses_.recovery_due(bus, now)) {
      event("recover bus=", bus_digit(bus));
      Output output;
      output.kind = OutputKind::recover;
      output.bus = bus;
      outputs_.push_back(output);
    }
  }
}

void Controller::evaluate(Millis now) {
  note_plug(now);
  evaluate_faults(now);
  note_word(now);
  const GateReason reason = judge_gate(now);
  if (reason != GateReason::open) {
    if (energised_) {
      close_gate(reason, now);
    }
    return;
  }
  const Setpoint wanted = wanted_setpoint(now);
  if (!energised_) {
    open_gate(wanted, now);
    return;
  }
  const bool changed =
      wanted.millivolts != setpoint_.millivolts || wanted.milliamperes != setpoint_.milliamperes;
  if (changed && now - setpoint_sent_ >= kSetpointSpacing) {
    send_setpoint(wanted, now);
  }
}

void Controller::note_plug(Millis now) {
  const bool plugged = bms_.alive(now);
  if (plugged == plugged_) {
    return;
  }
  plugged_ = plugged;
  event("plug state=", plugged ? "in" : "out");
  if (!plugged) {
    bms_.forget_pack();
  }
}

void Controller::evaluate_faults(Millis now) {
  FaultFacts facts;
  facts.plugged = plugged_;
  facts.energised = energised_;
  facts.measured_mv = module_.measured_mv(now);
  facts.measured_ma = module_.measured_ma(now);
  facts.temperature_mdegc = module_.temperature_mdegc(now);
  facts.module_on = module_.on(now);
  facts.any_bus_off = buses_.any_bus_off();
  facts.all_buses_running = buses_.all_running();
  faults_.evaluate(facts, now);
  const Faults active = faults_.active();
  if (active == known_faults_) {
    return;
  }
  for (std::uint8_t index = 0; index < kFaultCount; ++index) {
    const auto fault = static_cast<Fault>(index);
    if (active.has(fault) != known_faults_.has(fault)) {
      event("fault name=", name(fault), " state=", active.has(fault) ? "set" : "cleared");
    }
  }
  known_faults_ = active;
}

void Controller::note_word(Millis now) {
  const bool connected = permission_.connected(now);
  if (connected != connected_) {
    connected_ = connected;
    event("ocpp state=", connected ? "connected" : "disconnected");
  }
  const bool permitted = permission_.granted(now);
  if (permitted != permitted_) {
    permitted_ = permitted;
    event("permit state=", permitted ? "granted" : "withdrawn");
  }
}

void Controller::heard(const Heard& heard, Millis now) {
  if (heard.malformed) {
    ++malformed_;
    return;
  }
  const auto millivolts = module_.measured_mv(now);
  const auto milliamperes = module_.measured_ma(now);
  if (energised_) {
    if (heard.voltage && millivolts) {
      faults_.judge_voltage(*millivolts, setpoint_.millivolts, now);
    }
    if (heard.current && milliamperes) {
      faults_.judge_current(*milliamperes, setpoint_.milliamperes, now);
    }
  } else {
    const bool says_on = heard.state && module_.on(now).value_or(false);
    faults_.judge_obedience(says_on, heard.current ? milliamperes.value_or(0) : 0,
                            now - off_since_);
  }
  if ((heard.voltage || heard.current) && millivolts && milliamperes) {
    meter_.sample(*millivolts, *milliamperes, now);
  }
}

// Facts

GateReason Controller::judge_gate(Millis now) const {
  GateFacts facts;
  facts.plugged = bms_.alive(now);
  facts.switch_allowed = bms_.allowed(now);
  facts.in_range = bms_.in_range(now);
  facts.buses_running = buses_.all_running();
  facts.fault = faults_.active().any();
  facts.module_alive = module_.alive(now);
  facts.temperature_mdegc = module_.temperature_mdegc(now);
  facts.word = permission_.current(now);
  return judge(facts);
}

Controller::Setpoint Controller::wanted_setpoint(Millis now) const {
  const auto& request = bms_.request(now);
  if (!request) {
    return {};
  }
  return {std::min<std::int64_t>(request->voltage_mv, config_.max_voltage_mv),
          std::min(request->current_ma, current_cap_ma(now))};
}

std::int64_t Controller::current_cap_ma(Millis now) const {
  const std::int64_t cap = config_.max_current_ma;
  return std::min(cap, permission_.limit_ma(now).value_or(cap));
}

std::string_view Controller::error(Millis now) const {
  // Without a first word, a module's silence counts from the start: it has time to say one.
  const Millis silence = module_.silence(now).value_or(now - boot_at_);
  return error_code(faults_.active(), silence > kModuleFresh,
                    permission_.in_transaction() && !bms_.alive(now));
}

std::uint8_t Controller::flags(Millis now) const {
  return feedback_flags(faults_.active(), bms_.alive(now), bms_.silent(now));
}

// The module

void Controller::open_gate(const Setpoint& wanted, Millis now) {
  energised_ = true;
  event("gate state=open");
  send_setpoint(wanted, now);
  send_switch(now);
}

void Controller::close_gate(GateReason reason, Millis now) {
  energised_ = false;
  setpoint_ = {};
  event("gate state=closed reason=", name(reason));
  tell_off(now);
}

// Off, ahead of all frames; commands that were not fetched yet must not follow it.
void Controller::tell_off(Millis now) {
  outputs_.drop_frames(ControlRequest::kId);
  Output output;
  output.kind = OutputKind::can;
  output.bus = kModuleBus;
  output.frame = switch_command(false);
  output.urgent = true;
  outputs_.push_front(output);
  switch_sent_ = now;
  off_since_ = now;
}

void Controller::send_switch(Millis now) {
  send(kModuleBus, switch_command(energised_), !energised_);
  switch_sent_ = now;
}

void Controller::send_setpoint(const Setpoint& wanted, Millis now) {
  setpoint_ = wanted;
  setpoint_sent_ = now;
  send(kModuleBus, voltage_setpoint_command(setpoint_.millivolts));
  send(kModuleBus, current_setpoint_command(setpoint_.milliamperes));
}

void Controller::send_what_is_due(Millis now) {
  if (now - switch_sent_ >= kRepeat) {
    send_switch(now);
  }
  const bool module_bus_up = buses_.transmits(kModuleBus);
  if (control_.due(now) && module_bus_up) {
    send_control_turn(now);
  }
  if (telemetry_.due(now) && module_bus_up) {
    send(kModuleBus, telemetry_question(kTelemetryTurns[telemetry_turn_]));
    telemetry_turn_ = static_cast<std::uint8_t>((telemetry_turn_ + 1U) % kTelemetryTurns.size());
  }
  const bool bms_bus_up = buses_.transmits(bms_bus());
  if (feedback_.due(now) && bms_bus_up) {
    send(bms_bus(), feedback(module_.measured_mv(now).value_or(0),
                             module_.measured_ma(now).value_or(0), flags(now)));
  }
  if (capacity_.due(now) && bms_bus_up) {
    send(bms_bus(), query(CapacityQuery::kId));
    if (config_.capacity_source == CapacitySource::charged_minus_discharged) {
      send(bms_bus(), query(DischargeQuery::kId));
    }
  }
}

void Controller::send_control_turn(Millis now) {
  switch (control_turn_) {
    case 0:
      send_switch(now);
      break;
    case 1:
      send(kModuleBus, voltage_setpoint_command(setpoint_.millivolts));
      break;
    default:
      send(kModuleBus, current_setpoint_command(setpoint_.milliamperes));
      break;
  }
  control_turn_ = static_cast<std::uint8_t>((control_turn_ + 1U) % kControlTurns);
}

void Controller::send(std::uint8_t bus, const CanFrame& frame, bool urgent) {
  Output output;
  output.kind = OutputKind::can;
  output.bus = bus;
  output.frame = frame;
  output.urgent = urgent;
  outputs_.push_back(output);
}

// Store

void Controller::store(Millis now) {
  stored_mwh_ = meter_.register_mwh();
  stored_at_ = now;
  Output output;
  output.kind = OutputKind::store;
  output.text.append("energy_mwh");
  output.value = stored_mwh_;
  outputs_.push_back(output);
}

}  // namespace evcore
