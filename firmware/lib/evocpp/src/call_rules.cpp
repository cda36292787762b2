// SPDX-License-Identifier: Apache-2.0
#if defined(EVTOOL_WITH_MICROOCPP)

#include "evocpp/call_rules.hpp"

#include <cstring>

namespace evocpp {
namespace {

constexpr int kConnectors = 1;

struct TextRule {
  const char* key;
  size_t longest;
};

constexpr TextRule kTextRules[] = {{"idTag", 20},  {"parentIdTag", 20}, {"key", 50},
                                   {"value", 500}, {"vendorId", 255},   {"messageId", 50}};

bool is_long(const char* key, const char* text) {
  for (const TextRule& rule : kTextRules) {
    if (std::strcmp(rule.key, key) == 0) {
      return std::strlen(text) > rule.longest;
    }
  }
  return false;
}

// NOLINTNEXTLINE(misc-no-recursion): JSON is nested, and the parser has bounded its depth.
bool has_long_text_under(const char* key, JsonVariantConst value) {
  if (value.is<const char*>()) {
    return is_long(key, value.as<const char*>());
  }
  for (const JsonVariantConst element : value.as<JsonArrayConst>()) {
    if (has_long_text_under(key, element)) {
      return true;
    }
  }
  for (const JsonPairConst pair : value.as<JsonObjectConst>()) {
    if (has_long_text_under(pair.key().c_str(), pair.value())) {
      return true;
    }
  }
  return false;
}

bool is(const char* text, const char* word) { return std::strcmp(text, word) == 0; }

bool recurs_unsaid(JsonVariantConst profile) {
  return is(profile["chargingProfileKind"] | "", "Recurring") &&
         (profile["recurrencyKind"].isNull() ||
          profile["chargingSchedule"]["startSchedule"].isNull());
}

}  // namespace

bool has_long_text(JsonVariantConst payload) { return has_long_text_under("", payload); }

const char* refused_status(const char* action, JsonObjectConst payload) {
  const int connector = payload["connectorId"] | -1;
  if (is(action, "RemoteStartTransaction")) {
    const char* purpose = payload["chargingProfile"]["chargingProfilePurpose"] | "TxProfile";
    if (connector == 0 || is(purpose, "TxDefaultProfile") || is(purpose, "ChargePointMaxProfile") ||
        recurs_unsaid(payload["chargingProfile"])) {
      return "Rejected";
    }
  } else if (is(action, "SetChargingProfile")) {
    if (recurs_unsaid(payload["csChargingProfiles"])) {
      return "Rejected";
    }
  } else if (is(action, "TriggerMessage") && connector > kConnectors) {
    return "Rejected";
  }
  return nullptr;
}

}  // namespace evocpp

#endif
