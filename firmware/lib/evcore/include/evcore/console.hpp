// SPDX-License-Identifier: Apache-2.0
// The serial console's lines, as docs/serial-console.md describes them.
//
// A record is `[name] field=value ...`; an unknown or stale value is `-`. No password and no key
// ever comes here: the controller knows none.
#pragma once

#include <string_view>

#include "evcore/bms.hpp"
#include "evcore/meter.hpp"
#include "evcore/power_module.hpp"
#include "evcore/types.hpp"

namespace evcore {

inline constexpr std::string_view kMenu =
    "keys: 1 bms 2 power_module 3 output 4 terminal 5 all 0 mute s start t stop m menu";

ConsoleLine bms_record(const Bms& bms, Millis now);
ConsoleLine power_module_record(const PowerModule& module, Millis now);
ConsoleLine output_record(const PowerModule& module, Millis now);
ConsoleLine terminal_record(const PowerModule& module, const Meter& meter, Millis now);
ConsoleLine boot_event(const BootInfo& info);

}  // namespace evcore
