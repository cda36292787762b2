// SPDX-License-Identifier: Apache-2.0
#if defined(EVTOOL_WITH_MICROOCPP)

#include "evocpp/call_rules.hpp"

#include <cstring>

#include "evocpp/iso_time.hpp"

namespace evocpp {
namespace {

constexpr int kConnectors = 1;

struct TextRule {
  const char* key;
  size_t longest;
};

constexpr TextRule kTextRules[] = {{"idTag", 20},     {"parentIdTag", 20}, {"key", 50},
                                   {"value", 500},    {"vendorId", 255},   {"messageId", 50},
                                   {"expiryDate", 40}};

bool is(const char* text, const char* word) { return std::strcmp(text, word) == 0; }

const TextRule* rule_of(const char* key) {
  for (const TextRule& rule : kTextRules) {
    if (is(rule.key, key)) {
      return &rule;
    }
  }
  return nullptr;
}

bool is_wrong(const TextRule& rule, JsonVariantConst value) {
  const char* text = value | "";
  return !value.is<const char*>() || std::strlen(text) > rule.longest ||
         (is(rule.key, "expiryDate") && to_utc(text).empty());
}

bool is_wrong_member(const TextRule& rule, JsonVariantConst value) {
  if (!is(rule.key, "key") || !value.is<JsonArrayConst>()) {
    return is_wrong(rule, value);
  }
  for (const JsonVariantConst each : value.as<JsonArrayConst>()) {  // of GetConfiguration
    if (is_wrong(rule, each)) {
      return true;
    }
  }
  return false;
}

bool recurs_unsaid(JsonVariantConst profile) {
  return is(profile["chargingProfileKind"] | "", "Recurring") &&
         (profile["recurrencyKind"].isNull() ||
          profile["chargingSchedule"]["startSchedule"].isNull());
}

}  // namespace

// NOLINTNEXTLINE(misc-no-recursion): JSON is nested, and the parser has bounded its depth.
void drop_empty(JsonVariant payload) {
  for (const JsonVariant element : payload.as<JsonArray>()) {
    drop_empty(element);
  }
  JsonObject members = payload.as<JsonObject>();
  for (auto next = members.begin(); next != members.end();) {
    auto member = next;
    ++next;
    const JsonVariant value = member->value();
    const bool no_parent = is(member->key().c_str(), "parentIdTag") && value == "";
    if (value.isNull() || no_parent) {
      members.remove(member);
    } else {
      drop_empty(value);
    }
  }
}

// NOLINTNEXTLINE(misc-no-recursion): JSON is nested, and the parser has bounded its depth.
bool has_wrong_text(JsonVariantConst payload) {
  for (const JsonVariantConst element : payload.as<JsonArrayConst>()) {
    if (has_wrong_text(element)) {
      return true;
    }
  }
  for (const JsonPairConst pair : payload.as<JsonObjectConst>()) {
    const TextRule* rule = rule_of(pair.key().c_str());
    if (rule != nullptr ? is_wrong_member(*rule, pair.value()) : has_wrong_text(pair.value())) {
      return true;
    }
  }
  return false;
}

const char* refused_status(const char* action, JsonObjectConst payload) {
  const int connector = payload["connectorId"] | -1;
  if (is(action, "RemoteStartTransaction")) {
    const char* purpose = payload["chargingProfile"]["chargingProfilePurpose"] | "TxProfile";
    if (connector == 0 || is(purpose, "TxDefaultProfile") || is(purpose, "ChargePointMaxProfile") ||
        recurs_unsaid(payload["chargingProfile"])) {
      return "Rejected";
    }
  } else if (is(action, "SetChargingProfile")) {
    // To the library a negative transactionId is none, and the profile for whatever runs (D11).
    if (recurs_unsaid(payload["csChargingProfiles"]) ||
        (payload["csChargingProfiles"]["transactionId"] | 0) < 0) {
      return "Rejected";
    }
  } else if (is(action, "TriggerMessage") && connector > kConnectors) {
    return "Rejected";
  }
  return nullptr;
}

}  // namespace evocpp

#endif
