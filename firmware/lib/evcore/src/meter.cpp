// SPDX-License-Identifier: Apache-2.0
#include "evcore/meter.hpp"

#include <algorithm>

namespace evcore {
namespace {

constexpr Millis kMaxGap = 2000;
constexpr std::uint64_t kNanojoulesPerMwh = 3'600'000'000;
constexpr std::uint64_t kMaxEnergyMwh = std::uint64_t{1} << 62U;

}  // namespace

Meter::Meter(std::uint64_t stored_mwh) : register_mwh_(std::min(stored_mwh, kMaxEnergyMwh)) {}

void Meter::sample(std::int64_t millivolts, std::int64_t milliamperes, Millis now) {
  const Millis gap = now - previous_at_;
  if (previous_uw_ && gap <= kMaxGap) {
    // Split before multiplying: the product of three wire values does not fit 64 bits.
    const auto gap_ms = static_cast<std::uint64_t>(gap);
    const std::uint64_t whole = *previous_uw_ / kNanojoulesPerMwh;
    const std::uint64_t rest = *previous_uw_ % kNanojoulesPerMwh;
    carried_nj_ += rest * gap_ms;
    const std::uint64_t grown = register_mwh_ + whole * gap_ms + carried_nj_ / kNanojoulesPerMwh;
    carried_nj_ %= kNanojoulesPerMwh;
    register_mwh_ = std::min(grown, kMaxEnergyMwh);
  }
  const std::int64_t microwatts = millivolts * milliamperes;
  previous_uw_ = microwatts > 0 ? static_cast<std::uint64_t>(microwatts) : 0;
  previous_at_ = now;
}

void Meter::start_session() {
  session_start_ = register_mwh_;
  session_end_.reset();
}

void Meter::end_session() { session_end_ = register_mwh_; }

std::optional<std::uint64_t> Meter::session_mwh() const {
  if (!session_start_) {
    return std::nullopt;
  }
  return session_end_.value_or(register_mwh_) - *session_start_;
}

}  // namespace evcore
