// SPDX-License-Identifier: Apache-2.0
// Conversions between the wire's scales and milli-units, in integers only. The twin of
// evtool/reference_impl/numbers.py: the same integer in both languages for every input.
#pragma once

#include <cstdint>
#include <optional>

#include "evcore/fixed_text.hpp"

namespace evcore {

// 0.1 V or 0.1 A (or 0.1 degrees) to milli-units.
constexpr std::int64_t deci_to_milli(std::uint64_t raw) {
  return static_cast<std::int64_t>(raw) * 100;
}

// Milli-units to a u16 field of 0.1, rounded half up, saturated to 0..65535.
std::uint16_t milli_to_deci_field(std::int64_t milli);

// Unsigned 32-bit 1/1024 V or A to milli-units, rounded half up.
constexpr std::int64_t per_1024_to_milli(std::uint64_t raw) {
  return static_cast<std::int64_t>((raw * 1000 + 512) / 1024);
}

// Milli-units, not negative, to the module's 1/1024 V and 1/30.5 A, rounded half up; and back.
constexpr std::uint32_t voltage_setpoint_to_raw(std::int64_t millivolts) {
  return static_cast<std::uint32_t>((millivolts * 1024 + 500) / 1000);
}
constexpr std::uint32_t current_setpoint_to_raw(std::int64_t milliamperes) {
  return static_cast<std::uint32_t>((milliamperes * 61 + 1000) / 2000);
}
constexpr std::int64_t current_setpoint_to_milli(std::uint64_t raw) {
  return static_cast<std::int64_t>((raw * 2000 + 30) / 61);
}

// The bit pattern of an IEEE-754 float32 times 1000, rounded half away from zero; nothing for NaN,
// infinity and what lies beyond +-2^31 milli-units. Computed on the bit pattern, so that no
// floating-point unit, compiler flag or rounding mode has a say.
std::optional<std::int64_t> float32_to_milli(std::uint32_t bits);

// Milliwatts, rounded half away from zero.
std::int64_t power_mw(std::int64_t millivolts, std::int64_t milliamperes);

// State of charge in 0.1 %, rounded half up and held to 0..1000; nothing without a capacity.
std::optional<std::int64_t> soc_permille(std::int64_t remaining_mah, std::int32_t capacity_mah);

// Milli-units as a decimal number with 1 to 3 decimals, rounded half away from zero.
void append_fixed(ConsoleLine& line, std::int64_t milli, unsigned decimals);

}  // namespace evcore
