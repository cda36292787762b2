// SPDX-License-Identifier: Apache-2.0
#include "evcore/bus_watch.hpp"

namespace evcore {
namespace {

constexpr Millis kRecovery = 5000;

constexpr bool can_transmit(BusState state) {
  return state == BusState::running || state == BusState::error_passive;
}

}  // namespace

bool BusWatch::set(std::uint8_t bus, BusState state) {
  const bool came_back = can_transmit(state) && !can_transmit(state_[bus]);
  state_[bus] = state;
  return came_back;
}

bool BusWatch::transmits(std::uint8_t bus) const { return can_transmit(state_[bus]); }

bool BusWatch::all_running() const {
  for (std::uint8_t bus = 0; bus < buses_; ++bus) {
    if (state_[bus] != BusState::running) {
      return false;
    }
  }
  return true;
}

bool BusWatch::any_bus_off() const {
  for (std::uint8_t bus = 0; bus < buses_; ++bus) {
    if (state_[bus] == BusState::bus_off) {
      return true;
    }
  }
  return false;
}

bool BusWatch::recovery_due(std::uint8_t bus, Millis now) {
  std::optional<Millis> since = last_recovery_[bus];
  if (!since && state_[bus] != BusState::bus_off) {
    since = start_;
  }
  if (transmits(bus) || (since && now - *since < kRecovery)) {
    return false;
  }
  last_recovery_[bus] = now;
  return true;
}

}  // namespace evcore
