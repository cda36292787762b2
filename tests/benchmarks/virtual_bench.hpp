// SPDX-License-Identifier: Apache-2.0
// A vehicle at a power module, both as they should be: the twin of
// evtool/virtual, integer for integer, so that the same hour ends in the same
// register whoever drives it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "evcore/can_tables.hpp"
#include "evcore/types.hpp"

namespace benchmark {

using evcore::CanFrame;
using evcore::Millis;

// Frames on their way to the controller.
class Frames {
 public:
  void add(const CanFrame& frame) { frames_.at(size_++) = frame; }
  void clear() { size_ = 0; }
  [[nodiscard]] const CanFrame* begin() const { return frames_.data(); }
  [[nodiscard]] const CanFrame* end() const { return frames_.data() + size_; }

 private:
  std::array<CanFrame, 16> frames_;
  std::size_t size_ = 0;
};

inline CanFrame empty_frame(std::uint32_t can_id) {
  CanFrame frame;
  frame.can_id = can_id;
  frame.dlc = 8;
  return frame;
}

inline std::int64_t towards(std::int64_t value, std::int64_t target, std::int64_t change) {
  return value < target ? std::min(value + change, target) : std::max(value - change, target);
}

inline std::uint32_t float_bits(std::int64_t milli) {
  const auto value = static_cast<float>(static_cast<double>(milli) / 1000);
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

class Vehicle {
 public:
  Vehicle(std::int64_t capacity_mah, std::int64_t soc_permille)
      : full_ma_ms_(capacity_mah * kMaMsPerMah),
        charge_ma_ms_(full_ma_ms_ * soc_permille / kFullPermille) {}

  [[nodiscard]] std::int64_t open_circuit_mv() const {
    return kEmptyMv + (kFullMv - kEmptyMv) * charge_ma_ms_ / full_ma_ms_;
  }
  [[nodiscard]] std::int64_t charge_ma_ms() const { return charge_ma_ms_; }

  void charge(std::int64_t current_ma, Millis elapsed) {
    charge_ma_ms_ = std::clamp<std::int64_t>(charge_ma_ms_ + current_ma * elapsed, 0, full_ma_ms_);
  }

  void on_frame(const CanFrame& frame, Frames& answers) const {
    using Reply = evcore::can_tables::CapacityReply;
    if (frame.can_id != evcore::can_tables::CapacityQuery::kId) {
      return;
    }
    CanFrame reply = empty_frame(Reply::kId);
    const std::int64_t remaining = std::min<std::int64_t>(charge_ma_ms_ / kMaMsPerMah, 0xFFFF);
    Reply::kRemaining.insert(reply.data, static_cast<std::uint64_t>(remaining));
    answers.add(reply);
  }

  void tick(Millis now, Frames& due) {
    using Request = evcore::can_tables::ChargeRequest;
    if (now < next_request_) {
      return;
    }
    next_request_ = now + Request::kPeriodMs;
    const std::int64_t soc_permille = charge_ma_ms_ * kFullPermille / full_ma_ms_;
    const std::int64_t above = std::max<std::int64_t>(0, soc_permille - kTaperFromPermille);
    const std::int64_t requested_ma =
        kRequestMa - (kRequestMa - kTaperEndMa) * above / (kFullPermille - kTaperFromPermille);
    CanFrame request = empty_frame(Request::kId);
    Request::kVoltage.insert(request.data, kRequestMv / 100);
    Request::kCurrent.insert(request.data, static_cast<std::uint64_t>(requested_ma / 100));
    Request::kControl.insert(request.data, soc_permille < kFullPermille ? 0 : 1);
    due.add(request);
  }

  static constexpr std::int64_t kResistanceMohm = 50;

 private:
  static constexpr std::int64_t kMaMsPerMah = 3'600'000;
  static constexpr std::int64_t kFullPermille = 1000;
  static constexpr std::int64_t kTaperFromPermille = 900;
  static constexpr std::int64_t kEmptyMv = 60'000;
  static constexpr std::int64_t kFullMv = 82'000;
  static constexpr std::int64_t kRequestMv = 84'000;
  static constexpr std::int64_t kRequestMa = 30'000;
  static constexpr std::int64_t kTaperEndMa = 1'500;

  std::int64_t full_ma_ms_;
  std::int64_t charge_ma_ms_;
  Millis next_request_ = 0;
};

class PowerModule {
 public:
  // Lets `elapsed` pass with a battery at the terminals; the current that it
  // was given.
  std::int64_t deliver(std::int64_t open_circuit_mv, Millis elapsed) {
    std::int64_t wanted = 0;
    if (on_) {
      const std::int64_t room_mv = std::max<std::int64_t>(0, set_mv_ - open_circuit_mv);
      wanted = std::min({set_ma_, room_mv * 1000 / Vehicle::kResistanceMohm, kRatedMa});
    }
    const std::int64_t rate = wanted > output_ma_ ? kRampMaPerS : kFallMaPerS;
    output_ma_ = towards(output_ma_, wanted, rate * elapsed / 1000);
    output_mv_ = open_circuit_mv + output_ma_ * Vehicle::kResistanceMohm / 1000;
    const std::int64_t target = kAmbientMdegc + 30'000 * output_ma_ / kRatedMa;
    temperature_mdegc_ = towards(temperature_mdegc_, target, kWarmingMdegcPerS * elapsed / 1000);
    return output_ma_;
  }

  void on_frame(const CanFrame& frame, Frames& answers) {
    if (frame.can_id == evcore::can_tables::ControlRequest::kId) {
      answers.add(control_reply(frame));
    } else if (frame.can_id == evcore::can_tables::TelemetryRequest::kId) {
      answers.add(telemetry_reply(frame));
    }
  }

  void tick(Millis now, Frames& due) {
    if (now >= next_terminal_) {
      next_terminal_ = now + 200;
      due.add(terminal_power());
      due.add(terminal_status());
    }
    if (now >= next_heartbeat_) {
      using Heartbeat = evcore::can_tables::ModuleHeartbeat;
      next_heartbeat_ = now + 500;
      CanFrame heartbeat = empty_frame(Heartbeat::kId);
      Heartbeat::kAlive.insert(heartbeat.data, 1);
      due.add(heartbeat);
    }
  }

 private:
  static constexpr std::int64_t kRatedMv = 90'000;
  static constexpr std::int64_t kRatedMa = 100'000;
  static constexpr std::int64_t kRampMaPerS = 20'000;
  static constexpr std::int64_t kFallMaPerS = 1'000'000;
  static constexpr std::int64_t kAmbientMdegc = 25'000;
  static constexpr std::int64_t kWarmingMdegcPerS = 3'000;

  CanFrame control_reply(const CanFrame& order) {
    using Order = evcore::can_tables::ControlRequest;
    using Reply = evcore::can_tables::ControlReply;
    CanFrame reply = empty_frame(Reply::kId);
    const std::uint64_t function = Order::kFunction.extract(order.data);
    Reply::kFunction.insert(reply.data, function);
    switch (static_cast<Order::Function>(function)) {
      case Order::Function::output: {
        on_ = Order::kOutput.extract(order.data) == static_cast<std::uint64_t>(Order::Output::on);
        const auto state = on_ ? Reply::Output::on : Reply::Output::off;
        Reply::kOutput.insert(reply.data, static_cast<std::uint64_t>(state));
        break;
      }
      case Order::Function::voltage_setpoint: {
        const std::uint64_t raw = Order::kVoltageSetpoint.extract(order.data);
        set_mv_ = std::min(static_cast<std::int64_t>((raw * 1000 + 512) / 1024), kRatedMv);
        Reply::kVoltageSetpoint.insert(reply.data, raw);
        break;
      }
      case Order::Function::current_setpoint: {
        const std::uint64_t raw = Order::kCurrentSetpoint.extract(order.data);
        set_ma_ = std::min(static_cast<std::int64_t>((raw * 2000 + 30) / 61), kRatedMa);
        Reply::kCurrentSetpoint.insert(reply.data, raw);
        break;
      }
    }
    return reply;
  }

  [[nodiscard]] CanFrame telemetry_reply(const CanFrame& question) const {
    using Reply = evcore::can_tables::TelemetryReply;
    CanFrame reply = empty_frame(Reply::kId);
    const std::uint64_t function =
        evcore::can_tables::TelemetryRequest::kFunction.extract(question.data);
    Reply::kFunction.insert(reply.data, function);
    const auto per_1024 = [](std::int64_t milli) {
      return static_cast<std::uint64_t>((milli * 1024 + 500) / 1000);
    };
    switch (static_cast<Reply::Function>(function)) {
      case Reply::Function::output_voltage:
        Reply::kOutputVoltage.insert(reply.data, per_1024(output_mv_));
        break;
      case Reply::Function::output_current:
        Reply::kOutputCurrent.insert(reply.data,
                                     std::min<std::uint64_t>(per_1024(output_ma_), 0xFFFF));
        break;
      case Reply::Function::temperature:
        Reply::kTemperature.insert(reply.data, static_cast<std::uint64_t>(temperature_mdegc_));
        break;
      case Reply::Function::metric_79:
        Reply::kMetric79.insert(reply.data, 12);
        break;
      case Reply::Function::metric_83:
        Reply::kMetric83.insert(reply.data, float_bits(1500));
        break;
    }
    return reply;
  }

  [[nodiscard]] CanFrame terminal_power() const {
    using Power = evcore::can_tables::TerminalPower;
    CanFrame frame = empty_frame(Power::kId);
    Power::kVoltage.insert(frame.data, float_bits(output_mv_));
    Power::kCurrent.insert(frame.data, float_bits(output_ma_));
    return frame;
  }

  [[nodiscard]] CanFrame terminal_status() const {
    using Status = evcore::can_tables::TerminalStatus;
    CanFrame frame = empty_frame(Status::kId);
    const auto status =
        on_ && output_ma_ > 0 ? Status::Status::charging : Status::Status::not_charging;
    Status::kStatus.insert(frame.data, static_cast<std::uint64_t>(status));
    return frame;
  }

  bool on_ = false;
  std::int64_t set_mv_ = 0;
  std::int64_t set_ma_ = 0;
  std::int64_t output_mv_ = 0;
  std::int64_t output_ma_ = 0;
  std::int64_t temperature_mdegc_ = kAmbientMdegc;
  Millis next_terminal_ = 0;
  Millis next_heartbeat_ = 0;
};

// Both on bus 0, moved together in steps of 20 ms.
class Bench {
 public:
  explicit Bench(const Vehicle& vehicle) : vehicle_(vehicle) {}

  [[nodiscard]] const Vehicle& vehicle() const { return vehicle_; }

  void on_frame(const CanFrame& frame, Millis now, Frames& answers) {
    advance(now);
    module_.on_frame(frame, answers);
    vehicle_.on_frame(frame, answers);
  }

  void tick(Millis now, Frames& due) {
    advance(now);
    module_.tick(now, due);
    vehicle_.tick(now, due);
  }

 private:
  static constexpr Millis kStep = 20;

  void advance(Millis now) {
    while (now - now_ >= kStep) {
      now_ += kStep;
      vehicle_.charge(module_.deliver(vehicle_.open_circuit_mv(), kStep), kStep);
    }
  }

  Vehicle vehicle_;
  PowerModule module_;
  Millis now_ = 0;
};

}  // namespace benchmark
