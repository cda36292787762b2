// SPDX-License-Identifier: Apache-2.0
#include "evcore/charge_gate.hpp"

namespace evcore {

GateReason judge(const GateFacts& facts) {
  if (!facts.plugged) {
    return GateReason::no_vehicle;
  }
  if (!facts.switch_allowed) {
    return GateReason::vehicle_switch_off;
  }
  if (!facts.in_range) {
    return GateReason::request_out_of_range;
  }
  if (!facts.buses_running) {
    return GateReason::bus_down;
  }
  if (facts.fault) {
    return GateReason::fault;
  }
  if (!facts.module_alive) {
    return GateReason::module_silent;
  }
  if (!facts.temperature_mdegc) {
    return GateReason::temperature_unknown;
  }
  if (*facts.temperature_mdegc > kMaxTemperatureMdegc) {
    return GateReason::too_hot;
  }
  return judge_permission(facts.word);
}

GateReason judge_permission(const std::optional<OcppWord>& word) {
  if (!word) {
    return GateReason::permission_stale;
  }
  if (!word->transaction || !word->permitted) {
    return GateReason::not_permitted;
  }
  // A negative limit that is not "none" is nonsense, and nonsense permits nothing.
  if (word->limit_ma != kNoLimit && word->limit_ma <= 0) {
    return GateReason::limit_zero;
  }
  return GateReason::open;
}

}  // namespace evcore
