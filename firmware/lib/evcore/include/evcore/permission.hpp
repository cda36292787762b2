// SPDX-License-Identifier: Apache-2.0
// OCPP's word: whether energy may flow, and how much.
//
// Whoever speaks OCPP repeats the word at least once a second. One that is 5000 ms old is no longer
// believed: then nothing is connected, nothing permitted, and no limit known.
#pragma once

#include <cstdint>
#include <optional>

#include "evcore/charge_gate.hpp"
#include "evcore/freshness.hpp"
#include "evcore/types.hpp"

namespace evcore {

class Permission {
 public:
  void set(const OcppWord& word, Millis now) { word_.set(word, now); }

  // The word, while it is believed.
  [[nodiscard]] const std::optional<OcppWord>& current(Millis now) const {
    return word_.within(kYoungerThan - 1, now);
  }

  [[nodiscard]] bool connected(Millis now) const {
    const auto& word = current(now);
    return word && word->connected;
  }

  // Whether energy may flow, as far as OCPP is concerned.
  [[nodiscard]] bool granted(Millis now) const {
    return judge_permission(current(now)) == GateReason::open;
  }

  // By the last word however old: silence does not end a transaction.
  [[nodiscard]] bool in_transaction() const { return word_.last() && word_.last()->transaction; }

  [[nodiscard]] std::optional<std::int64_t> limit_ma(Millis now) const {
    const auto& word = current(now);
    if (!word || word->limit_ma == kNoLimit) {
      return std::nullopt;
    }
    return word->limit_ma;
  }

 private:
  static constexpr Millis kYoungerThan = 5000;
  Timed<OcppWord> word_;
};

}  // namespace evcore
