// SPDX-License-Identifier: Apache-2.0
// The controller's settings: those of evtool.toml, which `evtool codegen` renders beside
// secrets.h, or the core's defaults where nothing has been rendered.
#pragma once

#include <cstdint>

#include "evcore/types.hpp"

#if __has_include("controller_config.hpp")
#include "controller_config.hpp"

inline evcore::Config unit_config() { return controller_config::make_config(); }
inline constexpr std::uint32_t kUnitCanBitrate = controller_config::kCanBitrate;
inline constexpr std::uint8_t kUnitBuses = controller_config::kBuses;
#else
inline evcore::Config unit_config() { return {}; }
inline constexpr std::uint32_t kUnitCanBitrate = 250000;
inline constexpr std::uint8_t kUnitBuses = 1;
#endif
