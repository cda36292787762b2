// SPDX-License-Identifier: Apache-2.0
#include "evcore/power_module.hpp"

#include "evcore/can_tables.hpp"
#include "evcore/numbers.hpp"

namespace evcore {
namespace {

using can_tables::ControlReply;
using can_tables::ModuleHeartbeat;
using can_tables::TelemetryReply;
using can_tables::TerminalPower;
using can_tables::TerminalStatus;

constexpr std::int64_t kMaxInt32 = 0x7FFFFFFF;

constexpr Heard broken() {
  Heard heard;
  heard.malformed = true;
  return heard;
}

constexpr bool is_ours(std::uint32_t can_id) {
  return can_id == ModuleHeartbeat::kId || can_id == ControlReply::kId ||
         can_id == TelemetryReply::kId || can_id == TerminalPower::kId ||
         can_id == TerminalStatus::kId;
}

}  // namespace

Heard PowerModule::receive(const CanFrame& frame, Millis now) {
  if (!frame.extended || frame.remote || !is_ours(frame.can_id)) {
    return {};
  }
  if (frame.dlc < ControlReply::kMinLength) {  // the same 8 for every frame of the module
    return broken();
  }
  if (frame.can_id == ModuleHeartbeat::kId) {
    heartbeat_.set(ModuleHeartbeat::kAlive.extract(frame.data) == 1, now);
    return {};
  }
  const Heard heard = take(frame, now);
  if (!heard.malformed) {
    any_.set(true, now);
  }
  return heard;
}

Heard PowerModule::take(const CanFrame& frame, Millis now) {
  switch (frame.can_id) {
    case ControlReply::kId:
      return take_control(frame, now);
    case TelemetryReply::kId:
      return take_telemetry(frame, now);
    case TerminalPower::kId:
      return take_terminal(frame, now);
    default:
      status_.set(static_cast<std::uint16_t>(TerminalStatus::kStatus.extract(frame.data)), now);
      return {};
  }
}

Heard PowerModule::take_control(const CanFrame& frame, Millis now) {
  Heard heard;
  switch (static_cast<ControlReply::Function>(ControlReply::kFunction.extract(frame.data))) {
    case ControlReply::Function::output: {
      const auto output =
          static_cast<ControlReply::Output>(ControlReply::kOutput.extract(frame.data));
      if (output != ControlReply::Output::on && output != ControlReply::Output::off) {
        return broken();
      }
      on_.set(output == ControlReply::Output::on, now);
      heard.state = true;
      break;
    }
    case ControlReply::Function::voltage_setpoint:
      set_mv_.set(per_1024_to_milli(ControlReply::kVoltageSetpoint.extract(frame.data)), now);
      break;
    case ControlReply::Function::current_setpoint:
      set_ma_.set(current_setpoint_to_milli(ControlReply::kCurrentSetpoint.extract(frame.data)),
                  now);
      break;
    default:
      return broken();
  }
  control_.set(RawData(frame), now);
  return heard;
}

Heard PowerModule::take_telemetry(const CanFrame& frame, Millis now) {
  const bool terminal_silent = !terminal(now).has_value();
  Heard heard;
  switch (static_cast<TelemetryReply::Function>(TelemetryReply::kFunction.extract(frame.data))) {
    case TelemetryReply::Function::output_voltage:
      output_mv_.set(per_1024_to_milli(TelemetryReply::kOutputVoltage.extract(frame.data)), now);
      heard.voltage = terminal_silent;
      break;
    case TelemetryReply::Function::output_current:
      output_ma_.set(output_current_ma(frame), now);
      heard.current = terminal_silent;
      break;
    case TelemetryReply::Function::temperature: {
      const std::int64_t temperature = temperature_of(frame);
      if (temperature > kMaxInt32) {
        return broken();
      }
      temperature_mdegc_.set(temperature, now);
      break;
    }
    case TelemetryReply::Function::metric_79:
      metric_79_.set(static_cast<std::int64_t>(TelemetryReply::kMetric79.extract(frame.data)), now);
      break;
    case TelemetryReply::Function::metric_83: {
      const auto metric = float32_to_milli(
          static_cast<std::uint32_t>(TelemetryReply::kMetric83.extract(frame.data)));
      if (!metric) {
        return broken();
      }
      metric_83_milli_.set(*metric, now);
      break;
    }
    default:
      return broken();
  }
  telemetry_.set(true, now);
  return heard;
}

Heard PowerModule::take_terminal(const CanFrame& frame, Millis now) {
  const auto millivolts =
      float32_to_milli(static_cast<std::uint32_t>(TerminalPower::kVoltage.extract(frame.data)));
  const auto milliamperes =
      float32_to_milli(static_cast<std::uint32_t>(TerminalPower::kCurrent.extract(frame.data)));
  if (!millivolts || !milliamperes) {
    return broken();
  }
  terminal_.set({*millivolts, *milliamperes}, now);
  Heard heard;
  heard.voltage = true;
  heard.current = true;
  return heard;
}

std::int64_t PowerModule::output_current_ma(const CanFrame& frame) const {
  if (config_.module_current_scale == CurrentScale::per_10) {
    return deci_to_milli(TelemetryReply::kOutputCurrentDeci.extract(frame.data));
  }
  return per_1024_to_milli(TelemetryReply::kOutputCurrent.extract(frame.data));
}

std::int64_t PowerModule::temperature_of(const CanFrame& frame) const {
  if (config_.module_temperature_scale == TemperatureScale::deci) {
    return deci_to_milli(TelemetryReply::kTemperatureDeci.extract(frame.data));
  }
  return static_cast<std::int64_t>(TelemetryReply::kTemperature.extract(frame.data));
}

}  // namespace evcore
