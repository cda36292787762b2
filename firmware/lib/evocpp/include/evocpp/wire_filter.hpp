// SPDX-License-Identifier: Apache-2.0
// What MicroOcpp 1.2.0 does wrong on the wire, put right from outside.
//
// A Connection that stands between the library and the WebSocket, so that no source of the
// library is changed. Both directions pass through it (D numbers: docs/firmware.md):
//
// out  message ids are replaced by ids that no earlier boot has used: the library's generator
//      starts from a fixed seed. A sampled value of "nan" (the adapter's word for unknown) is
//      taken out.
//      D36 a StatusNotification without an answer is given up after 40 s, and sent again where
//      the connection was lost: the library has no time limit for it, and would send nothing
//      else for ever
// in   D6  an answer to another id than the one outstanding is dropped
//      D4  a CALLERROR to StopTransaction counts as no answer, so it is sent again
//      D42 a CALLERROR to Authorize counts as no answer, so the offline rules decide
//      D8, D9  TriggerMessage for anything but the library's own messages: NotImplemented
//      D10 actions that only a CSMS may receive: CALLERROR NotSupported
//      D11 RemoteStopTransaction with a negative transactionId: Rejected
//      D16 times with a zone offset become UTC
//      D21 UpdateFirmware and GetDiagnostics with 0 retries: one attempt
//      D24 RemoteStartTransaction against a reservation: Rejected
//      D28 stack level 8, which does not survive a restart: PropertyConstraintViolation
//      D29 Reset of an unknown type: CALLERROR
//      D25 ReserveNow for connector 0 is for the one connector that there is
//      D27 GetCompositeSchedule: composite_schedule.hpp; Rejected before the time is known
//      ChangeAvailability to Inoperative in any transaction: Scheduled
//      SetChargingProfile and RemoteStopTransaction wait up to 5 s for the answer to the
//      StartTransaction whose id they name
//      call_rules.hpp: texts that are too long or no texts are a FormationViolation, and some calls
//      Rejected; keys in any case; times beyond the years that the library reads
//      what is not JSON gets a CALLERROR with the id "-1"
//      AuthorizationKey, which the library does not know, goes to the owner of the key
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include <ArduinoJson.h>
#include <MicroOcpp/Core/Connection.h>

#include "evocpp/authorization_cache.hpp"
#include "evocpp/composite_schedule.hpp"

namespace evocpp {

class WireFilter : public MicroOcpp::Connection {
 public:
  struct Policy {
    uint64_t boot_nonce = 0;  // random, new at every boot
    // False where this id_tag must not be started remotely now.
    std::function<bool(const char* id_tag)> may_start = nullptr;
    // Stores a new AuthorizationKey (hex); false where that failed. Empty: not supported.
    std::function<bool(const char* hex)> store_key = nullptr;
    // Hears what time the CSMS says it is, seconds since 1970. May be empty.
    std::function<void(int64_t unix_s)> tell_time = nullptr;
    // UpdateFirmware and GetDiagnostics are served. Takes a GetDiagnostics' attempts and seconds
    // between them, gives the number of attempts that the library shall be told. Empty: not served.
    std::function<int(int attempts, int interval_s)> diagnostics_ordered = nullptr;
    // Gives what is known of a tag that may start without an Authorize, null where it must be sent.
    std::function<const IdTagInfo*(const char* id_tag)> known_tag = nullptr;
    // Hears what the CSMS says of a tag.
    std::function<void(const std::string& id_tag, const IdTagInfo& info)> learn_tag = nullptr;
    // True while the answer to a StartTransaction is still to come. May be empty.
    std::function<bool()> start_unanswered = nullptr;
    // True while a transaction runs. May be empty.
    std::function<bool()> in_transaction = nullptr;
    // False until the CSMS has told the time. May be empty.
    std::function<bool()> knows_time = nullptr;
    // The key that is meant where it is written in another case; null for none. May be empty.
    std::function<const char*(const char* key)> declared_key = nullptr;
    HardwareLimit limit;
  };

  WireFilter(MicroOcpp::Connection& below, Policy policy);

  // The CSMS has accepted this boot's BootNotification.
  bool registered() const { return registered_; }

  void loop() override;
  bool sendTXT(const char* message, size_t length) override;
  void setReceiveTXTcallback(MicroOcpp::ReceiveTXTcallback& receive) override;
  unsigned long getLastConnected() override { return below_.getLastConnected(); }
  bool isConnected() override { return below_.isConnected(); }

 private:
  bool receive(const char* message, size_t length);
  bool send_call(const std::string& action, const std::string& payload);
  void repeat_status();
  bool answer_authorize(const std::string& id, const std::string& id_tag);
  void hear_tag(JsonObject info);
  bool send_answer(const char* message, size_t length);
  bool put_off(JsonArray message);
  void take_put_off();
  void declare_key(JsonVariant key) const;
  void rewrite(const char* action, JsonArray message);
  bool receive_call(JsonArray message);
  bool receive_answer(JsonArray message, bool error);
  void hear_time(JsonVariantConst payload);
  bool forward(JsonArray message);
  bool refused(JsonArray message);
  void count_attempts(const char* action, JsonObject payload);
  bool trigger_known(const char* message) const;
  bool change_authorization_key(JsonArray message);
  bool answer(JsonVariantConst id, const char* status);
  bool answer_error(JsonVariantConst id, const char* code);
  bool send_document(const JsonDocument& document);

  MicroOcpp::Connection& below_;
  Policy policy_;
  MicroOcpp::ReceiveTXTcallback receive_;
  uint32_t sent_ = 0;          // calls of this boot, part of their ids
  std::string wire_id_;        // id of the outstanding call on the wire, empty for none
  std::string library_id_;     // and in the library
  std::string action_;         // and what it was
  std::string id_tag_;         // and whose it is
  std::string status_;         // its payload, where it is a StatusNotification
  unsigned long sent_at_ = 0;  // and when it was sent
  int repeats_ = 0;            // and how often again
  bool lost_ = false;          // the connection, since then
  std::string self_answered_;  // an answer of our own to the library, for the next loop
  std::string composite_id_;   // of a GetCompositeSchedule that the library is to answer
  bool in_watt_ = false;       // and whether that was asked for in watt
  std::string scheduled_id_;   // of a ChangeAvailability that waits for the transaction's end
  std::string put_off_;        // a call for the transaction that start_unanswered() is about
  unsigned long put_off_at_ = 0;
  bool registered_ = false;
};

}  // namespace evocpp
