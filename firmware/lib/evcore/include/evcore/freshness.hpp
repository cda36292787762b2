// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "evcore/types.hpp"

namespace evcore {

// The last value of a kind, if one ever came, and when: what is stale is unknown, not the last
// value.
template <typename Value>
class Timed {
 public:
  void set(const Value& value, Millis now) {
    value_ = value;
    at_ = now;
  }

  // Forget: as if none had ever come.
  void clear() { value_.reset(); }

  [[nodiscard]] std::optional<Millis> age(Millis now) const {
    if (!value_) {
      return std::nullopt;
    }
    return now - at_;
  }

  // The value if it is at most `limit` old. In place: it is asked for in every input, and some
  // values are large.
  [[nodiscard]] const std::optional<Value>& within(Millis limit, Millis now) const {
    return now - at_ > limit ? kUnknown : value_;
  }

  // The value, however old: for edges and records, never for a decision.
  [[nodiscard]] const std::optional<Value>& last() const { return value_; }

 private:
  static constexpr std::optional<Value> kUnknown{};

  std::optional<Value> value_;
  Millis at_ = 0;
};

// A period that neither drifts with late calls nor makes up for missed ones.
class Every {
 public:
  explicit Every(Millis period) : period_(period) {}

  // Due at `first` and then once in every period.
  void start(Millis first) { due_ = first; }

  // True once for each period that has come; after a long gap once, not many times.
  bool due(Millis now) {
    if (now < due_) {
      return false;
    }
    due_ += period_;
    if (due_ <= now) {
      due_ = now + period_;
    }
    return true;
  }

 private:
  Millis period_;
  Millis due_ = 0;
};

}  // namespace evcore
