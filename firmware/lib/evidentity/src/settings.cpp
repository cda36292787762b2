// SPDX-License-Identifier: Apache-2.0
#include "evidentity/settings.hpp"

namespace evidentity {
namespace {

constexpr uint32_t kLargest = 0x7FFFFFFF;

// A choice of two, kept as 0 or 1 above `first`.
template <typename Apply>
void choice(const NvsReader& nvs, std::vector<Problem>& problems, const char* key, uint8_t first,
            Apply apply) {
  uint8_t value = 0;
  if (!nvs.get_u8(key, value)) {
    return;
  }
  if (value != first && value != first + 1) {
    problems.push_back({key, first == 0 ? "0_or_1" : "1_or_2"});
    return;
  }
  apply(value);
}

void amount(const NvsReader& nvs, std::vector<Problem>& problems, const char* key,
            std::int32_t& field) {
  uint32_t value = 0;
  if (!nvs.get_u32(key, value)) {
    return;
  }
  if (value > kLargest) {
    problems.push_back({key, "0_to_2147483647"});
    return;
  }
  field = static_cast<std::int32_t>(value);
}

}  // namespace

std::vector<Problem> load_settings(const NvsReader& nvs, evcore::Config& config) {
  std::vector<Problem> problems;
  choice(nvs, problems, "can_buses", 1, [&config](uint8_t value) { config.buses = value; });
  choice(nvs, problems, "cap_source", 0, [&config](uint8_t value) {
    config.capacity_source = value == 0 ? evcore::CapacitySource::remaining
                                        : evcore::CapacitySource::charged_minus_discharged;
  });
  choice(nvs, problems, "i_scale", 0, [&config](uint8_t value) {
    config.module_current_scale =
        value == 0 ? evcore::CurrentScale::per_1024 : evcore::CurrentScale::per_10;
  });
  choice(nvs, problems, "t_scale", 0, [&config](uint8_t value) {
    config.module_temperature_scale =
        value == 0 ? evcore::TemperatureScale::milli : evcore::TemperatureScale::deci;
  });
  amount(nvs, problems, "battery_mah", config.battery_capacity_mah);
  amount(nvs, problems, "req_min_mv", config.request_min_mv);
  amount(nvs, problems, "req_max_mv", config.request_max_mv);
  amount(nvs, problems, "req_max_ma", config.request_max_ma);
  amount(nvs, problems, "max_mv", config.max_voltage_mv);
  amount(nvs, problems, "max_ma", config.max_current_ma);
  return problems;
}

}  // namespace evidentity
