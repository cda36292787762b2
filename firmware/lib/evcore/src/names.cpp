// SPDX-License-Identifier: Apache-2.0
#include "evcore/types.hpp"

namespace evcore {

std::string_view name(BusState state) {
  switch (state) {
    case BusState::stopped:
      return "stopped";
    case BusState::running:
      return "running";
    case BusState::error_passive:
      return "error_passive";
    case BusState::bus_off:
      return "bus_off";
    case BusState::recovering:
      return "recovering";
  }
  return "-";
}

std::string_view name(Fault fault) {
  switch (fault) {
    case Fault::over_temperature:
      return "over_temperature";
    case Fault::over_voltage:
      return "over_voltage";
    case Fault::over_current:
      return "over_current";
    case Fault::module_disobeys:
      return "module_disobeys";
    case Fault::bus_off:
      return "bus_off";
  }
  return "-";
}

std::string_view name(GateReason reason) {
  switch (reason) {
    case GateReason::open:
      return "open";
    case GateReason::no_vehicle:
      return "no_vehicle";
    case GateReason::vehicle_switch_off:
      return "vehicle_switch_off";
    case GateReason::request_out_of_range:
      return "request_out_of_range";
    case GateReason::bus_down:
      return "bus_down";
    case GateReason::fault:
      return "fault";
    case GateReason::module_silent:
      return "module_silent";
    case GateReason::temperature_unknown:
      return "temperature_unknown";
    case GateReason::too_hot:
      return "too_hot";
    case GateReason::permission_stale:
      return "permission_stale";
    case GateReason::not_permitted:
      return "not_permitted";
    case GateReason::limit_zero:
      return "limit_zero";
  }
  return "-";
}

std::string_view name(View view) {
  switch (view) {
    case View::mute:
      return "mute";
    case View::bms:
      return "bms";
    case View::power_module:
      return "power_module";
    case View::output:
      return "output";
    case View::terminal:
      return "terminal";
    case View::all:
      return "all";
  }
  return "-";
}

std::string_view name(ModuleState state) {
  switch (state) {
    case ModuleState::unknown:
      return "-";
    case ModuleState::off:
      return "off";
    case ModuleState::on:
      return "on";
  }
  return "-";
}

}  // namespace evcore
