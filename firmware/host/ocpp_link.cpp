// SPDX-License-Identifier: Apache-2.0
#include "ocpp_link.hpp"

#if defined(EVTOOL_WITH_MICROOCPP)

#include <MicroOcpp.h>
#include <MicroOcpp/Platform.h>
#include <sys/random.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>

#include "evdiagnostics/report.hpp"
#include "evidentity/url.hpp"
#include "evocpp/charge_point.hpp"
#include "evocpp/configuration_keys.hpp"
#include "file_slots.hpp"
#include "loopback_http.hpp"
#include "ocpp_files.hpp"
#include "unit_config.hpp"
#include "version.hpp"

namespace evhost {
namespace {

constexpr evcore::Millis kReconnectMs = 5000;
constexpr evcore::Millis kAnswerMs = 500;
constexpr unsigned kConnector = 1;
constexpr const char* kKeyFile = "authorization-key";

// Literals, because the library keeps the pointer until the message has gone out.
constexpr const char* kReportable[] = {
    "ConnectorLockFailure", "EVCommunicationError", "GroundFailure",     "HighTemperature",
    "InternalError",        "LocalListConflict",    "OtherError",        "OverCurrentFailure",
    "OverVoltage",          "PowerMeterFailure",    "ReaderFailure",     "ResetFailure",
    "UnderVoltage",         "WeakSignal",           "PowerSwitchFailure"};

std::string hex(const std::string& bytes) {
  static const char digits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += digits[static_cast<unsigned char>(c) >> 4U];
    out += digits[static_cast<unsigned char>(c) & 15U];
  }
  return out.empty() ? "-" : out;
}

uint64_t random_nonce() {
  uint64_t nonce = 0;
  if (getrandom(&nonce, sizeof nonce, 0) != sizeof nonce) {
    std::perror("getrandom");
    std::exit(1);
  }
  return nonce;
}

unsigned long library_clock() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<unsigned long>(now.tv_sec) * 1000UL +
         static_cast<unsigned long>(now.tv_nsec / 1000000);
}

// The library's log tells of messages, which is more than a console should; off unless asked.
void log_to_stderr(const char* message) { std::fputs(message, stderr); }

// The WebSocket is somebody else's: `ws` lines ask for it and carry its messages.
class WsLines : public MicroOcpp::Connection {
 public:
  WsLines(std::string url, std::string credentials, OcppLink::SendLine send)
      : url_(std::move(url)), credentials_(std::move(credentials)), send_(std::move(send)) {}

  // Connects again with others, once the answer that told of them is out.
  void change_credentials(std::string credentials) {
    credentials_ = std::move(credentials);
    drop_at_ = now_ + kAnswerMs;
  }

  void step(evcore::Millis now) {
    now_ = now;
    if (drop_at_ >= 0 && now >= drop_at_) {
      drop_at_ = -1;
      if (asked_) {
        send_("ws close");
      }
    }
    if (!asked_ && now >= connect_at_) {
      send_("ws connect " + url_ + ' ' + hex(credentials_));
      asked_ = true;
    }
  }

  bool take(std::string_view words) {
    if (words == "open") {
      open_ = true;
      last_connected_ = mocpp_tick_ms();
      return true;
    }
    if (words == "closed") {
      open_ = false;
      asked_ = false;
      connect_at_ = now_ + kReconnectMs;
      return true;
    }
    static constexpr std::string_view kReceived = "recv ";
    if (words.substr(0, kReceived.size()) != kReceived || !receive_) {
      return false;
    }
    words.remove_prefix(kReceived.size());
    receive_(words.data(), words.size());
    return true;
  }

  void loop() override {}
  bool sendTXT(const char* message, size_t length) override {
    if (!open_) {
      return false;
    }
    send_("ws send " + std::string(message, length));
    return true;
  }
  void setReceiveTXTcallback(MicroOcpp::ReceiveTXTcallback& receive) override {
    receive_ = receive;
  }
  unsigned long getLastConnected() override { return last_connected_; }
  bool isConnected() override { return open_; }

 private:
  std::string url_;
  std::string credentials_;
  OcppLink::SendLine send_;
  MicroOcpp::ReceiveTXTcallback receive_;
  evcore::Millis now_ = 0;
  evcore::Millis connect_at_ = 0;
  evcore::Millis drop_at_ = -1;
  unsigned long last_connected_ = 0;
  bool asked_ = false;
  bool open_ = false;
};

// Nobody comes between us and our own computer.
bool authentic(const evidentity::Identity& identity) {
  evidentity::Url url;
  return evidentity::parse_url(identity.csms_url, url) &&
         (url.tls || url.host == "127.0.0.1" || url.host == "localhost");
}

class MicroOcppLink : public OcppLink {
 public:
  MicroOcppLink(const evidentity::Identity& identity, SendLine send, DurableEnergy durable_energy,
                Console console, const Surroundings& surroundings)
      : in_real_time_(surroundings.clock == nullptr),
        slots_(in_real_time_ ? std::getenv("EVTOOL_STORAGE") : nullptr,
               [this] { restart_ = true; }),
        worker_(slots_, http_, rules(identity, console)),
        files_(make_files(surroundings)),
        socket_(evidentity::charge_point_url(identity.csms_url, identity.charge_point),
                evidentity::basic_credentials(with_kept_key(identity)), std::move(send)),
        charge_point_(
            socket_, files_,
            {identity.vendor.c_str(), identity.model.c_str(), identity.serial.c_str(), kVersion},
            hooks(identity, std::move(durable_energy), std::move(console), surroundings)) {
    addErrorDataInput(
        [this] {
          MicroOcpp::ErrorData data(nullptr);
          data.isError = data.isFaulted = error_ != nullptr;
          data.errorCode = error_;
          return data;
        },
        kConnector);
  }

  bool take(std::string_view words) override { return socket_.take(words); }

  bool step(const evcore::Snapshot& snapshot, evcore::Millis now, evcore::OcppWord& word) override {
    socket_.step(now);
    charge_point_.set_inputs(snapshot);
    charge_point_.loop(now);
    started_ = started_ < 0 ? now : started_;
    charging_ = charge_point_.charging();
    if (in_real_time_) {
      worker_.step(now - started_);
    }
    const bool due = charge_point_.word_due(now, word);
    word.permitted = word.permitted && error_ == nullptr;
    return due;
  }

  void start(const std::string& id_tag) override { charge_point_.start(id_tag); }
  void stop(const std::string& reason) override { charge_point_.stop(reason); }
  void present(const std::string& id_tag) override { charge_point_.present(id_tag); }
  std::string preset(const std::string& key, const std::string& value) override {
    return evocpp::preset_configuration(key, value);
  }
  bool restart_wanted() const override { return restart_; }

  bool report_error(std::string_view code) override {
    const char* found = nullptr;
    for (const char* candidate : kReportable) {
      found = code == candidate ? candidate : found;
    }
    if (found == nullptr && !code.empty()) {
      return false;
    }
    error_ = found;
    return true;
  }

  void cut_power(uint64_t changes) override { files_->lose_power_after(changes); }
  bool has_power() const override { return files_->has_power(); }

 private:
  static std::shared_ptr<OcppFiles> make_files(const Surroundings& surroundings) {
    auto files = std::make_shared<OcppFiles>(std::getenv("EVTOOL_STORAGE"));
    if (surroundings.cut_after_changes) {
      files->lose_power_after(*surroundings.cut_after_changes);
    }
    return files;
  }

  // What a changed key has replaced: a unit that is provisioned anew has the key it was given.
  static std::string provisioned(const evidentity::Identity& identity) {
    return '\n' + identity.charge_point + ':' + identity.authorization_key;
  }

  // The CSMS's later key wins over the factory's.
  evidentity::Identity with_kept_key(evidentity::Identity identity) const {
    const std::string kept = files_->content(kKeyFile);
    const size_t end = kept.find('\n');
    if (end != std::string::npos && kept.substr(end) == provisioned(identity)) {
      identity.authorization_key = kept.substr(0, end);
    }
    return identity;
  }

  evupdate::Worker::Rules rules(const evidentity::Identity& identity, const Console& console) {
    evupdate::Worker::Rules rules;
    rules.authentic = authentic(identity);
    rules.charging = [this] { return charging_; };
    rules.say = [print = console.print](const std::string& state) {
      print("[event] update state=" + state);
    };
    return rules;
  }

  evocpp::Hooks hooks(const evidentity::Identity& identity, DurableEnergy durable_energy,
                      Console console, const Surroundings& surroundings) {
    evocpp::Hooks hooks;
    if (in_real_time_) {  // its HTTP knows no other
      hooks.files = &worker_;
      hooks.diagnostics = std::move(console.diagnostics);
      hooks.diagnostics_name = evdiagnostics::file_name(identity.charge_point);
    }
    hooks.boot_nonce = surroundings.boot_nonce ? *surroundings.boot_nonce : random_nonce();
    hooks.reset = [this](bool) { restart_ = true; };
    hooks.store_key = [this, identity](const char* hex) {
      if (!files_->store(kKeyFile, hex + provisioned(identity))) {
        return false;
      }
      socket_.change_credentials(evidentity::basic_credentials(with_kept_key(identity)));
      return true;
    };
    hooks.durable_energy = std::move(durable_energy);
    hooks.limit = {static_cast<float>(unit_config().max_current_ma) / 1000.0F,
                   static_cast<float>(unit_config().max_voltage_mv) / 1000.0F};
    return hooks;
  }

  const bool in_real_time_;
  bool restart_ = false;
  bool charging_ = true;  // until it is known
  evcore::Millis started_ = -1;
  FileSlots slots_;
  LoopbackHttp http_;
  evupdate::Worker worker_;
  std::shared_ptr<OcppFiles> files_;
  WsLines socket_;
  const char* error_ = nullptr;  // that report_error() has set
  evocpp::ChargePoint charge_point_;
};

}  // namespace

const char* OcppLink::library() { return evocpp::library_version(); }

std::unique_ptr<OcppLink> OcppLink::open(const evidentity::Identity& identity, SendLine send,
                                         DurableEnergy durable_energy, Console console,
                                         const Surroundings& surroundings) {
  if (std::getenv("EVTOOL_OCPP_LOG") != nullptr) {
    mocpp_set_console_out(log_to_stderr);
  }
  mocpp_set_timer(surroundings.clock != nullptr ? surroundings.clock : library_clock);
  return std::make_unique<MicroOcppLink>(identity, std::move(send), std::move(durable_energy),
                                         std::move(console), surroundings);
}

}  // namespace evhost

#else

namespace evhost {

const char* OcppLink::library() { return "-"; }

std::unique_ptr<OcppLink> OcppLink::open(const evidentity::Identity& /*identity*/,
                                         SendLine /*send*/, DurableEnergy /*durable_energy*/,
                                         Console /*console*/,
                                         const Surroundings& /*surroundings*/) {
  return nullptr;
}

}  // namespace evhost

#endif
