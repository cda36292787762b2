// SPDX-License-Identifier: Apache-2.0
#include "evcore/bus_watch.hpp"

namespace evcore {
namespace {

constexpr Millis kRecovery = 5000;

}  // namespace

bool BusWatch::set(std::uint8_t bus, BusState state) {
  const bool came_back = can_transmit(state) && !can_transmit(state_[bus]);
  state_[bus] = state;
  return came_back;
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
