// SPDX-License-Identifier: Apache-2.0
// What can happen to a controller, small enough to enumerate.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "evcore/controller.hpp"

namespace proof {

enum class Kind : std::uint8_t {
  tick,
  request,      // a: 0.1 V, b: 0.1 A, c: control byte
  temperature,  // a: 0.001 degrees
  status,       // terminal_status: says only that the module is there
  terminal,     // a: mV, b: mA
  output_mv,    // a: whole volts in mV
  output_ma,    // a: whole amperes in mA
  reply,        // a: 0 on, 1 off
  word,         // a: transaction, b: permitted, c: limit in mA, -1 for none
  bus,          // a: evcore::BusState
};

struct Event {
  Kind kind = Kind::tick;
  std::uint8_t bus = 0;
  std::int32_t a = 0;
  std::int32_t b = 0;
  std::int32_t c = 0;
};

// How far the clock goes before an event. Time lies on a lattice: the multiples of a unit and one
// millisecond after each. So an age comes to lie one under, on, and one over every multiple.
enum class Wait : std::uint8_t { none, near, unit, ages };

// Some events at one instant, after a wait.
struct Move {
  std::string name;
  Wait wait = Wait::none;
  std::vector<Event> events;
};

// Tells the controller.
void give(evcore::Controller& controller, const Event& event, evcore::Millis now);

}  // namespace proof
