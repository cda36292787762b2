// SPDX-License-Identifier: Apache-2.0
// Everything that the controller knows, at one instant.
#include "evcore/controller.hpp"
#include "evcore/numbers.hpp"

namespace evcore {

Snapshot Controller::snapshot(Millis now) const {
  now = not_before_last(now);
  Snapshot snapshot;
  snapshot.plugged = bms_.alive(now);
  snapshot.bms_alive = snapshot.plugged;
  snapshot.in_range = bms_.in_range(now);
  snapshot.ev_ready = snapshot.plugged && snapshot.in_range && bms_.allowed(now);
  snapshot.module_alive = module_.alive(now);
  snapshot.faults = faults_.active();
  snapshot.evse_ready = snapshot.module_alive && buses_.all_running() && !snapshot.faults.any();
  snapshot.connected = permission_.connected(now);
  snapshot.transaction = permission_.in_transaction();
  snapshot.permitted = permission_.granted(now);
  snapshot.energised = energised_;
  snapshot.gate = judge_gate(now);
  snapshot.error = error(now);
  snapshot.limit_ma = permission_.limit_ma(now);
  if (const auto& request = bms_.request(now)) {
    snapshot.requested_mv = request->voltage_mv;
    snapshot.requested_ma = request->current_ma;
  }
  snapshot.setpoint_mv = setpoint_.millivolts;
  snapshot.setpoint_ma = setpoint_.milliamperes;
  snapshot.offered_ma = snapshot.evse_ready && snapshot.permitted ? current_cap_ma(now) : 0;
  snapshot.measured_mv = module_.measured_mv(now);
  snapshot.measured_ma = module_.measured_ma(now);
  if (snapshot.measured_mv && snapshot.measured_ma) {
    snapshot.power_mw = power_mw(*snapshot.measured_mv, *snapshot.measured_ma);
  }
  snapshot.temperature_mdegc = module_.temperature_mdegc(now);
  snapshot.soc_permille = bms_.soc_permille(now);
  snapshot.energy_mwh = meter_.register_mwh();
  snapshot.stored_mwh = stored_mwh_;
  snapshot.session_mwh = meter_.session_mwh();
  if (const auto on = module_.on(now)) {
    snapshot.module_state = *on ? ModuleState::on : ModuleState::off;
  }
  snapshot.feedback_flags = flags(now);
  snapshot.malformed = malformed_;
  snapshot.bus = buses_.states();
  snapshot.view = view_;
  return snapshot;
}

}  // namespace evcore
