// SPDX-License-Identifier: Apache-2.0
#include "evcore/module_commands.hpp"

#include "evcore/numbers.hpp"

namespace evcore {
namespace {

using can_tables::ChargeFeedback;
using can_tables::ControlRequest;
using can_tables::TelemetryRequest;

constexpr std::size_t kFlagsByte = 4;

CanFrame control(ControlRequest::Function function) {
  CanFrame frame = query(ControlRequest::kId);
  ControlRequest::kHeader.insert(frame.data, ControlRequest::kHeaderStart);
  ControlRequest::kFunction.insert(frame.data, static_cast<std::uint64_t>(function));
  return frame;
}

}  // namespace

CanFrame query(std::uint32_t can_id) {
  CanFrame frame;
  frame.can_id = can_id;
  frame.dlc = 8;
  return frame;
}

CanFrame switch_command(bool on) {
  CanFrame frame = control(ControlRequest::Function::output);
  const auto output = on ? ControlRequest::Output::on : ControlRequest::Output::off;
  ControlRequest::kOutput.insert(frame.data, static_cast<std::uint64_t>(output));
  return frame;
}

CanFrame voltage_setpoint_command(std::int64_t millivolts) {
  CanFrame frame = control(ControlRequest::Function::voltage_setpoint);
  ControlRequest::kVoltageSetpoint.insert(frame.data, voltage_setpoint_to_raw(millivolts));
  return frame;
}

CanFrame current_setpoint_command(std::int64_t milliamperes) {
  CanFrame frame = control(ControlRequest::Function::current_setpoint);
  ControlRequest::kCurrentSetpoint.insert(frame.data, current_setpoint_to_raw(milliamperes));
  return frame;
}

CanFrame telemetry_question(TelemetryRequest::Function function) {
  CanFrame frame = query(TelemetryRequest::kId);
  TelemetryRequest::kHeader.insert(frame.data, TelemetryRequest::kHeaderStart);
  TelemetryRequest::kFunction.insert(frame.data, static_cast<std::uint64_t>(function));
  return frame;
}

std::uint8_t feedback_flags(Faults faults, bool plugged, bool silent) {
  const bool hot = faults.has(Fault::over_temperature);
  faults.clear(Fault::over_temperature);
  CanData data{};
  ChargeFeedback::kHardwareFailure.insert(data, faults.any() ? 1 : 0);
  ChargeFeedback::kOverTemperature.insert(data, hot ? 1 : 0);
  ChargeFeedback::kBatteryNotConnected.insert(data, plugged ? 0 : 1);
  ChargeFeedback::kCommunicationTimeout.insert(data, silent ? 1 : 0);
  return data[kFlagsByte];
}

CanFrame feedback(std::int64_t millivolts, std::int64_t milliamperes, std::uint8_t flags) {
  CanFrame frame = query(ChargeFeedback::kId);
  frame.data[kFlagsByte] = flags;
  ChargeFeedback::kVoltage.insert(frame.data, milli_to_deci_field(millivolts));
  ChargeFeedback::kCurrent.insert(frame.data, milli_to_deci_field(milliamperes));
  return frame;
}

}  // namespace evcore
