// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "driver/gpio.h"

// The board's wiring (docs/firmware.md).
namespace pins {

inline constexpr gpio_num_t kCanTx = GPIO_NUM_21;
inline constexpr gpio_num_t kCanRx = GPIO_NUM_22;

}  // namespace pins
