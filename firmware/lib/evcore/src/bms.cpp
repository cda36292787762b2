// SPDX-License-Identifier: Apache-2.0
#include "evcore/bms.hpp"

#include "evcore/can_tables.hpp"
#include "evcore/numbers.hpp"

namespace evcore {
namespace {

using can_tables::CapacityReply;
using can_tables::ChargeRequest;
using can_tables::DischargeReply;

constexpr Millis kAlive = 3000;
constexpr Millis kFeedbackTimeout = 5000;
constexpr Millis kCapacityFresh = 10000;

std::optional<bool> heating_of(std::uint64_t mode) {
  switch (static_cast<ChargeRequest::Mode>(mode)) {
    case ChargeRequest::Mode::heating:
      return true;
    case ChargeRequest::Mode::charging:
      return false;
  }
  return std::nullopt;
}

}  // namespace

bool Bms::receive(const CanFrame& frame, Millis now) {
  if (!frame.extended || frame.remote) {
    return true;
  }
  if (frame.can_id == ChargeRequest::kId) {
    return take_request(frame, now);
  }
  if (frame.can_id == CapacityReply::kId) {
    return take_capacity(frame, now);
  }
  if (frame.can_id == DischargeReply::kId &&
      config_.capacity_source == CapacitySource::charged_minus_discharged) {
    if (frame.dlc < DischargeReply::kMinLength) {
      return false;
    }
    const std::uint64_t discharged = DischargeReply::kDischarged.extract(frame.data);
    discharged_mah_.set(static_cast<std::int64_t>(discharged), now);
  }
  return true;
}

bool Bms::take_request(const CanFrame& frame, Millis now) {
  if (frame.dlc < ChargeRequest::kMinLength) {
    return false;
  }
  Request request;
  request.voltage_mv = deci_to_milli(ChargeRequest::kVoltage.extract(frame.data));
  request.current_ma = deci_to_milli(ChargeRequest::kCurrent.extract(frame.data));
  request.allowed = ChargeRequest::kControl.extract(frame.data) ==
                    static_cast<std::uint64_t>(ChargeRequest::Control::allowed);
  request.heating = heating_of(ChargeRequest::kMode.extract(frame.data));
  request.raw = RawData(frame);
  request_.set(request, now);
  return true;
}

bool Bms::take_capacity(const CanFrame& frame, Millis now) {
  if (frame.dlc < CapacityReply::kMinLength) {
    return false;
  }
  const Signal& signal = config_.capacity_source == CapacitySource::remaining
                             ? CapacityReply::kRemaining
                             : CapacityReply::kCharged;
  capacity_mah_.set(static_cast<std::int64_t>(signal.extract(frame.data)), now);
  return true;
}

void Bms::forget_pack() {
  capacity_mah_.clear();
  discharged_mah_.clear();
}

const std::optional<Request>& Bms::request(Millis now) const {
  return request_.within(kAlive, now);
}

bool Bms::in_range(Millis now) const {
  const auto& asked = request(now);
  return asked && asked->voltage_mv > config_.request_min_mv &&
         asked->voltage_mv < config_.request_max_mv && asked->current_ma > 0 &&
         asked->current_ma <= config_.request_max_ma;
}

bool Bms::allowed(Millis now) const {
  const auto& asked = request(now);
  return asked && asked->allowed;
}

bool Bms::silent(Millis now) const {
  const auto age = request_.age(now);
  return !age || *age >= kFeedbackTimeout;
}

std::optional<std::int64_t> Bms::soc_permille(Millis now) const {
  const auto& capacity = capacity_mah_.within(kCapacityFresh, now);
  if (!capacity) {
    return std::nullopt;
  }
  std::int64_t remaining = *capacity;
  if (config_.capacity_source == CapacitySource::charged_minus_discharged) {
    const auto& discharged = discharged_mah_.within(kCapacityFresh, now);
    if (!discharged) {
      return std::nullopt;
    }
    remaining -= *discharged;
  }
  return evcore::soc_permille(remaining, config_.battery_capacity_mah);
}

}  // namespace evcore
