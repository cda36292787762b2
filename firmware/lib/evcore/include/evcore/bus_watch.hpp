// SPDX-License-Identifier: Apache-2.0
// The CAN controllers' states, and when to ask for a recovery.
//
// A bus counts as stopped until it is said to run. Frames (but for the off command) are given only
// to a bus that can transmit: running or error_passive. The gate wants every bus running. A bus
// that cannot transmit is asked to recover, at most once in 5000 ms; after the controller's start
// its driver has 5000 ms to bring it up, unless it says bus_off.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "evcore/types.hpp"

namespace evcore {

class BusWatch {
 public:
  explicit BusWatch(std::uint8_t buses) : buses_(buses) {}

  // The controller starts.
  void start(Millis now) { start_ = now; }

  // Whether the configuration has this bus.
  [[nodiscard]] bool knows(std::uint8_t bus) const { return bus < buses_; }

  // Takes the state of a known bus. True: it has just become able to transmit.
  bool set(std::uint8_t bus, BusState state);

  [[nodiscard]] BusState state(std::uint8_t bus) const { return state_[bus]; }
  [[nodiscard]] const std::array<BusState, kMaxBuses>& states() const { return state_; }
  [[nodiscard]] bool transmits(std::uint8_t bus) const { return can_transmit(state_[bus]); }
  [[nodiscard]] bool all_running() const {
    for (std::uint8_t bus = 0; bus < buses_; ++bus) {
      if (state_[bus] != BusState::running) {
        return false;
      }
    }
    return true;
  }
  [[nodiscard]] bool any_bus_off() const {
    for (std::uint8_t bus = 0; bus < buses_; ++bus) {
      if (state_[bus] == BusState::bus_off) {
        return true;
      }
    }
    return false;
  }

  // Whether to recover this bus now; true at most once in 5000 ms.
  bool recovery_due(std::uint8_t bus, Millis now);

 private:
  static constexpr bool can_transmit(BusState state) {
    return state == BusState::running || state == BusState::error_passive;
  }

  std::uint8_t buses_;
  Millis start_ = 0;
  std::array<BusState, kMaxBuses> state_{BusState::stopped, BusState::stopped};
  std::array<std::optional<Millis>, kMaxBuses> last_recovery_;
};

}  // namespace evcore
