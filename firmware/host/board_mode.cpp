// SPDX-License-Identifier: Apache-2.0
#include "board_mode.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "channel.hpp"
#include "evcore/controller.hpp"
#include "evdiagnostics/report.hpp"
#include "evidentity/identity.hpp"
#include "line_format.hpp"
#include "nvs_lines.hpp"
#include "ocpp_link.hpp"
#include "test_lines.hpp"
#include "unit_config.hpp"
#include "version.hpp"

namespace evhost {
namespace {

using evcore::Millis;

constexpr int kStepMs = 10;
constexpr Millis kStatePeriodMs = 1000;
constexpr Millis kStoreMs = 100;  // how long OCPP waits for a store before it tells an older value
constexpr std::string_view kStored = "stored energy_mwh ";

Millis monotonic_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<Millis>(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
}

bool starts_with(std::string_view line, std::string_view word) {
  return line.substr(0, word.size()) == word;
}

// What must be told at once when it changes.
std::string flags_of(const evcore::Snapshot& s) {
  std::string flags;
  for (const bool flag : {s.plugged, s.bms_alive, s.in_range, s.ev_ready, s.module_alive,
                          s.evse_ready, s.connected, s.transaction, s.permitted, s.energised}) {
    flags += flag ? '1' : '0';
  }
  for (size_t i = 0; i < evcore::kFaultCount; ++i) {
    flags += s.faults.has(static_cast<evcore::Fault>(i)) ? '1' : '0';
  }
  flags += evcore::name(s.gate);
  flags += s.error;
  return flags;
}

class Board {
 public:
  explicit Board(int hardware) : hardware_(hardware), console_(STDIN_FILENO, STDOUT_FILENO) {}

  int run();

 private:
  bool wait();
  bool next_line(std::string& line, bool& too_long);
  void take_line(const std::string& line, Millis now);
  void take_line_before_boot(const std::string& line, Millis now);
  void boot(evcore::BootInfo info, Millis now);
  void report_identity(const std::vector<evidentity::Problem>& problems);
  uint64_t durable_energy(evcore::Report report);
  void print(const std::string& text);
  std::string diagnostics();
  bool take_stored(const std::string& line);
  void step(Millis now);
  void step_ocpp(Millis now);
  void carry_out();
  void tell_state(Millis now);
  void malformed(const std::string& reason) { hardware_.send("malformed " + reason); }

  LineSocket hardware_;
  ConsolePort console_;
  NvsLines nvs_;
  std::optional<evcore::Controller> controller_;
  std::unique_ptr<OcppLink> ocpp_;   // null where no MicroOcpp is compiled in
  uint64_t stored_mwh_ = 0;          // what the board's flash holds, by its own word
  std::deque<std::string> put_off_;  // lines that came while OCPP waited for a store
  std::string told_flags_;
  Millis told_at_ = 0;
  evidentity::Identity identity_;
  std::string reset_;  // reason of this start
  Millis booted_at_ = 0;
  evdiagnostics::RecentLines recent_;
};

int Board::run() {
  while (wait()) {
    const Millis now = monotonic_ms();
    std::string line;
    bool too_long = false;
    while (next_line(line, too_long)) {
      if (too_long) {
        malformed("line is longer than 65536 bytes");
      } else if (controller_) {
        take_line(line, now);
      } else {
        take_line_before_boot(line, now);
      }
    }
    if (controller_) {
      step(now);
    }
    hardware_.flush();
    if (ocpp_ && ocpp_->restart_wanted()) {
      return 0;
    }
  }
  if (ocpp_) {
    ocpp_->cut_power(0);  // what the library writes at its end is not written without power
  }
  return 0;
}

// Sleeps until there is something to do, at most one step. False when the power is gone.
bool Board::wait() {
  std::array<pollfd, 3> watched{};
  watched[0] = {hardware_.descriptor(), POLLIN, 0};
  if (hardware_.wants_to_write()) {
    watched[0].events |= POLLOUT;
  }
  // Keys before boot wait in the descriptor, as they would in front of a board without power.
  watched[1] = {controller_ ? console_.input() : -1, POLLIN, 0};
  watched[2] = {console_.wants_to_write() ? console_.output() : -1, POLLOUT, 0};
  ::poll(watched.data(), watched.size(), controller_ ? kStepMs : -1);
  if ((watched[2].revents & (POLLOUT | POLLERR | POLLHUP)) != 0) {
    console_.flush();
  }
  if ((watched[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && controller_) {
    for (const char key : console_.receive()) {
      controller_->on_key(static_cast<uint8_t>(key), monotonic_ms());
      carry_out();
    }
  }
  if ((watched[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
    return hardware_.receive();
  }
  return true;
}

bool Board::next_line(std::string& line, bool& too_long) {
  if (put_off_.empty()) {
    return hardware_.next_line(line, too_long);
  }
  too_long = false;
  line = std::move(put_off_.front());
  put_off_.pop_front();
  return true;
}

void Board::take_line_before_boot(const std::string& line, Millis now) {
  if (starts_with(line, "nvs ")) {
    const std::string wrong = nvs_.add(std::string_view(line).substr(4));
    if (!wrong.empty()) {
      malformed(wrong);
    }
    return;
  }
  const Command command = parse_command(line, evcore::Config{});
  if (const auto* info = std::get_if<evcore::BootInfo>(&command)) {
    boot(*info, now);
  } else if (const auto* wrong = std::get_if<NotUnderstood>(&command)) {
    malformed(wrong->reason);
  } else {
    malformed("nothing but nvs and boot comes before boot");
  }
}

void Board::boot(evcore::BootInfo info, Millis now) {
  const NvsNamespace factory(nvs_, evidentity::kNamespace);
  const evidentity::Loaded loaded = evidentity::load_identity(factory);
  evcore::Config config = unit_config();
  config.id_tag = evcore::FixedText<20>(loaded.identity.local_id_tag);
  info.version = evcore::FixedText<16>(kVersion);
  info.build = evcore::FixedText<40>(kBuildId);
  info.charge_point = evcore::FixedText<48>(loaded.identity.charge_point);
  nvs_.get_u64("evstate", "energy_mwh", info.energy_mwh);
  stored_mwh_ = info.energy_mwh;

  identity_ = loaded.identity;
  reset_ = std::string(info.reset.view());
  booted_at_ = now;

  hardware_.send(std::string("runs ") + OcppLink::library());
  controller_.emplace(config, info);
  controller_->boot(now);
  carry_out();
  report_identity(loaded.problems);
  if (loaded.complete()) {
    ocpp_ = OcppLink::open(
        loaded.identity, [this](const std::string& line) { hardware_.send(line); },
        [this](evcore::Report report) { return durable_energy(report); },
        {[this] { return diagnostics(); }, [this](const std::string& text) { print(text); }}, {});
  }
}

void Board::print(const std::string& text) {
  console_.print(text);
  recent_.add(monotonic_ms() - booted_at_, text);
}

std::string Board::diagnostics() {
  evdiagnostics::Facts facts;
  facts.version = kVersion;
  facts.build = kBuildId;
  facts.reset = reset_;
  facts.uptime_ms = monotonic_ms() - booted_at_;
  return evdiagnostics::report(identity_, facts, recent_.text());
}

// MicroOcpp writes its files itself, so the order of lines is not enough: the board says when it
// has stored. Until then the controller has its turns, and nobody else: the library, which is
// asking, must not be called, so what else comes is put off.
uint64_t Board::durable_energy(evcore::Report report) {
  const Millis begin = monotonic_ms();
  controller_->on_report(report, begin);
  carry_out();
  const uint64_t wanted = controller_->snapshot(begin).stored_mwh;
  for (Millis now = begin; stored_mwh_ < wanted && now - begin < kStoreMs; now = monotonic_ms()) {
    hardware_.flush();
    pollfd watched{hardware_.descriptor(), POLLIN, 0};
    if (::poll(&watched, 1, kStepMs) > 0 && !hardware_.receive()) {
      break;
    }
    std::string line;
    bool too_long = false;
    while (hardware_.next_line(line, too_long)) {
      if (!take_stored(line)) {
        put_off_.push_back(too_long ? std::string() : line);
      }
    }
    controller_->tick(monotonic_ms());
    carry_out();
  }
  return stored_mwh_;
}

bool Board::take_stored(const std::string& line) {
  uint64_t value = 0;
  if (!starts_with(line, kStored) ||
      !parse_number(std::string_view(line).substr(kStored.size()), UINT64_MAX, value)) {
    return false;
  }
  stored_mwh_ = std::max(stored_mwh_, value);
  return true;
}

// Without a whole identity the unit runs, and its gate stays closed: no CSMS will permit.
void Board::report_identity(const std::vector<evidentity::Problem>& problems) {
  for (const evidentity::Problem& problem : problems) {
    print(std::string("[event] identity field=") + problem.key + " rule=" + problem.rule);
  }
}

void Board::take_line(const std::string& line, Millis now) {
  if (take_stored(line)) {
    return;
  }
  if (starts_with(line, "ws ")) {
    if (!ocpp_ || !ocpp_->take(std::string_view(line).substr(3))) {
      malformed("ws wants open, closed or recv, and a program that runs MicroOcpp");
    }
    return;
  }
  if (is_test_line(line)) {
    const std::string wrong = take_test_line(
        line, ocpp_.get(), [this](const std::string& answer) { hardware_.send(answer); });
    if (!wrong.empty()) {
      malformed(wrong);
    }
    return;
  }
  if (starts_with(line, "ocpp ") && ocpp_) {
    malformed("this program runs MicroOcpp, which alone says what OCPP permits");
    return;
  }
  const Command command = parse_command(line, evcore::Config{});
  if (const auto* can = std::get_if<CanCommand>(&command)) {
    controller_->on_frame(can->bus, can->frame, now);
  } else if (const auto* bus = std::get_if<BusCommand>(&command)) {
    controller_->on_bus(bus->bus, bus->state, now);
  } else if (const auto* word = std::get_if<evcore::OcppWord>(&command)) {
    controller_->on_ocpp(*word, now);
  } else if (const auto* report = std::get_if<evcore::Report>(&command)) {
    controller_->on_report(*report, now);
    told_at_ = now - kStatePeriodMs;  // its answer is the state
  } else if (const auto* wrong = std::get_if<NotUnderstood>(&command)) {
    malformed(wrong->reason);
  } else {
    malformed("this command is not one of the board mode after boot");
  }
  carry_out();
}

void Board::step(Millis now) {
  controller_->tick(now);
  carry_out();
  step_ocpp(now);
  tell_state(now);
}

void Board::step_ocpp(Millis now) {
  if (!ocpp_) {
    return;
  }
  evcore::OcppWord word;
  if (ocpp_->step(controller_->snapshot(now), now, word)) {
    controller_->on_ocpp(word, now);
    carry_out();
  }
}

void Board::carry_out() {
  evcore::Output output;
  while (controller_->pop(output)) {
    const std::string text(output.text.view());
    if (output.kind == evcore::OutputKind::console) {
      print(text);
    } else if (output.kind == evcore::OutputKind::ocpp_start && ocpp_) {
      ocpp_->start(text);
    } else if (output.kind == evcore::OutputKind::ocpp_stop && ocpp_) {
      ocpp_->stop(text);
    } else {
      std::string line;
      append_output(line, output);
      hardware_.send(line);
    }
  }
}

void Board::tell_state(Millis now) {
  const evcore::Snapshot snapshot = controller_->snapshot(now);
  std::string flags = flags_of(snapshot);
  if (flags == told_flags_ && (now - told_at_ < kStatePeriodMs || hardware_.congested())) {
    return;
  }
  std::string line;
  append_state(line, snapshot);
  hardware_.send(line);
  told_flags_ = std::move(flags);
  told_at_ = now;
}

bool is_stream_socket(int descriptor) {
  int type = 0;
  socklen_t length = sizeof type;
  return ::getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

}  // namespace

int run_board(int hardware) {
  if (!is_stream_socket(hardware)) {
    std::fprintf(stderr,
                 "program --board: file descriptor %d is not a stream socket. "
                 "`evtool sim board` starts this mode with one.\n",
                 hardware);
    return 2;
  }
  return Board(hardware).run();
}

}  // namespace evhost
