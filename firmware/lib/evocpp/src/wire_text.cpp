// SPDX-License-Identifier: Apache-2.0
#if defined(EVTOOL_WITH_MICROOCPP)

#include "evocpp/wire_text.hpp"

#include <cstring>

#include "evocpp/iso_time.hpp"

namespace evocpp {
namespace {

constexpr const char* kTimeKeys[] = {"currentTime",   "expiryDate",   "validFrom", "validTo",
                                     "startSchedule", "retrieveDate", "startTime", "stopTime"};

bool is_time_key(const char* text) {
  for (const char* key : kTimeKeys) {
    if (std::strcmp(text, key) == 0) {
      return true;
    }
  }
  return false;
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
void times_to_utc(JsonVariant value) {
  if (value.is<JsonArray>()) {
    for (JsonVariant element : value.as<JsonArray>()) {
      times_to_utc(element);
    }
    return;
  }
  for (JsonPair pair : value.as<JsonObject>()) {
    if (pair.value().is<const char*>() && is_time_key(pair.key().c_str())) {
      const std::string utc = to_utc(pair.value().as<const char*>());
      if (!utc.empty()) {
        pair.value().set(utc);
      }
    } else {
      times_to_utc(pair.value());
    }
  }
}

}  // namespace evocpp

#endif
