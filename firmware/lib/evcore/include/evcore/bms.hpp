// SPDX-License-Identifier: Apache-2.0
// The vehicle's BMS: what it asks for, whether it is there, and how full its pack is.
//
//   alive         a well-formed charge_request came at most 3000 ms ago. This alone says that a
//                 vehicle is plugged in: its BMS reaches the bus only through the plug.
//   in range      request_min < voltage < request_max and 0 < current <= request_max_ma
//   ev_ready      alive, in range, and the control byte says allowed
//   state of charge  from replies at most 10000 ms old; an unplug forgets them, because the next
//                 vehicle must not inherit them
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "evcore/freshness.hpp"
#include "evcore/types.hpp"

namespace evcore {

// Bytes as they were received.
struct RawData {
  RawData() = default;
  // A length code of 9 to 15 is legal on the wire and means 8.
  explicit RawData(const CanFrame& frame)
      : bytes(frame.data), size(std::min<std::uint8_t>(frame.dlc, 8)) {}

  std::array<std::uint8_t, 8> bytes{};
  std::uint8_t size = 0;
};

// One charge_request.
struct Request {
  std::int64_t voltage_mv = 0;
  std::int64_t current_ma = 0;
  bool allowed = false;
  std::optional<bool> heating;  // nothing for a mode that the protocol does not know
  RawData raw;
};

class Bms {
 public:
  explicit Bms(const Config& config) : config_(config) {}

  // Takes a frame from the bus on which the BMS is. False: it was the BMS's, and malformed.
  bool receive(const CanFrame& frame, Millis now);

  // The vehicle left: its state of charge goes with it.
  void forget_pack();

  [[nodiscard]] const std::optional<Request>& request(Millis now) const;
  [[nodiscard]] std::optional<Millis> request_age(Millis now) const { return request_.age(now); }
  [[nodiscard]] bool alive(Millis now) const { return request(now).has_value(); }
  [[nodiscard]] bool in_range(Millis now) const;
  [[nodiscard]] bool allowed(Millis now) const;

  // The feedback's communication timeout: no request for 5000 ms, or none ever.
  [[nodiscard]] bool silent(Millis now) const;

  [[nodiscard]] std::optional<std::int64_t> soc_permille(Millis now) const;

 private:
  bool take_request(const CanFrame& frame, Millis now);
  bool take_capacity(const CanFrame& frame, Millis now);

  const Config& config_;
  Timed<Request> request_;
  Timed<std::int64_t> capacity_mah_;
  Timed<std::int64_t> discharged_mah_;
};

}  // namespace evcore
