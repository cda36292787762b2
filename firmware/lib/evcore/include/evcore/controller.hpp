// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "evcore/types.hpp"

namespace evcore {

// The charge controller: every decision about charging, and no clock, bus or console of its own.
//
// Call boot() once, then one of the inputs for each thing that happens, and tick() at least every
// 20 ms. After every call fetch the outputs with pop() until it says false, and carry them out in
// that order. Not thread-safe: one task owns a controller. Times come from a clock that does not
// go back (an earlier time is taken as the latest seen); before boot() inputs are ignored.
class Controller {
 public:
  Controller(const Config& config, const BootInfo& boot_info);

  void boot(Millis now);
  void on_frame(std::uint8_t bus, const CanFrame& frame, Millis now);
  void on_key(std::uint8_t key, Millis now);
  void on_ocpp(const OcppWord& word, Millis now);
  void on_bus(std::uint8_t bus, BusState state, Millis now);
  void tick(Millis now);

  bool pop(Output& output);
  [[nodiscard]] Snapshot snapshot(Millis now) const;
};

}  // namespace evcore
