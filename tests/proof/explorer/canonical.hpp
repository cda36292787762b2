// SPDX-License-Identifier: Apache-2.0
// A controller's state as ages instead of times, so that states which behave alike are equal.
//
// Compiled with -fno-access-control: it reads and writes the controller's own members.
//
// Why ages may be clipped: the controller never looks at a time but by comparing its age with a
// constant (Timed::within, Excess::ripe, off_since_, setpoint_sent_, switch_sent_). Beyond the
// largest of its constants an age compares alike for ever, since ages only grow until the next
// input sets them to 0. And a value that is not fresh is never read (Timed::within is the only way
// to it; Timed::last is asked for events and sessions alone), so it is dropped with its age.
// Neither is taken on trust: see `Disguise`.
//
// Left out, because no command to the module depends on it: the meter, the store, the console, the
// pack's charge, the telemetry and feedback timers, recovery, counters of what was malformed.
#pragma once

#include <cstdint>
#include <random>

#include "evcore/controller.hpp"

namespace proof {

inline constexpr std::int32_t kNever = -1;

// Which timers of the controller a slice looks at; the others are taken as they come.
struct Scope {
  bool off_since = false;   // how long the module has been off
  bool repetition = false;  // the turns of control_request, and when the switch was sent
};

// Every member that a command to the module can depend on. No padding, so that bytes compare.
struct Core {
  std::int32_t request_age = kNever;
  std::int32_t request_mv = 0;
  std::int32_t request_ma = 0;
  std::int32_t allowed = 0;
  std::int32_t any_age = kNever;
  std::int32_t temperature_age = kNever;
  std::int32_t temperature = 0;
  std::int32_t terminal_age = kNever;
  std::int32_t terminal_mv = 0;
  std::int32_t terminal_ma = 0;
  std::int32_t output_mv_age = kNever;
  std::int32_t output_mv = 0;
  std::int32_t output_ma_age = kNever;
  std::int32_t output_ma = 0;
  std::int32_t on_age = kNever;
  std::int32_t on = 0;
  std::int32_t word_age = kNever;
  std::int32_t transaction = 0;
  std::int32_t permitted = 0;
  std::int32_t limit = 0;
  std::int32_t bus[2] = {0, 0};
  std::int32_t faults = 0;
  std::int32_t volts_age = kNever;
  std::int32_t volts_limit = 0;
  std::int32_t amperes_age = kNever;
  std::int32_t amperes_limit = 0;
  std::int32_t over_voltage_limit = 0;
  std::int32_t over_current_limit = 0;
  std::int32_t energised = 0;
  std::int32_t plugged = 0;
  std::int32_t off_age = 0;
  std::int32_t setpoint_mv = 0;
  std::int32_t setpoint_ma = 0;
  std::int32_t setpoint_age = 0;
  std::int32_t switch_age = 0;
  std::int32_t control_due = 0;
  std::int32_t control_turn = 0;
};

// Other members of the same class of states: everything that `Core` leaves out at random, what is
// stale with other values and any age beyond its limit. A controller in disguise must answer, and
// go on, as the plain one does; where it does not, the clipping or the leaving out is wrong.
using Disguise = std::mt19937_64;

// What `controller` is at `now`.
Core read(const evcore::Controller& controller, evcore::Millis now, const Scope& scope);

// Makes `controller`, which has been started, the one that `core` says; plain, or disguised.
void write(evcore::Controller& controller, const Core& core, evcore::Millis now, const Scope& scope,
           Disguise* disguise);

}  // namespace proof
