// SPDX-License-Identifier: Apache-2.0
// The frames that the controller sends: commands and questions to the power module, feedback to
// the BMS. A frame built here is off and zero unless told otherwise.
#pragma once

#include <array>
#include <cstdint>

#include "evcore/can_tables.hpp"
#include "evcore/types.hpp"

namespace evcore {

inline constexpr std::array<can_tables::TelemetryRequest::Function, 5> kTelemetryTurns{
    can_tables::TelemetryRequest::Function::output_voltage,
    can_tables::TelemetryRequest::Function::output_current,
    can_tables::TelemetryRequest::Function::temperature,
    can_tables::TelemetryRequest::Function::metric_79,
    can_tables::TelemetryRequest::Function::metric_83,
};

CanFrame switch_command(bool on);
CanFrame voltage_setpoint_command(std::int64_t millivolts);
CanFrame current_setpoint_command(std::int64_t milliamperes);
CanFrame telemetry_question(can_tables::TelemetryRequest::Function function);

// Eight zero bytes under this identifier.
CanFrame query(std::uint32_t can_id);

// Byte 4 of charge_feedback; every fault but over_temperature is a hardware failure. The input
// voltage's flag stays 0: nothing on this hardware measures it.
std::uint8_t feedback_flags(Faults faults, bool plugged, bool silent);

// What the BMS is given; fields saturate.
CanFrame feedback(std::int64_t millivolts, std::int64_t milliamperes, std::uint8_t flags);

}  // namespace evcore
