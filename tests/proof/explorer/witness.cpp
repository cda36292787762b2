// SPDX-License-Identifier: Apache-2.0
#include "witness.hpp"

#include <algorithm>

namespace proof {
namespace {

constexpr std::int32_t kFresh = 3000;
constexpr std::int32_t kWordYoungerThan = 5000;
constexpr std::int32_t kObey = 2000;
constexpr std::int32_t kRunning = static_cast<std::int32_t>(evcore::BusState::running);
constexpr std::int32_t kPassive = static_cast<std::int32_t>(evcore::BusState::error_passive);
constexpr std::int32_t kBusOff = static_cast<std::int32_t>(evcore::BusState::bus_off);

bool sends(std::int32_t state) { return state == kRunning || state == kPassive; }

std::uint32_t value_of(const evcore::CanFrame& frame) {
  std::uint32_t value = 0;
  for (std::size_t at = 4; at < 8; ++at) {
    value = value << 8U | frame.data[at];
  }
  return value;
}

// A reading that must be `value` while it is fresh, and unknown otherwise.
bool shows(const std::optional<std::int64_t>& shown, bool fresh, std::int64_t value) {
  return fresh ? shown && *shown == value : !shown;
}

}  // namespace

bool Witness::all_run(const Limits& limits) const {
  return bus[0] == kRunning && (limits.buses == 1 || bus[1] == kRunning);
}

bool Witness::measures_mv(std::int32_t& value) const {
  value = terminal_age <= kFresh ? terminal_mv : output_mv;
  return terminal_age <= kFresh || output_mv_age <= kFresh;
}

bool Witness::measures_ma(std::int32_t& value) const {
  value = terminal_age <= kFresh ? terminal_ma : output_ma;
  return terminal_age <= kFresh || output_ma_age <= kFresh;
}

bool Witness::in_range() const {
  return request_age <= kFresh && 56000 < request_mv && request_mv < 85500 && 0 < request_ma &&
         request_ma <= 300000;
}

bool Witness::may_flow(const Limits& limits) const {
  const bool vehicle = in_range() && control == 0;
  const bool faulty = hot + bus_off + over_voltage + over_current + disobeys > 0;
  const bool module =
      module_age <= kFresh && temperature_age <= kFresh && temperature <= 70000 && !faulty;
  const bool ocpp = word_age < kWordYoungerThan && transaction && permitted && limit != 0;
  return vehicle && module && ocpp && all_run(limits);
}

std::int32_t Witness::wanted_mv(const Limits& limits) const {
  return std::min(request_mv, limits.max_mv);
}

std::int32_t Witness::wanted_ma(const Limits& limits) const {
  const std::int32_t most = limit < 0 ? limits.max_ma : std::min(limit, limits.max_ma);
  return std::min(request_ma, most);
}

void Witness::before(std::int32_t wait, const Limits& limits) {
  for (std::int32_t* age :
       {&request_age, &module_age, &temperature_age, &terminal_age, &output_mv_age, &output_ma_age,
        &reply_age, &word_age, &off_age, &switch_age, &setpoint_age}) {
    *age = std::min(*age + wait, kOld);
  }
  for (std::int32_t* age : {&volts_age, &amperes_age}) {
    if (*age >= 0) {
      *age = std::min(*age + wait, kOld);
    }
  }
  judge(limits);
  earlier_mv = wanted_mv(limits);
  earlier_ma = wanted_ma(limits);
}

void Witness::take(const Event& event, const Limits& limits) {
  const std::uint8_t bms_bus = limits.buses == 2 ? 1 : 0;
  const bool terminal_silent = terminal_age > kFresh;
  switch (event.kind) {
    case Kind::tick:
      break;
    case Kind::request:
      if (event.bus == bms_bus) {
        request_age = 0;
        request_mv = event.a * 100;
        request_ma = event.b * 100;
        control = event.c;
      }
      break;
    case Kind::temperature:
      module_age = temperature_age = 0;
      temperature = event.a;
      break;
    case Kind::status:
      module_age = 0;
      break;
    case Kind::terminal:
      module_age = terminal_age = 0;
      terminal_mv = event.a;
      terminal_ma = event.b;
      judge_sample(true, true, false);
      break;
    case Kind::output_mv:
      module_age = output_mv_age = 0;
      output_mv = event.a;
      judge_sample(terminal_silent, false, false);
      break;
    case Kind::output_ma:
      module_age = output_ma_age = 0;
      output_ma = event.a;
      judge_sample(false, terminal_silent, false);
      break;
    case Kind::reply:
      module_age = reply_age = 0;
      reply = event.a;
      judge_sample(false, false, reply == 0);
      break;
    case Kind::word:
      word_age = 0;
      transaction = event.a;
      permitted = event.b;
      limit = event.c;
      break;
    case Kind::bus:
      if (event.bus < limits.buses) {
        if (event.bus == 0 && sends(event.a) && !sends(bus[0])) {
          off_age = 0;
        }
        bus[event.bus] = event.a;
      }
      break;
  }
  judge(limits);
}

void Witness::judge_sample(bool volts, bool amperes, bool says_on) {
  std::int32_t mv = 0;
  std::int32_t ma = 0;
  volts = measures_mv(mv) && volts;
  amperes = measures_ma(ma) && amperes;
  if (open == 0) {
    const bool leaks = amperes && (ma > 1000 || ma < -1000);
    if (off_age >= kObey && (says_on || leaks)) {
      disobeys = 1;
    }
    return;
  }
  if (volts) {
    const bool over = mv > setpoint_mv + 2000;
    volts_age = over ? std::max(volts_age, 0) : -1;
    volts_limit = over ? setpoint_mv + 2000 : 0;
  }
  if (amperes) {
    const bool over = ma * 10 > setpoint_ma * 11 + 10000;
    amperes_age = over ? std::max(amperes_age, 0) : -1;
    amperes_limit = over ? setpoint_ma * 11 + 10000 : 0;
  }
}

void Witness::clear_latches() {
  std::int32_t mv = 0;
  std::int32_t ma = 0;
  const bool knows_ma = measures_ma(ma);
  if (measures_mv(mv) && mv <= over_voltage_limit) {
    over_voltage = 0;
  }
  if (knows_ma && ma * 10 <= over_current_limit) {
    over_current = 0;
  }
  if (reply_age <= kFresh && reply == 1 && knows_ma && -1000 <= ma && ma <= 1000) {
    disobeys = 0;
  }
}

void Witness::judge(const Limits& limits) {
  std::int32_t value = 0;
  if (open == 0 || !measures_mv(value)) {
    volts_age = -1;
  }
  if (open == 0 || !measures_ma(value)) {
    amperes_age = -1;
  }
  if (volts_age >= 200) {
    over_voltage = 1;
    over_voltage_limit = volts_limit;
  }
  if (amperes_age >= 500) {
    over_current = 1;
    over_current_limit = amperes_limit;
  }
  if (temperature_age <= kFresh) {
    hot = temperature > 70000 ? 1 : temperature <= 60000 ? 0 : hot;
  }
  if (bus[0] == kBusOff || (limits.buses == 2 && bus[1] == kBusOff)) {
    bus_off = 1;
  } else if (all_run(limits)) {
    bus_off = 0;
  }
  if (request_age > kFresh) {
    clear_latches();
  }
  const bool was_open = open != 0;
  open = may_flow(limits) ? 1 : 0;
  if (was_open && open == 0) {
    off_age = 0;
    setpoint_mv = setpoint_ma = 0;
  }
}

std::string Witness::read_command(const evcore::CanFrame& frame, const Limits& limits) {
  const std::uint32_t value = value_of(frame);
  if (frame.data[1] == 0x32) {
    told_on = frame.data[3] == 0 ? 1 : 0;
    switch_age = 0;
    return told_on > open ? "on is sent while the gate is closed" : "";
  }
  const bool volts = frame.data[1] == 0;
  const std::int32_t now_wanted = volts ? wanted_mv(limits) : wanted_ma(limits);
  const std::int32_t earlier = volts ? earlier_mv : earlier_ma;
  std::int32_t& setpoint = volts ? setpoint_mv : setpoint_ma;
  const auto raw = [volts](std::int64_t milli) {
    return static_cast<std::uint32_t>(volts ? (milli * 1024 + 500) / 1000
                                            : (milli * 61 + 1000) / 2000);
  };
  for (const std::int32_t wanted : {now_wanted, earlier}) {
    if (open != 0 && value == raw(wanted)) {
      if (setpoint != wanted || told_on == 0) {
        setpoint_age = 0;
      }
      setpoint = wanted;
      return "";
    }
  }
  return value == raw(setpoint) ? "" : "a setpoint is sent that nobody asked for";
}

std::string Witness::read_outputs(evcore::Controller& controller, const Limits& limits) {
  const bool was_on = told_on != 0;
  bool first = true;
  evcore::Output output;
  while (controller.pop(output)) {
    if (output.kind != evcore::OutputKind::can) {
      continue;
    }
    const bool command = output.frame.can_id == 0x068181FE;
    const bool off = command && output.frame.data[1] == 0x32 && output.frame.data[3] == 1;
    if (was_on && open == 0 && first && !(off && output.urgent)) {
      return "the gate closed, and off is not the first frame";
    }
    if (!off && !sends(bus[output.bus])) {
      return "a frame is given to a bus that cannot send it";
    }
    first = false;
    const std::string wrong = command ? read_command(output.frame, limits) : "";
    if (!wrong.empty()) {
      return wrong;
    }
  }
  return "";
}

std::string Witness::compare(const evcore::Snapshot& snapshot, const Limits& limits) const {
  std::int32_t mv = 0;
  std::int32_t ma = 0;
  const bool knows_mv = measures_mv(mv);
  const bool knows_ma = measures_ma(ma);
  const bool plugged = request_age <= kFresh;
  const bool believed = word_age < kWordYoungerThan;
  if (snapshot.energised != (open != 0)) {
    return open != 0 ? "closed, and every condition holds" : "energised without a condition";
  }
  if ((snapshot.gate == evcore::GateReason::open) != snapshot.energised) {
    return "the gate's reason contradicts energised";
  }
  if (told_on != open) {
    return "the module was last told the opposite of the gate";
  }
  if (switch_age >= 500) {
    return "the switch was not repeated for 500 ms";
  }
  if (open != 0 && setpoint_age >= 100 &&
      (setpoint_mv != wanted_mv(limits) || setpoint_ma != wanted_ma(limits))) {
    return "a changed setpoint was not sent";
  }
  if (snapshot.setpoint_mv != setpoint_mv || snapshot.setpoint_ma != setpoint_ma) {
    return "the setpoint shown is not the one that was sent";
  }
  const bool shown_right =
      snapshot.plugged == plugged &&
      snapshot.permitted == (believed && transaction != 0 && permitted != 0 && limit != 0) &&
      shows(snapshot.requested_mv, plugged, request_mv) &&
      shows(snapshot.requested_ma, plugged, request_ma) &&
      shows(snapshot.measured_mv, knows_mv, mv) && shows(snapshot.measured_ma, knows_ma, ma) &&
      shows(snapshot.temperature_mdegc, temperature_age <= kFresh, temperature) &&
      shows(snapshot.limit_ma, believed && limit >= 0, limit) &&
      snapshot.module_alive == (module_age <= kFresh) &&
      (snapshot.module_state == evcore::ModuleState::unknown) == (reply_age > kFresh);
  return shown_right ? "" : "something stale, or something else than what came, is shown";
}

std::string Witness::check(evcore::Controller& controller, evcore::Millis now,
                           const Limits& limits) {
  const std::string wrong = read_outputs(controller, limits);
  return wrong.empty() ? compare(controller.snapshot(now), limits) : wrong;
}

void Witness::normalise(bool keeps_off_age, bool keeps_switch_age) {
  const auto forget = [](std::int32_t& age, std::int32_t fresh, auto&... values) {
    if (age > fresh) {
      age = kOld;
      ((values = 0), ...);
    }
  };
  forget(request_age, kFresh, request_mv, request_ma, control);
  forget(module_age, kFresh);
  forget(temperature_age, kFresh, temperature);
  forget(terminal_age, kFresh, terminal_mv, terminal_ma);
  forget(output_mv_age, kFresh, output_mv);
  forget(output_ma_age, kFresh, output_ma);
  forget(reply_age, kFresh, reply);
  forget(word_age, kWordYoungerThan - 1, transaction, permitted, limit);
  forget(volts_age, 200);
  forget(amperes_age, 500);
  forget(setpoint_age, 99);
  forget(off_age, kObey - 1);
  off_age = keeps_off_age && open == 0 ? off_age : 0;
  switch_age = keeps_switch_age ? switch_age : 0;
  setpoint_age = open != 0 ? setpoint_age : kOld;
  volts_limit = volts_age >= 0 ? volts_limit : 0;
  amperes_limit = amperes_age >= 0 ? amperes_limit : 0;
  over_voltage_limit = over_voltage != 0 ? over_voltage_limit : 0;
  over_current_limit = over_current != 0 ? over_current_limit : 0;
  earlier_mv = earlier_ma = 0;
}

}  // namespace proof
