// SPDX-License-Identifier: Apache-2.0
#if defined(EVTOOL_WITH_MICROOCPP)

#include "evocpp/wire_text.hpp"

#include <cstring>

#include "evocpp/iso_time.hpp"

namespace evocpp {
namespace {

constexpr const char* kTimeKeys[] = {"currentTime",   "expiryDate",   "validFrom", "validTo",
                                     "startSchedule", "retrieveDate", "startTime", "stopTime"};

constexpr const char* kFirstTime = "1970-01-01T00:00:00Z";
constexpr const char* kLastTime = "2037-12-31T23:59:59Z";

bool is_time_key(const char* text) {
  for (const char* key : kTimeKeys) {
    if (std::strcmp(text, key) == 0) {
      return true;
    }
  }
  return false;
}

// The nearest time that the library reads.
std::string readable(const std::string& utc) {
  if (!utc.empty() && utc < kFirstTime) {
    return kFirstTime;
  }
  return utc > kLastTime ? kLastTime : utc;
}

// Takes unknown samples out, and with them a meter value that has nothing else to say.
void drop_unknown(JsonArray meter_values) {
  for (size_t i = meter_values.size(); i-- > 0;) {
    JsonArray samples = meter_values[i]["sampledValue"];
    for (size_t k = samples.size(); k-- > 0;) {
      const char* value = samples[k]["value"] | "";
      if (std::strcmp(value, "nan") == 0 || std::strcmp(value, "-nan") == 0) {
        samples.remove(k);
      }
    }
    if (samples.size() == 0) {
      meter_values.remove(i);
    }
  }
}

}  // namespace

bool split_call(const char* message, size_t length, CallText& out) {
  const std::string text(message, length);
  static const char start[] = "[2,\"";
  const size_t id_at = sizeof start - 1;
  if (text.compare(0, id_at, start) != 0 || text.back() != ']') {
    return false;
  }
  const size_t id_end = text.find('"', id_at);
  if (id_end == std::string::npos || text.compare(id_end, 3, "\",\"") != 0) {
    return false;
  }
  const size_t action_at = id_end + 3;
  const size_t action_end = text.find('"', action_at);
  if (action_end == std::string::npos || text.compare(action_end, 2, "\",") != 0) {
    return false;
  }
  out.id = text.substr(id_at, id_end - id_at);
  out.action = text.substr(action_at, action_end - action_at);
  out.payload = text.substr(action_end + 2, text.size() - action_end - 3);
  return true;
}

std::string id_tag_of(const CallText& call) {
  if (call.action != "Authorize" && call.action != "StartTransaction" &&
      call.action != "StopTransaction") {
    return {};
  }
  DynamicJsonDocument document(document_capacity(call.payload.size()));
  deserializeJson(document, call.payload);
  return document["idTag"] | "";
}

bool without_unknown(const std::string& action, std::string& payload) {
  DynamicJsonDocument document(document_capacity(payload.size()));
  if (deserializeJson(document, payload) != DeserializationError::Ok) {
    return true;
  }
  const bool stop = action == "StopTransaction";
  JsonArray meter_values = document[stop ? "transactionData" : "meterValue"];
  drop_unknown(meter_values);
  if (meter_values.size() == 0) {
    if (!stop) {
      return false;
    }
    document.remove("transactionData");
  }
  payload.clear();
  serializeJson(document, payload);
  return true;
}

// NOLINTNEXTLINE(misc-no-recursion): JSON is nested, and the parser has bounded its depth.
bool times_to_utc(JsonVariant value) {
  for (const JsonVariant element : value.as<JsonArray>()) {
    if (!times_to_utc(element)) {
      return false;
    }
  }
  for (const JsonPair pair : value.as<JsonObject>()) {
    const char* key = pair.key().c_str();
    if (!pair.value().is<const char*>() || !is_time_key(key)) {
      if (!times_to_utc(pair.value())) {
        return false;
      }
      continue;
    }
    std::string utc = to_utc(pair.value().as<const char*>());
    if (std::strcmp(key, "currentTime") != 0) {
      utc = readable(utc);
    }
    // Without room it would be null, which the library takes for a text.
    if (!utc.empty() && !pair.value().set(utc)) {
      return false;
    }
  }
  return true;
}

}  // namespace evocpp

#endif
