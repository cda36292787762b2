// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "evcore/types.hpp"

namespace evcan::mcp2515 {

inline constexpr std::size_t kFrameHead = 5;  // SIDH, SIDL, EID8, EID0, DLC
using FrameBytes = std::array<std::uint8_t, kFrameHead + 8>;

// As a transmit buffer holds it from TXBnSIDH on; `dlc` counts up to 8.
FrameBytes pack(const evcore::CanFrame& frame);
// As a receive buffer holds it from RXBnSIDH on. A length code beyond 8 is 8.
evcore::CanFrame unpack(const FrameBytes& bytes);

}  // namespace evcan::mcp2515
