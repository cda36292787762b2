// SPDX-License-Identifier: Apache-2.0
#if defined(EVTOOL_WITH_MICROOCPP)

#include "evocpp/wire_filter.hpp"

#include <MicroOcpp/Platform.h>
#include <strings.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "evocpp/call_rules.hpp"
#include "evocpp/iso_time.hpp"
#include "evocpp/wire_text.hpp"

namespace evocpp {
namespace {

constexpr int kCall = 2;
constexpr int kCallResult = 3;
constexpr int kCallError = 4;
constexpr int kConnector = 1;
constexpr int kHighestStackLevel = 7;
constexpr unsigned long kNoAnswerMs = 40000;  // the library's own limit for the others
constexpr int kRepeats = 2;
constexpr unsigned long kPutOffMs = 5000;
constexpr const char* kPassed = "1970-01-01T00:00:00Z";  // for an end that cannot be read
constexpr size_t kAuthorizationKeyShortest = 32;
constexpr size_t kAuthorizationKeyLongest = 40;

// The library answers these as if it were a CSMS; none may be sent to a charge point.
constexpr const char* kCsmsActions[] = {
    "Authorize",        "BootNotification",
    "Heartbeat",        "MeterValues",
    "StartTransaction", "StatusNotification",
    "StopTransaction",  "DiagnosticsStatusNotification",
    "CustomOperation",  "FirmwareStatusNotification",
};
constexpr const char* kTriggers[] = {"BootNotification", "Heartbeat", "MeterValues",
                                     "StatusNotification"};
constexpr const char* kFileTriggers[] = {"DiagnosticsStatusNotification",
                                         "FirmwareStatusNotification"};

template <size_t N>
bool one_of(const char* text, const char* const (&list)[N]) {
  for (const char* entry : list) {
    if (std::strcmp(text, entry) == 0) {
      return true;
    }
  }
  return false;
}

JsonVariantConst unreadable() {
  static StaticJsonDocument<16> id;
  id.set("-1");
  return id.as<JsonVariantConst>();
}

// Of an answer of ours: the id is the CSMS's, and as long as it likes.
size_t answer_capacity(JsonVariantConst id) { return document_capacity(std::strlen(id | "")); }

// Whether it is the CALLRESULT to the call of this id, empty for none.
bool is_result(const std::string& id, const char* message, size_t length) {
  const std::string start = "[3,\"" + id + "\",";
  return !id.empty() && length >= start.size() &&
         start.compare(0, start.size(), message, start.size()) == 0;
}

std::string result(const std::string& id, const char* status) {
  return "[3,\"" + id + "\",{\"status\":\"" + status + "\"}]";
}

bool authorization_key_form(const char* hex) {
  const size_t length = std::strlen(hex);
  return length >= kAuthorizationKeyShortest && length <= kAuthorizationKeyLongest &&
         length % 2 == 0 && std::strspn(hex, "0123456789abcdefABCDEF") == length;
}

}  // namespace

WireFilter::WireFilter(MicroOcpp::Connection& below, Policy policy)
    : below_(below), policy_(std::move(policy)) {
  MicroOcpp::ReceiveTXTcallback from_below = [this](const char* message, size_t length) {
    return receive(message, length);
  };
  below_.setReceiveTXTcallback(from_below);
}

void WireFilter::setReceiveTXTcallback(MicroOcpp::ReceiveTXTcallback& receive) {
  receive_ = receive;
}

void WireFilter::loop() {
  if (!self_answered_.empty()) {
    const std::string message = std::move(self_answered_);
    self_answered_.clear();
    receive_(message.c_str(), message.size());
  }
  repeat_status();
  take_put_off();
  below_.loop();
}

bool WireFilter::sendTXT(const char* message, size_t length) {
  CallText call;
  if (!split_call(message, length, call)) {
    return send_answer(message, length);
  }
  const std::string id_tag = id_tag_of(call);
  if (call.action == "Authorize" && answer_authorize(call.id, id_tag)) {
    wire_id_.clear();  // an answer to the call before comes too late
    return true;
  }
  // Unknown values, and a list of measurands that is empty: the library sends no sample then.
  const bool has_gaps = call.payload.find("nan\"") != std::string::npos ||
                        call.payload.find("\"sampledValue\":[]") != std::string::npos;
  if (has_gaps && (call.action == "MeterValues" || call.action == "StopTransaction") &&
      !without_unknown(call.action, call.payload)) {
    // Not now: the library is inside its send and forgets the request when it is answered.
    self_answered_ = "[3,\"" + call.id + "\",{}]";
    wire_id_.clear();
    return true;
  }
  if (!send_call(call.action, call.payload)) {
    return false;
  }
  library_id_ = call.id;
  action_ = call.action;
  id_tag_ = id_tag;
  status_ = call.action == "StatusNotification" ? call.payload : std::string();
  repeats_ = 0;
  lost_ = false;
  return true;
}

bool WireFilter::answer_authorize(const std::string& id, const std::string& id_tag) {
  const IdTagInfo* known =
      policy_.known_tag && self_answered_.empty() ? policy_.known_tag(id_tag.c_str()) : nullptr;
  if (known == nullptr) {
    return false;
  }
  DynamicJsonDocument document(512);
  document.add(kCallResult);
  document.add(id);
  const JsonObject info = document.createNestedObject().createNestedObject("idTagInfo");
  info["status"] = known->status;
  if (!known->parent.empty()) {
    info["parentIdTag"] = known->parent;
  }
  serializeJson(document, self_answered_);
  return true;
}

bool WireFilter::send_answer(const char* message, size_t length) {
  std::string mended;
  std::string* asked = nullptr;
  if (is_result(composite_id_, message, length)) {
    asked = &composite_id_;
    mended = policy_.knows_time && !policy_.knows_time()
                 ? result(composite_id_, "Rejected")  // the library would tell it for 1970
                 : mended_composite_schedule(message, length, policy_.limit, in_watt_);
  } else if (is_result(scheduled_id_, message, length)) {
    asked = &scheduled_id_;
    mended = result(scheduled_id_, "Scheduled");
  }
  const bool sent = mended.empty() ? below_.sendTXT(message, length)
                                   : below_.sendTXT(mended.c_str(), mended.size());
  if (sent && asked != nullptr) {
    asked->clear();
  }
  return sent;
}

bool WireFilter::send_call(const std::string& action, const std::string& payload) {
  char id[40];
  std::snprintf(id, sizeof id, "%016" PRIx64 "-%" PRIu32, policy_.boot_nonce, sent_);
  const std::string text = "[2,\"" + std::string(id) + "\",\"" + action + "\"," + payload + "]";
  if (!below_.sendTXT(text.c_str(), text.size())) {
    return false;
  }
  ++sent_;
  wire_id_ = id;
  sent_at_ = mocpp_tick_ms();
  return true;
}

void WireFilter::repeat_status() {
  if (wire_id_.empty() || status_.empty()) {
    return;
  }
  if (!below_.isConnected()) {
    lost_ = true;  // its answer will not come any more
    return;
  }
  if (lost_ && repeats_ < kRepeats) {
    if (send_call(action_, status_)) {
      ++repeats_;
      lost_ = false;
    }
    return;
  }
  if (!lost_ && mocpp_tick_ms() - sent_at_ < kNoAnswerMs) {
    return;
  }
  const std::string message = "[4,\"" + library_id_ + "\",\"GenericError\",\"\",{}]";
  wire_id_.clear();
  receive_(message.c_str(), message.size());
}

bool WireFilter::receive(const char* message, size_t length) {
  if (!receive_) {
    return false;
  }
  DynamicJsonDocument document(document_capacity(length));
  const DeserializationError parsed = deserializeJson(document, message, length);
  if (parsed == DeserializationError::NoMemory || parsed == DeserializationError::TooDeep) {
    return false;  // the library must not see what could not be looked at
  }
  if (parsed != DeserializationError::Ok || !document.is<JsonArray>()) {
    // Not JSON, so its id cannot be read. What might have been an answer gets none.
    const bool answer_like = length > 1 && (message[1] == '3' || message[1] == '4');
    return !answer_like && answer_error(unreadable(), "GenericError");
  }
  const JsonArray array = document.as<JsonArray>();
  const int type = array[0] | 0;
  if (type == kCall) {
    return receive_call(array);
  }
  if (type == kCallResult || type == kCallError) {
    return receive_answer(array, type == kCallError);
  }
  return false;
}

bool WireFilter::receive_answer(JsonArray message, bool error) {
  const char* id = message[1] | "";
  if (wire_id_.empty() || wire_id_ != id) {
    return false;
  }
  if (error && (action_ == "StopTransaction" || action_ == "Authorize")) {
    return false;  // the library's own time limit decides what comes next
  }
  if (!error && action_ == "BootNotification") {
    registered_ = std::strcmp(message[2]["status"] | "", "Accepted") == 0;
  }
  if (!error && (action_ == "BootNotification" || action_ == "Heartbeat")) {
    hear_time(message[2]);
  }
  if (!error) {
    drop_empty(message[2]);
    hear_tag(message[2]["idTagInfo"]);
  }
  message[1] = library_id_.c_str();  // no copy: the document may be full
  wire_id_.clear();
  return forward(message);
}

void WireFilter::hear_time(JsonVariantConst payload) {
  const int64_t told = to_unix(payload["currentTime"] | "");
  if (told >= 0 && policy_.tell_time) {
    policy_.tell_time(told);
  }
}

void WireFilter::hear_tag(JsonObject info) {
  if (!info["parentIdTag"].is<const char*>()) {
    info.remove("parentIdTag");  // the library takes it for a text
  }
  if (id_tag_.empty() || !policy_.learn_tag || !info["status"].is<const char*>()) {
    return;
  }
  std::string expires;
  if (!info["expiryDate"].isNull()) {
    expires = to_utc(info["expiryDate"] | "");
    if (expires.empty()) {
      expires = kPassed;
    }
  }
  policy_.learn_tag(id_tag_, {info["status"] | "", info["parentIdTag"] | "", expires});
}

bool WireFilter::receive_call(JsonArray message) {
  if (!message[1].is<const char*>()) {
    return false;  // an answer could not say what it answers
  }
  drop_empty(message[3]);
  if (put_off(message)) {
    return true;
  }
  if (refused(message)) {
    return true;
  }
  rewrite(message[2] | "", message);
  return forward(message);
}

// The CSMS knows a transaction's id before the library has its answer.
bool WireFilter::put_off(JsonArray message) {
  const char* action = message[2] | "";
  const bool of_transaction = (std::strcmp(action, "SetChargingProfile") == 0 &&
                               message[3]["csChargingProfiles"]["transactionId"].is<int>()) ||
                              std::strcmp(action, "RemoteStopTransaction") == 0;
  if (!of_transaction || !put_off_.empty() || !policy_.start_unanswered ||
      !policy_.start_unanswered()) {
    return false;
  }
  serializeJson(message, put_off_);
  put_off_at_ = mocpp_tick_ms();
  return true;
}

void WireFilter::take_put_off() {
  if (!below_.isConnected()) {
    put_off_.clear();  // nobody would hear its answer
  }
  if (put_off_.empty() ||
      (policy_.start_unanswered() && mocpp_tick_ms() - put_off_at_ < kPutOffMs)) {
    return;
  }
  DynamicJsonDocument document(document_capacity(put_off_.size()));
  deserializeJson(document, put_off_);
  const JsonArray message = document.as<JsonArray>();
  if (!refused(message)) {
    forward(message);
  }
  put_off_.clear();
}

void WireFilter::declare_key(JsonVariant key) const {
  const char* declared = policy_.declared_key ? policy_.declared_key(key | "") : nullptr;
  if (declared != nullptr) {
    key.set(declared);
  }
}

void WireFilter::rewrite(const char* action, JsonArray message) {
  const JsonObject payload = message[3];
  const char* id = message[1] | "";
  for (std::string* asked : {&composite_id_, &scheduled_id_}) {
    if (*asked == id) {
      asked->clear();  // of a call that has earned a CALLERROR
    }
  }
  if (std::strcmp(action, "GetCompositeSchedule") == 0) {
    composite_id_ = id;
    in_watt_ = std::strcmp(payload["chargingRateUnit"] | "A", "W") == 0;
    payload.remove("chargingRateUnit");  // the library would answer -1 for the other unit
  } else if (std::strcmp(action, "ChangeAvailability") == 0 && policy_.in_transaction &&
             policy_.in_transaction() && std::strcmp(payload["type"] | "", "Inoperative") == 0) {
    scheduled_id_ = id;  // the library forgets the transaction of a Faulted connector
  } else if (std::strcmp(action, "ReserveNow") == 0 && payload["connectorId"].is<int>() &&
             payload["connectorId"] == 0) {
    payload["connectorId"] = kConnector;
  } else if (std::strcmp(action, "ChangeConfiguration") == 0) {
    declare_key(payload["key"]);
  } else if (std::strcmp(action, "GetConfiguration") == 0) {
    for (const JsonVariant each : payload["key"].as<JsonArray>()) {
      declare_key(each);
    }
  }
}

bool WireFilter::forward(JsonArray message) {
  if (!times_to_utc(message)) {
    return false;
  }
  std::string text;
  serializeJson(message, text);
  return receive_(text.c_str(), text.size());
}

bool WireFilter::trigger_known(const char* message) const {
  return one_of(message, kTriggers) ||
         (policy_.diagnostics_ordered && one_of(message, kFileTriggers));
}

// What the library would refuse is left as it is.
void WireFilter::count_attempts(const char* action, JsonObject payload) {
  const int attempts = payload["retries"] | 1;
  const int interval_s = payload["retryInterval"] | 180;
  if (!policy_.diagnostics_ordered || attempts < 0 || interval_s < 0) {
    return;
  }
  if (std::strcmp(action, "UpdateFirmware") == 0 && attempts == 0) {
    payload["retries"] = 1;
  } else if (std::strcmp(action, "GetDiagnostics") == 0) {
    payload["retries"] = policy_.diagnostics_ordered(attempts, interval_s);
    payload["retryInterval"] = 0;
  }
}

bool WireFilter::refused(JsonArray message) {
  const JsonVariantConst id = message[1];
  const char* action = message[2] | "";
  const JsonObject payload = message[3];
  count_attempts(action, payload);
  if (one_of(action, kCsmsActions)) {
    return answer_error(id, "NotSupported");
  }
  if (has_wrong_text(payload)) {
    return answer_error(id, "FormationViolation");
  }
  if (const char* status = refused_status(action, payload)) {
    return answer(id, status);
  }
  if (std::strcmp(action, "TriggerMessage") == 0) {
    if (!payload["requestedMessage"].is<const char*>()) {
      return answer_error(id, "FormationViolation");
    }
    return !trigger_known(payload["requestedMessage"]) && answer(id, "NotImplemented");
  }
  if (std::strcmp(action, "RemoteStopTransaction") == 0) {
    return payload["transactionId"].is<int>() && payload["transactionId"].as<int>() < 0 &&
           answer(id, "Rejected");
  }
  if (std::strcmp(action, "RemoteStartTransaction") == 0) {
    if ((payload["chargingProfile"]["stackLevel"] | 0) > kHighestStackLevel) {
      return answer_error(id, "PropertyConstraintViolation");
    }
    const char* id_tag = payload["idTag"] | "";
    return *id_tag != '\0' && policy_.may_start && !policy_.may_start(id_tag) &&
           answer(id, "Rejected");
  }
  if (std::strcmp(action, "SetChargingProfile") == 0) {
    return (payload["csChargingProfiles"]["stackLevel"] | 0) > kHighestStackLevel &&
           answer_error(id, "PropertyConstraintViolation");
  }
  if (std::strcmp(action, "DataTransfer") == 0) {
    return !payload["vendorId"].is<const char*>() && answer_error(id, "FormationViolation");
  }
  if (std::strcmp(action, "SendLocalList") == 0) {
    const char* type = payload["updateType"] | "Full";
    return std::strcmp(type, "Full") != 0 && std::strcmp(type, "Differential") != 0 &&
           answer_error(id, "PropertyConstraintViolation");
  }
  if (std::strcmp(action, "Reset") == 0) {
    if (!payload["type"].is<const char*>()) {
      return answer_error(id, "FormationViolation");
    }
    const char* type = payload["type"];
    return std::strcmp(type, "Hard") != 0 && std::strcmp(type, "Soft") != 0 &&
           answer_error(id, "PropertyConstraintViolation");
  }
  return std::strcmp(action, "ChangeConfiguration") == 0 && change_authorization_key(message);
}

bool WireFilter::change_authorization_key(JsonArray message) {
  const JsonObject payload = message[3];
  if (strcasecmp(payload["key"] | "", "AuthorizationKey") != 0 || !policy_.store_key ||
      !payload["value"].is<const char*>()) {
    return false;
  }
  const char* hex = payload["value"];
  const bool stored = authorization_key_form(hex) && policy_.store_key(hex);
  return answer(message[1], stored ? "Accepted" : "Rejected");
}

bool WireFilter::answer(JsonVariantConst id, const char* status) {
  DynamicJsonDocument document(answer_capacity(id));
  document.add(kCallResult);
  document.add(id);
  document.createNestedObject()["status"] = status;
  return send_document(document);
}

bool WireFilter::answer_error(JsonVariantConst id, const char* code) {
  DynamicJsonDocument document(answer_capacity(id));
  document.add(kCallError);
  document.add(id);
  document.add(code);
  document.add("");
  document.createNestedObject();
  return send_document(document);
}

// Always true: the call has been dealt with, whether or not its answer could be sent.
bool WireFilter::send_document(const JsonDocument& document) {
  std::string text;
  serializeJson(document, text);
  below_.sendTXT(text.c_str(), text.size());
  return true;
}

}  // namespace evocpp

#endif
