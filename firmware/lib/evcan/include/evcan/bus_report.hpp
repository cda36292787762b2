// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "evcan/controller.hpp"
#include "evcore/types.hpp"

namespace evcan {

// What the console is told of a controller beside its state (docs/serial-console.md): its trouble
// once, and its counts when they have changed, at most once in a second.
class BusReport {
 public:
  explicit BusReport(std::uint8_t bus) : bus_(bus) {}

  // False where there is nothing to tell; else call again.
  bool next(const Controller& controller, evcore::BusState state, evcore::Millis now,
            evcore::ConsoleLine& line);

 private:
  void begin(evcore::ConsoleLine& line) const;

  std::uint8_t bus_;
  Trouble trouble_ = Trouble::none;
  Counts counts_;
  bool told_ = false;
  evcore::Millis told_at_ = 0;
};

}  // namespace evcan
