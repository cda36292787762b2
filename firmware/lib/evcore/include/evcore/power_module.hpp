// SPDX-License-Identifier: Apache-2.0
// The power module (AC/DC): what it measures and reports.
//
//   alive      a well-formed frame of the module came at most 3000 ms ago. The heartbeat does not
//              count: its identifier is also that of our own feedback, and it opens no gate.
//   measured   terminal_power while that is fresh (3000 ms), else the module's own output
//   a reply to a function that is never asked for, or a state that is neither on nor off, is
//   malformed: it counts as not received
#pragma once

#include <cstdint>
#include <optional>

#include "evcore/bms.hpp"
#include "evcore/freshness.hpp"
#include "evcore/types.hpp"

namespace evcore {

inline constexpr Millis kModuleFresh = 3000;

// Which facts a frame renewed: a fault is judged on new samples only.
struct Heard {
  bool malformed = false;
  bool voltage = false;
  bool current = false;
  bool state = false;
};

struct Terminal {
  std::int64_t millivolts = 0;
  std::int64_t milliamperes = 0;
};

class PowerModule {
 public:
  explicit PowerModule(const Config& config) : config_(config) {}

  // Takes a frame from the module's bus.
  Heard receive(const CanFrame& frame, Millis now);

  [[nodiscard]] bool alive(Millis now) const { return any_.within(kModuleFresh, now).has_value(); }
  [[nodiscard]] std::optional<Millis> silence(Millis now) const { return any_.age(now); }

  // At the vehicle.
  [[nodiscard]] std::optional<std::int64_t> measured_mv(Millis now) const {
    const auto& at_terminal = terminal(now);
    return at_terminal ? at_terminal->millivolts : output_mv(now);
  }
  [[nodiscard]] std::optional<std::int64_t> measured_ma(Millis now) const {
    const auto& at_terminal = terminal(now);
    return at_terminal ? at_terminal->milliamperes : output_ma(now);
  }

  // terminal_power and terminal_status as they came.
  [[nodiscard]] const std::optional<Terminal>& terminal(Millis now) const {
    return terminal_.within(kModuleFresh, now);
  }
  [[nodiscard]] std::optional<Millis> terminal_age(Millis now) const { return terminal_.age(now); }
  [[nodiscard]] std::optional<std::uint16_t> status(Millis now) const {
    return status_.within(kModuleFresh, now);
  }

  // Telemetry.
  [[nodiscard]] std::optional<std::int64_t> output_mv(Millis now) const {
    return output_mv_.within(kModuleFresh, now);
  }
  [[nodiscard]] std::optional<std::int64_t> output_ma(Millis now) const {
    return output_ma_.within(kModuleFresh, now);
  }
  [[nodiscard]] std::optional<std::int64_t> temperature_mdegc(Millis now) const {
    return temperature_mdegc_.within(kModuleFresh, now);
  }
  [[nodiscard]] std::optional<std::int64_t> metric_79(Millis now) const {
    return metric_79_.within(kModuleFresh, now);
  }
  [[nodiscard]] std::optional<std::int64_t> metric_83_milli(Millis now) const {
    return metric_83_milli_.within(kModuleFresh, now);
  }
  [[nodiscard]] std::optional<Millis> telemetry_age(Millis now) const {
    return telemetry_.age(now);
  }

  // What the module says that it was told.
  [[nodiscard]] std::optional<bool> on(Millis now) const { return on_.within(kModuleFresh, now); }
  [[nodiscard]] std::optional<std::int64_t> set_mv(Millis now) const {
    return set_mv_.within(kModuleFresh, now);
  }
  [[nodiscard]] std::optional<std::int64_t> set_ma(Millis now) const {
    return set_ma_.within(kModuleFresh, now);
  }
  [[nodiscard]] std::optional<bool> heartbeat(Millis now) const {
    return heartbeat_.within(kModuleFresh, now);
  }
  [[nodiscard]] const std::optional<RawData>& control_raw(Millis now) const {
    return control_.within(kModuleFresh, now);
  }
  [[nodiscard]] std::optional<Millis> control_age(Millis now) const { return control_.age(now); }

 private:
  Heard take(const CanFrame& frame, Millis now);
  Heard take_control(const CanFrame& frame, Millis now);
  Heard take_telemetry(const CanFrame& frame, Millis now);
  Heard take_terminal(const CanFrame& frame, Millis now);
  [[nodiscard]] std::int64_t output_current_ma(const CanFrame& frame) const;
  [[nodiscard]] std::int64_t temperature_of(const CanFrame& frame) const;

  const Config& config_;
  Timed<bool> any_;
  Timed<bool> heartbeat_;
  Timed<bool> on_;
  Timed<std::int64_t> set_mv_;
  Timed<std::int64_t> set_ma_;
  Timed<RawData> control_;
  Timed<bool> telemetry_;
  Timed<std::int64_t> output_mv_;
  Timed<std::int64_t> output_ma_;
  Timed<std::int64_t> temperature_mdegc_;
  Timed<std::int64_t> metric_79_;
  Timed<std::int64_t> metric_83_milli_;
  Timed<Terminal> terminal_;
  Timed<std::uint16_t> status_;
};

}  // namespace evcore
