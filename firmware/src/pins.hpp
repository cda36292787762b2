// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "driver/gpio.h"

// The board's wiring (docs/firmware.md).
namespace pins {

inline constexpr gpio_num_t kCanTx = GPIO_NUM_21;
inline constexpr gpio_num_t kCanRx = GPIO_NUM_22;

// The MCP2515; the first four are the pins that SPI3 reaches without a detour.
inline constexpr gpio_num_t kSpiClock = GPIO_NUM_18;
inline constexpr gpio_num_t kSpiMiso = GPIO_NUM_19;
inline constexpr gpio_num_t kSpiMosi = GPIO_NUM_23;
inline constexpr gpio_num_t kSpiSelect = GPIO_NUM_5;
inline constexpr gpio_num_t kMcp2515Int = GPIO_NUM_4;

}  // namespace pins
