// SPDX-License-Identifier: Apache-2.0
// The gate: the one predicate that decides whether the power module may be on.
//
// Pure: one snapshot of facts in, one answer out. Nothing else in the controller can open it, and
// facts that are missing close it: every default below is the closed one.
#pragma once

#include <cstdint>
#include <optional>

#include "evcore/types.hpp"

namespace evcore {

inline constexpr std::int64_t kMaxTemperatureMdegc = 70000;

// An empty optional is unknown or stale.
struct GateFacts {
  bool plugged = false;
  bool switch_allowed = false;
  bool in_range = false;
  bool buses_running = false;
  bool fault = true;
  bool module_alive = false;
  std::optional<std::int64_t> temperature_mdegc;
  std::optional<OcppWord> word;
};

// `open` if energy may flow, else the first condition that forbids it.
GateReason judge(const GateFacts& facts);

// `open` if OCPP permits energy, else why not; no word is a stale one.
GateReason judge_permission(const std::optional<OcppWord>& word);

}  // namespace evcore
