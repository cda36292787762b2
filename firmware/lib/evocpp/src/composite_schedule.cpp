// SPDX-License-Identifier: Apache-2.0
#if defined(EVTOOL_WITH_MICROOCPP)

#include "evocpp/composite_schedule.hpp"

#include <ArduinoJson.h>

#include <cmath>
#include <vector>

namespace evocpp {
namespace {

constexpr int kPhases = 3;  // "will be assumed unless another number is given", OCPP 1.6, 7.14

struct Period {
  int start = 0;
  float limit = 0.0F;
  int phases = kPhases;
};

// OCPP 1.6 allows one digit after the point.
double tenths(float value) { return std::round(static_cast<double>(value) * 10.0) / 10.0; }

std::vector<Period> read(JsonArrayConst periods, float no_limit) {
  std::vector<Period> out;
  for (const JsonVariantConst each : periods) {
    Period period;
    period.start = each["startPeriod"] | 0;
    period.limit = each["limit"] | -1.0F;
    const bool limited = period.limit >= 0.0F;
    if (!limited) {
      period.limit = no_limit;
    }
    const int phases = each["numberPhases"] | kPhases;
    period.phases = phases > 0 ? phases : kPhases;
    if (out.size() == 1 && period.start == 1 && out[0].limit == no_limit && limited) {
      out.clear();
      period.start = 0;
    }
    if (out.empty() || out.back().limit != period.limit || out.back().phases != period.phases) {
      out.push_back(period);
    }
  }
  return out;
}

}  // namespace

std::string mended_composite_schedule(const char* answer, size_t length, const HardwareLimit& limit,
                                      bool in_watt) {
  DynamicJsonDocument in(length * 3 + 512);
  if (deserializeJson(in, answer, length) != DeserializationError::Ok) {
    return {};
  }
  const JsonObject schedule = in[2]["chargingSchedule"];
  if (schedule.isNull()) {
    return {};
  }
  const std::vector<Period> periods = read(schedule["chargingSchedulePeriod"], limit.current_a);
  DynamicJsonDocument out(periods.size() * JSON_OBJECT_SIZE(3) + JSON_ARRAY_SIZE(periods.size()));
  out.to<JsonArray>();  // a list, also where nothing is in it
  for (const Period& period : periods) {
    const JsonObject entry = out.createNestedObject();
    entry["startPeriod"] = period.start;
    entry["limit"] = tenths(in_watt ? period.limit * limit.voltage_v : period.limit);
    entry["numberPhases"] = period.phases;
  }
  schedule["chargingRateUnit"] = in_watt ? "W" : "A";
  std::string list;
  serializeJson(out, list);
  schedule["chargingSchedulePeriod"] = serialized(list.c_str());
  std::string text;
  serializeJson(in, text);
  return text;
}

}  // namespace evocpp

#endif
