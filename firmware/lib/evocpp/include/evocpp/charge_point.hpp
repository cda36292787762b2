// SPDX-License-Identifier: Apache-2.0
// OCPP 1.6J for one connector: a snapshot of the controller in, OCPP's word out.
//
// MicroOcpp keeps its state in globals and has no lock, so there is one ChargePoint in a
// program, and all its members are called from one task. It owns the connector's status, the
// transaction and its record; the core keeps no second copy of them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <MicroOcpp/Core/ConfigurationKeyValue.h>
#include <MicroOcpp/Core/Connection.h>
#include <MicroOcpp/Core/FilesystemAdapter.h>

#include "evcore/types.hpp"
#include "evocpp/authorization_cache.hpp"
#include "evocpp/file_services.hpp"
#include "evocpp/wire_filter.hpp"

namespace evocpp {

// Version of the library that is compiled in.
const char* library_version();

struct Station {
  const char* vendor = "";
  const char* model = "";
  const char* serial = "";
  const char* firmware_version = "";
};

struct Hooks {
  uint64_t boot_nonce = 0;                                   // random, new at every boot
  std::function<void(bool hard)> reset = nullptr;            // empty: Reset is refused
  std::function<bool(const char* hex)> store_key = nullptr;  // AuthorizationKey from the CSMS
  std::function<void(int64_t unix_s)> tell_time = nullptr;   // what time the CSMS says it is
  // Seconds between two pings, 0 for none; empty: whoever keeps the WebSocket does not ask us.
  std::function<void(uint32_t seconds)> set_ping_interval = nullptr;
  // Fetches new firmware and uploads diagnostics; null: UpdateFirmware and GetDiagnostics are
  // refused. Outlives the ChargePoint. With it, `diagnostics` makes the text that is uploaded under
  // `diagnostics_name`; the configuration is added to it. No secret may be in it.
  evupdate::Worker* files = nullptr;
  std::function<std::string()> diagnostics = nullptr;
  std::string diagnostics_name;
  // Must be set. Has the register stored, as far as Controller::on_report wants it, and gives what
  // is stored then, mWh: no more is told, so that a power cut never takes back what was told.
  std::function<uint64_t(evcore::Report)> durable_energy = nullptr;
  HardwareLimit limit;  // for GetCompositeSchedule
};

class ChargePoint {
 public:
  // `connection` outlives this object. `files` may be null: then nothing survives a restart.
  ChargePoint(MicroOcpp::Connection& connection,
              std::shared_ptr<MicroOcpp::FilesystemAdapter> files, const Station& station,
              Hooks hooks);
  ~ChargePoint();
  ChargePoint(const ChargePoint&) = delete;
  ChargePoint& operator=(const ChargePoint&) = delete;

  // What the library's inputs read from now on.
  void set_inputs(const evcore::Snapshot& snapshot) { inputs_ = snapshot; }

  // Gives the library its turn; call every few milliseconds. The first turn waits until the
  // vehicle has had the time to be heard: a transaction that survived a power cut would
  // otherwise end at once, as if the vehicle had been unplugged.
  void loop(evcore::Millis now);

  // For evcore::Controller::on_ocpp. True where it is time to say it: it has changed, or was
  // last said half a second ago.
  bool word_due(evcore::Millis now, evcore::OcppWord& word);

  // A transaction runs, or the module is on: no time to write flash, or to restart.
  bool charging() const;

  // Begin by Authorize with this tag; false where a transaction is there already.
  bool start(const std::string& id_tag);
  // End the transaction. A reason that OCPP does not know is sent as Other, because the CSMS
  // would refuse the message and the library would then take it as delivered.
  bool stop(const std::string& reason);
  // A card is held to the reader: it begins a transaction where there is none, and the one that
  // began it ends it. Another one ends it where both have the same parent (OCPP 1.6, 3.4.2), and
  // waits where it is not decided yet whether the first one may begin.
  void present(const std::string& id_tag);

 private:
  evcore::OcppWord word() const;
  std::int32_t limit_ma() const;
  void ask_profiles_again(evcore::Millis now);
  WireFilter::Policy policy(const Hooks& hooks);
  void install_inputs();
  void install_meters();
  void install_handlers();
  void install_ping_interval();
  void install_file_services();
  void restart_for_update(evcore::Millis now);
  void end_what_power_cut();
  void go_on_counting();
  void forget_who_waited();
  void end_who_waited_too_long(evcore::Millis now);
  void doubt(const char* id_tag);
  bool may_begin() const;
  void refuse_doubted();
  void present_waiting();
  void stop_as_relative(const std::string& id_tag);
  const IdTagInfo* accepted_tag(const char* id_tag);
  const IdTagInfo* cached_tag(const char* id_tag) const;
  bool refused_tag(const char* id_tag) const;

  mutable WireFilter filter_;  // asking a Connection whether it is open is not const
  Hooks hooks_;
  evcore::Snapshot inputs_;
  bool vendor_known_ = false;                          // of the DataTransfer that is being answered
  float limit_a_ = -1.0F;                              // the library's word for no limit
  bool has_profiles_ = false;                          // charging profiles are installed
  bool heard_ = false;                                 // the plug is known, or has had its time
  MicroOcpp::Configuration* ping_interval_ = nullptr;  // null where nobody asks for it
  evcore::Millis started_ = -1;
  std::unique_ptr<FirmwareUpdate> firmware_;  // null where there are no files
  std::unique_ptr<Diagnostics> diagnostics_;  // the same
  evcore::Millis restart_at_ = -1;
  AuthorizationCache cache_;
  IdTagInfo listed_;               // what accepted_tag() has found on the local list
  std::string doubted_tag_;        // refused by the CSMS before, and now asked about again
  std::string waiting_card_;       // held to the reader while another one was being authorised
  const void* waiting_ = nullptr;  // who has identified and not begun
  evcore::Millis waits_since_ = 0;
  evcore::OcppWord said_;
  evcore::Millis say_at_ = 0;
  evcore::Millis ask_profiles_at_ = 0;
};

}  // namespace evocpp
