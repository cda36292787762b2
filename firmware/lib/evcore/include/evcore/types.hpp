// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "evcore/fixed_text.hpp"

namespace evcore {

// Milliseconds of a clock that never goes back. 64 bits: with 32, a BMS that has been silent for
// 49.7 days would look fresh again.
using Millis = std::int64_t;

inline constexpr std::size_t kMaxBuses = 2;
inline constexpr std::uint8_t kModuleBus = 0;
inline constexpr std::int32_t kNoLimit = -1;

struct CanFrame {
  std::uint32_t can_id = 0;
  bool extended = true;
  bool remote = false;
  std::uint8_t dlc = 0;
  std::array<std::uint8_t, 8> data{};
};

enum class CapacitySource : std::uint8_t { remaining, charged_minus_discharged };
enum class CurrentScale : std::uint8_t { per_1024, per_10 };
enum class TemperatureScale : std::uint8_t { milli, deci };

// What a charge point is made of. The defaults are those of evtool.toml.
struct Config {
  std::uint8_t buses = 1;  // 2: the BMS has bus 1 to itself
  CapacitySource capacity_source = CapacitySource::remaining;
  std::int32_t battery_capacity_mah = 30000;  // 0: unknown, so the state of charge is as well
  CurrentScale module_current_scale = CurrentScale::per_1024;
  TemperatureScale module_temperature_scale = TemperatureScale::milli;
  std::int32_t request_min_mv = 56000;   // a request must ask for more than this
  std::int32_t request_max_mv = 85500;   // and for less than this
  std::int32_t request_max_ma = 300000;  // and for no more than this
  std::int32_t max_voltage_mv = 85500;
  std::int32_t max_current_ma = 100000;
  FixedText<20> id_tag;  // the console's local id_tag; empty: `s` is refused
};

struct BootInfo {
  FixedText<24> reset;  // reset reason: power_on, software, panic, watchdog, brownout, ...
  FixedText<16> version;
  FixedText<40> build;
  FixedText<48> charge_point;
  std::uint64_t energy_mwh = 0;  // the register as it was last stored
};

// What OCPP says, repeated at least once a second; it is believed for less than 5000 ms.
struct OcppWord {
  bool connected = false;            // to the CSMS
  bool transaction = false;          // one runs on the connector
  bool permitted = false;            // energy may flow: authorised, and not suspended by the CSMS
  std::int32_t limit_ma = kNoLimit;  // smart charging; 0 means not permitted
};

// What OCPP is about to tell the register in: a sample, or the start or end of a transaction.
enum class Report : std::uint8_t { sample, transaction };

enum class BusState : std::uint8_t { stopped, running, error_passive, bus_off, recovering };

enum class Fault : std::uint8_t {
  over_temperature,
  over_voltage,
  over_current,
  module_disobeys,
  bus_off,
};
inline constexpr std::size_t kFaultCount = 5;

// A set of faults, one bit for each.
class Faults {
 public:
  [[nodiscard]] constexpr bool has(Fault fault) const { return (bits_ & mask(fault)) != 0; }
  [[nodiscard]] constexpr bool any() const { return bits_ != 0; }
  [[nodiscard]] constexpr bool operator==(Faults other) const { return bits_ == other.bits_; }
  constexpr void set(Fault fault) { bits_ = static_cast<std::uint8_t>(bits_ | mask(fault)); }
  constexpr void clear(Fault fault) {
    bits_ = static_cast<std::uint8_t>(bits_ & (0xFFU ^ mask(fault)));
  }

 private:
  // Not `bit`, which Arduino.h defines as a macro.
  static constexpr std::uint8_t mask(Fault fault) {
    return static_cast<std::uint8_t>(1U << static_cast<std::uint8_t>(fault));
  }
  std::uint8_t bits_ = 0;
};

// Open, or the first condition in this order that keeps the gate closed.
enum class GateReason : std::uint8_t {
  open,
  no_vehicle,
  vehicle_switch_off,
  request_out_of_range,
  bus_down,
  fault,
  module_silent,
  temperature_unknown,
  too_hot,
  permission_stale,
  not_permitted,
  limit_zero,
};

enum class View : std::uint8_t { mute, bms, power_module, output, terminal, all };
enum class ModuleState : std::uint8_t { unknown, off, on };

enum class OutputKind : std::uint8_t { can, console, ocpp_start, ocpp_stop, store, recover };

// One thing that the controller wants done. Which members count depends on the kind.
struct Output {
  OutputKind kind = OutputKind::console;
  std::uint8_t bus = 0;     // can, recover
  bool urgent = false;      // can: the off command; send it before anything that waits
  CanFrame frame;           // can
  ConsoleLine text;         // console: the line; ocpp_start: id_tag; ocpp_stop: OCPP's reason;
                            // store: the key
  std::uint64_t value = 0;  // store: the value
};

// Everything that is known at one instant; an empty optional is unknown or stale.
struct Snapshot {
  bool plugged = false;
  bool bms_alive = false;
  bool in_range = false;
  bool ev_ready = false;
  bool module_alive = false;
  bool evse_ready = false;
  bool connected = false;
  bool transaction = false;
  bool permitted = false;
  bool energised = false;
  GateReason gate = GateReason::no_vehicle;
  Faults faults;
  std::string_view error = "NoError";  // OCPP 1.6 ChargePointErrorCode
  std::optional<std::int64_t> limit_ma;
  std::optional<std::int64_t> requested_mv;
  std::optional<std::int64_t> requested_ma;
  std::int64_t setpoint_mv = 0;
  std::int64_t setpoint_ma = 0;
  std::int64_t offered_ma = 0;
  std::optional<std::int64_t> measured_mv;
  std::optional<std::int64_t> measured_ma;
  std::optional<std::int64_t> power_mw;
  std::optional<std::int64_t> temperature_mdegc;
  std::optional<std::int64_t> soc_permille;
  std::uint64_t energy_mwh = 0;
  std::uint64_t stored_mwh = 0;  // what was last given out to be stored: OCPP tells no more
  std::optional<std::uint64_t> session_mwh;
  ModuleState module_state = ModuleState::unknown;
  std::uint8_t feedback_flags = 0;
  std::uint64_t malformed = 0;  // frames that broke their own rules since the start
  std::array<BusState, kMaxBuses> bus{};
  View view = View::mute;
};

std::string_view name(BusState state);
std::string_view name(Fault fault);
std::string_view name(GateReason reason);
std::string_view name(View view);
std::string_view name(ModuleState state);

}  // namespace evcore
