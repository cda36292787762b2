// SPDX-License-Identifier: Apache-2.0
// The energy register: grows with every sample, survives restarts, is never reset.
//
//   energy = the previous sample's voltage x current x the time since, if that is at most 2000 ms
//   millivolts x milliamperes x milliseconds are nanojoules; what does not make a whole mWh
//   (3.6e9 nJ) is carried, so nothing is lost or rounded
//   a sample whose power is not positive adds nothing: the register only grows
//   the session's energy is the difference of two registers
#pragma once

#include <cstdint>
#include <optional>

#include "evcore/types.hpp"

namespace evcore {

class Meter {
 public:
  explicit Meter(std::uint64_t stored_mwh);

  // Takes what is measured now; the energy since the last sample joins the register.
  void sample(std::int64_t millivolts, std::int64_t milliamperes, Millis now);

  // A transaction starts: its energy counts from here. It ended: it stays until the next one.
  void start_session();
  void end_session();

  [[nodiscard]] std::uint64_t register_mwh() const { return register_mwh_; }
  [[nodiscard]] std::optional<std::uint64_t> session_mwh() const;

 private:
  std::uint64_t register_mwh_;
  std::uint64_t carried_nj_ = 0;
  std::optional<std::uint64_t> previous_uw_;
  Millis previous_at_ = 0;
  std::optional<std::uint64_t> session_start_;
  std::optional<std::uint64_t> session_end_;
};

}  // namespace evcore
