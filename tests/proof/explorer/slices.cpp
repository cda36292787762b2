// SPDX-License-Identifier: Apache-2.0
#include "slices.hpp"

#include <initializer_list>

namespace proof {
namespace {

struct Named {
  const char* name;
  Event event;
};

std::int32_t number(evcore::BusState state) { return static_cast<std::int32_t>(state); }

const Named kTick{"tick", {}};
const Named kAsks{"request 72 V 30 A", {Kind::request, 0, 720, 300, 0}};
const Named kAsksLess{"request 60 V 10 A", {Kind::request, 0, 600, 100, 0}};
const Named kSwitchOff{"request, switch off", {Kind::request, 0, 720, 300, 1}};
const Named kTooLittle{"request 56 V", {Kind::request, 0, 560, 300, 0}};
const Named kNoCurrent{"request 0 A", {Kind::request, 0, 720, 0, 0}};
const Named kCool{"25 degrees", {Kind::temperature, 0, 25000}};
const Named kWarm{"70 degrees", {Kind::temperature, 0, 70000}};
const Named kHot{"70.001 degrees", {Kind::temperature, 0, 70001}};
const Named kStatus{"terminal_status", {Kind::status}};
const Named kPermits{"word: permitted", {Kind::word, 0, 1, 1, -1}};
const Named kSixAmperes{"word: 6 A", {Kind::word, 0, 1, 1, 6000}};
const Named kForbids{"word: not permitted", {Kind::word, 0, 1, 0, -1}};
const Named kNoTransaction{"word: no transaction", {Kind::word, 0, 0, 1, -1}};
const Named kLimitZero{"word: limit 0", {Kind::word, 0, 1, 1, 0}};

Named bus_is(const char* name, evcore::BusState state, std::uint8_t bus = 0) {
  return {name, {Kind::bus, bus, number(state)}};
}
const Named kRuns = bus_is("bus 0 running", evcore::BusState::running);
const Named kPassive = bus_is("bus 0 error_passive", evcore::BusState::error_passive);
const Named kBusOff = bus_is("bus 0 bus_off", evcore::BusState::bus_off);
const Named kStopped = bus_is("bus 0 stopped", evcore::BusState::stopped);

const Named kTerminalWell{"terminal 72 V 6 A", {Kind::terminal, 0, 72000, 6000}};
const Named kTerminalHigh{"terminal 75 V 6 A", {Kind::terminal, 0, 75000, 6000}};
const Named kTerminalMuch{"terminal 60 V 40 A", {Kind::terminal, 0, 60000, 40000}};
const Named kTerminalIdle{"terminal 60 V 1 A", {Kind::terminal, 0, 60000, 1000}};
const Named kOutputHigh{"output 75 V", {Kind::output_mv, 0, 75000}};
const Named kOutputMuch{"output 40 A", {Kind::output_ma, 0, 40000}};
const Named kOutputWell{"output 72 V", {Kind::output_mv, 0, 72000}};
const Named kOutputIdle{"output 1 A", {Kind::output_ma, 0, 1000}};
const Named kSaysOn{"module says on", {Kind::reply, 0, 0}};
const Named kSaysOff{"module says off", {Kind::reply, 0, 1}};

// Each of `what` at once, one under, on and one over every multiple, and after ages.
void add_each(Slice& slice, std::initializer_list<Named> what) {
  for (const Named& each : what) {
    for (const Wait wait : {Wait::none, Wait::near, Wait::unit, Wait::ages}) {
      if (wait != Wait::none || each.event.kind != Kind::tick) {
        slice.moves.push_back({each.name, wait, {each.event}});
      }
    }
  }
}

// One of each list together, after a wait.
void add_together(Slice& slice, std::initializer_list<Wait> waits,
                  std::initializer_list<std::vector<Named>> lists) {
  std::vector<Move> made{Move{}};
  for (const std::vector<Named>& list : lists) {
    std::vector<Move> longer;
    for (const Move& move : made) {
      for (const Named& each : list) {
        longer.push_back(move);
        longer.back().name += (move.name.empty() ? "" : ", ") + std::string(each.name);
        longer.back().events.push_back(each.event);
      }
    }
    made = std::move(longer);
  }
  for (const Wait wait : waits) {
    for (Move& move : made) {
      move.wait = wait;
      slice.moves.push_back(move);
    }
  }
}

// Every condition of the gate, alone: who says what, and how long ago.
Slice conditions(bool whole) {
  Slice slice;
  slice.name = whole ? "conditions" : "conditions-small";
  add_each(slice,
           {kTick, kAsks, kSwitchOff, kCool, kWarm, kHot, kPermits, kForbids, kRuns, kBusOff});
  if (whole) {
    add_each(slice, {kTooLittle, kStatus, kLimitZero, kNoTransaction, kPassive, kStopped});
  }
  return slice;
}

// The faults' timers and latches: the vehicle, the module and OCPP speak at every step, or the
// vehicle is gone after ages.
Slice faults(bool whole) {
  Slice slice;
  slice.name = whole ? "faults" : "faults-small";
  slice.unit = 100;
  slice.scope.off_since = true;
  add_together(slice, {Wait::none, Wait::ages}, {{kRuns, kBusOff}});
  const std::vector<Named> requests = whole ? std::vector{kAsks, kAsksLess} : std::vector{kAsks};
  const std::vector<Named> words =
      whole ? std::vector{kPermits, kSixAmperes, kForbids} : std::vector{kPermits, kForbids};
  const std::vector<Named> terminal{kTerminalWell, kTerminalHigh, kTerminalMuch, kTerminalIdle};
  const std::vector<Named> says{kSaysOn, kSaysOff};
  add_together(slice, {Wait::near, Wait::unit}, {requests, {kCool}, words, terminal, says});
  add_together(slice, {Wait::ages}, {{kCool}, {kForbids}, terminal, says});
  return slice;
}

// The same with the module's own output instead of a terminal, and with words alone: what was
// measured grows old while the rest goes on.
Slice output_faults() {
  Slice slice;
  slice.name = "output-faults";
  slice.unit = 100;
  slice.scope.off_since = true;
  const std::vector<Named> words{kPermits, kForbids};
  add_together(slice, {Wait::none, Wait::ages}, {{kRuns}});
  add_together(slice, {Wait::near, Wait::unit},
               {{kAsks}, {kCool}, words, {kOutputHigh, kOutputWell}, {kOutputMuch, kOutputIdle}});
  add_together(slice, {Wait::ages},
               {{kCool}, {kForbids}, {kOutputWell}, {kOutputIdle}, {kSaysOff}});
  add_together(slice, {Wait::ages}, {{kTerminalIdle}, {kOutputHigh}});
  return slice;
}

// The repetition of the switch and the turns of control_request.
Slice repetition(bool whole) {
  Slice slice;
  slice.name = whole ? "repetition" : "repetition-small";
  slice.unit = whole ? 20 : 100;
  slice.scope.repetition = true;
  add_together(slice, {Wait::none}, {{kRuns, kPassive, kBusOff}});
  const std::vector<Named> requests{kAsks, kAsksLess};
  const std::vector<Named> words{kPermits, kForbids};
  add_together(slice, {Wait::none, Wait::near, Wait::unit, Wait::ages}, {requests, {kCool}, words});
  return slice;
}

// Two buses: the vehicle's own may fail alone, and a request on the other one is nobody's.
Slice two_buses() {
  Slice slice;
  slice.name = "two-buses";
  slice.config.buses = 2;
  slice.limits.buses = 2;
  Named asks = kAsks;
  asks.event.bus = 1;
  asks.name = "request 72 V 30 A on bus 1";
  add_each(slice, {kTick, asks, kCool, kPermits, kRuns, kBusOff});
  add_each(slice, {bus_is("bus 1 running", evcore::BusState::running, 1),
                   bus_is("bus 1 bus_off", evcore::BusState::bus_off, 1)});
  add_together(slice, {Wait::none}, {{kSwitchOff, kAsksLess}});
  return slice;
}

// The setpoints: the least of request, maximum and limit, changed at most every 100 ms.
Slice setpoints() {
  Slice slice;
  slice.name = "setpoints";
  slice.unit = 100;
  slice.config.max_voltage_mv = slice.limits.max_mv = 70000;
  slice.config.max_current_ma = slice.limits.max_ma = 20000;
  add_together(slice, {Wait::none, Wait::near, Wait::unit, Wait::ages},
               {{kAsks, kAsksLess, kNoCurrent},
                {kCool},
                {kPermits, kSixAmperes, kLimitZero, kNoTransaction}});
  add_together(slice, {Wait::none, Wait::near, Wait::unit}, {{kRuns}});
  return slice;
}

}  // namespace

std::vector<Slice> all_slices() {
  return {conditions(false), faults(false), repetition(false), setpoints(),    two_buses(),
          conditions(true),  faults(true),  repetition(true),  output_faults()};
}

}  // namespace proof
