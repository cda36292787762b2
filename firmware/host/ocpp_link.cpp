// SPDX-License-Identifier: Apache-2.0
#include "ocpp_link.hpp"

#if defined(EVTOOL_WITH_MICROOCPP)

#include <MicroOcpp/Platform.h>
#include <sys/random.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>

#include "evdiagnostics/report.hpp"
#include "evidentity/url.hpp"
#include "evocpp/charge_point.hpp"
#include "file_slots.hpp"
#include "loopback_http.hpp"
#include "ocpp_files.hpp"
#include "version.hpp"

namespace evhost {
namespace {

constexpr evcore::Millis kReconnectMs = 5000;

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

  void step(evcore::Millis now) {
    now_ = now;
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
                Console console)
      : slots_(std::getenv("EVTOOL_STORAGE"), [this] { restart_ = true; }),
        worker_(slots_, http_, rules(identity, console)),
        socket_(evidentity::charge_point_url(identity.csms_url, identity.charge_point),
                evidentity::basic_credentials(identity), std::move(send)),
        charge_point_(
            socket_, std::make_shared<OcppFiles>(std::getenv("EVTOOL_STORAGE")),
            {identity.vendor.c_str(), identity.model.c_str(), identity.serial.c_str(), kVersion},
            hooks(identity, std::move(durable_energy), std::move(console))) {}

  bool take(std::string_view words) override { return socket_.take(words); }

  bool step(const evcore::Snapshot& snapshot, evcore::Millis now, evcore::OcppWord& word) override {
    socket_.step(now);
    charge_point_.set_inputs(snapshot);
    charge_point_.loop(now);
    started_ = started_ < 0 ? now : started_;
    charging_ = charge_point_.charging();
    worker_.step(now - started_);
    return charge_point_.word_due(now, word);
  }

  void start(const std::string& id_tag) override { charge_point_.start(id_tag); }
  void stop(const std::string& reason) override { charge_point_.stop(reason); }
  bool restart_wanted() const override { return restart_; }

 private:
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
                      Console console) {
    evocpp::Hooks hooks;
    hooks.files = &worker_;
    hooks.diagnostics = std::move(console.diagnostics);
    hooks.diagnostics_name = evdiagnostics::file_name(identity.charge_point);
    hooks.boot_nonce = random_nonce();
    hooks.reset = [this](bool) { restart_ = true; };
    hooks.durable_energy = std::move(durable_energy);
    return hooks;
  }

  bool restart_ = false;
  bool charging_ = true;  // until it is known
  evcore::Millis started_ = -1;
  FileSlots slots_;
  LoopbackHttp http_;
  evupdate::Worker worker_;
  WsLines socket_;
  evocpp::ChargePoint charge_point_;
};

}  // namespace

const char* OcppLink::library() { return evocpp::library_version(); }

std::unique_ptr<OcppLink> OcppLink::open(const evidentity::Identity& identity, SendLine send,
                                         DurableEnergy durable_energy, Console console) {
  if (std::getenv("EVTOOL_OCPP_LOG") != nullptr) {
    mocpp_set_console_out(log_to_stderr);
  }
  mocpp_set_timer(library_clock);
  return std::make_unique<MicroOcppLink>(identity, std::move(send), std::move(durable_energy),
                                         std::move(console));
}

}  // namespace evhost

#else

namespace evhost {

const char* OcppLink::library() { return "-"; }

std::unique_ptr<OcppLink> OcppLink::open(const evidentity::Identity& /*identity*/,
                                         SendLine /*send*/, DurableEnergy /*durable_energy*/,
                                         Console /*console*/) {
  return nullptr;
}

}  // namespace evhost

#endif
