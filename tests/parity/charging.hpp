// SPDX-License-Identifier: Apache-2.0
// A controller that charges, without the lockstep's lines.
#pragma once

#include <array>
#include <cstdint>

#include "evcore/can_tables.hpp"
#include "evcore/controller.hpp"

inline evcore::CanFrame frame(std::uint32_t can_id, std::array<std::uint8_t, 8> data,
                              std::uint8_t dlc = 8) {
  evcore::CanFrame made;
  made.can_id = can_id;
  made.dlc = dlc;
  made.data = data;
  return made;
}

// Start, and everything that the gate wants.
inline void open_gate(evcore::Controller& controller, evcore::Millis now = 0,
                      std::uint8_t dlc = 8) {
  using namespace evcore::can_tables;
  controller.boot(now);
  controller.on_bus(0, evcore::BusState::running, now);
  controller.on_frame(0, frame(ChargeRequest::kId, {0x02, 0xD0, 0x01, 0x2C}, dlc), now);
  controller.on_frame(0, frame(TelemetryReply::kId, {1, 0x80, 0, 0, 0, 0, 1, 0}, dlc), now);
  controller.on_ocpp({true, true, true, evcore::kNoLimit}, now);
}
