// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "evcore/bms.hpp"
#include "evcore/bus_watch.hpp"
#include "evcore/faults.hpp"
#include "evcore/freshness.hpp"
#include "evcore/meter.hpp"
#include "evcore/output_queue.hpp"
#include "evcore/permission.hpp"
#include "evcore/power_module.hpp"
#include "evcore/types.hpp"

namespace evcore {

// The charge controller: every decision about charging, and no clock, bus or console of its own.
// The rules are in docs/controller.md; its twin is evtool/reference_impl/controller.py.
//
// Call boot() once, then one of the inputs for each thing that happens, and tick() at least every
// 20 ms. After every call fetch the outputs with pop() until it says false, and carry them out in
// that order. Not thread-safe: one task owns a controller. Times come from a clock that does not
// go back (an earlier time is taken as the latest seen); before boot() inputs are ignored.
//
// Every input first lets time pass (so that what has become stale is acted upon before the new
// input counts), then takes effect, then everything is evaluated anew and what is due goes out.
class Controller {
 public:
  Controller(const Config& config, const BootInfo& boot_info);
  // Neither copied nor moved: its parts refer to its configuration.
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;
  Controller(Controller&&) = delete;
  Controller& operator=(Controller&&) = delete;
  ~Controller() = default;

  void boot(Millis now);
  void on_frame(std::uint8_t bus, const CanFrame& frame, Millis now);
  void on_key(std::uint8_t key, Millis now);
  void on_ocpp(const OcppWord& word, Millis now);
  void on_bus(std::uint8_t bus, BusState state, Millis now);
  // OCPP is about to tell the register: no more than what is stored after this.
  void on_report(Report report, Millis now);
  void tick(Millis now);

  bool pop(Output& output) { return outputs_.pop(output); }
  [[nodiscard]] Snapshot snapshot(Millis now) const;

 private:
  static constexpr Millis kStoreSpacing = 60000;

  struct Setpoint {
    std::int64_t millivolts = 0;
    std::int64_t milliamperes = 0;
  };

  [[nodiscard]] Millis not_before_last(Millis now) const;
  Millis let_time_pass(Millis now);
  void settle(Millis now, Millis store_spacing = kStoreSpacing);
  void evaluate(Millis now);
  void note_plug(Millis now);
  void evaluate_faults(Millis now);
  void note_word(Millis now);
  void heard(const Heard& heard, Millis now);

  [[nodiscard]] std::uint8_t bms_bus() const { return bus_count_ == 2 ? 1 : 0; }
  [[nodiscard]] GateReason judge_gate(Millis now) const;
  [[nodiscard]] Setpoint wanted_setpoint(Millis now) const;
  [[nodiscard]] std::int64_t current_cap_ma(Millis now) const;
  [[nodiscard]] std::string_view error(Millis now) const;
  [[nodiscard]] std::uint8_t flags(Millis now) const;

  void open_gate(const Setpoint& wanted, Millis now);
  void close_gate(GateReason reason, Millis now);
  void tell_off(Millis now);
  void send_switch(Millis now);
  void send_setpoint(const Setpoint& wanted, Millis now);
  void send_what_is_due(Millis now);
  void send_control_turn(Millis now);
  void send(std::uint8_t bus, const CanFrame& frame, bool urgent = false);

  void start_by_key(Millis now);
  void stop_by_key();
  [[nodiscard]] std::string_view start_refusal(Millis now) const;
  void print_view(Millis now);
  void store(Millis now);
  void print(const ConsoleLine& line);
  void event(std::string_view first, std::string_view second = {}, std::string_view third = {},
             std::string_view fourth = {});

  Config config_;
  BootInfo boot_info_;
  std::uint8_t bus_count_;
  bool booted_ = false;
  Millis boot_at_ = 0;
  Millis now_ = 0;
  OutputQueue outputs_;

  Bms bms_;
  PowerModule module_;
  FaultMonitor faults_;
  BusWatch buses_;
  Meter meter_;
  Permission permission_;
  std::uint64_t malformed_ = 0;

  bool energised_ = false;
  Millis off_since_ = 0;
  Millis switch_sent_ = 0;
  Setpoint setpoint_;
  Millis setpoint_sent_ = 0;

  bool plugged_ = false;
  bool connected_ = false;
  bool permitted_ = false;
  Faults known_faults_;

  std::uint64_t stored_mwh_;
  Millis stored_at_ = 0;
  View view_ = View::mute;

  Every control_;
  Every telemetry_;
  Every feedback_;
  Every capacity_;
  Every records_;
  std::uint8_t control_turn_ = 0;
  std::uint8_t telemetry_turn_ = 0;
};

}  // namespace evcore
