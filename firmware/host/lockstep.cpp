// SPDX-License-Identifier: Apache-2.0
#include "lockstep.hpp"

#include <istream>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

#include "evcore/controller.hpp"
#include "line_format.hpp"
#include "lockstep_ocpp.hpp"

namespace evhost {
namespace {

constexpr std::uint64_t kLatest = std::uint64_t{1} << 62U;
constexpr int kNotUnderstood = 2;

// Gives each command to the controller that the last `boot` made.
class Session {
 public:
  [[nodiscard]] const evcore::Config& config() const { return config_; }
  [[nodiscard]] std::optional<evcore::Controller>& controller() { return controller_; }
  void set_time(evcore::Millis now) { now_ = now; }

  void operator()(const NotUnderstood&) {}
  void operator()(const evcore::Config& config) { config_ = config; }
  void operator()(const evcore::BootInfo& boot_info) {
    controller_.emplace(config_, boot_info);
    controller_->boot(now_);
  }
  void operator()(const CanCommand& command) {
    if (controller_) {
      controller_->on_frame(command.bus, command.frame, now_);
    }
  }
  void operator()(const BusCommand& command) {
    if (controller_) {
      controller_->on_bus(command.bus, command.state, now_);
    }
  }
  void operator()(const KeyCommand& command) {
    if (controller_) {
      controller_->on_key(command.key, now_);
    }
  }
  void operator()(const evcore::OcppWord& word) {
    if (controller_) {
      controller_->on_ocpp(word, now_);
    }
  }
  void operator()(const evcore::Report& report) {
    if (controller_) {
      controller_->on_report(report, now_);
    }
  }
  void operator()(const TickCommand&) {
    if (controller_) {
      controller_->tick(now_);
    }
  }

 private:
  evcore::Config config_;
  std::optional<evcore::Controller> controller_;
  evcore::Millis now_ = 0;
};

// Splits `@<now_ms> <command>`.
bool parse_stamp(std::string_view line, std::uint64_t& now, std::string_view& command) {
  const std::size_t space = line.find(' ');
  if (line.empty() || line[0] != '@' || space == std::string_view::npos ||
      !parse_number(line.substr(1, space - 1), kLatest, now)) {
    return false;
  }
  command = line.substr(space + 1);
  return true;
}

// Answers one line after the other.
class Lockstep {
 public:
  // False where the line is not understood; the answer says why.
  bool answer_to(std::string_view line);
  [[nodiscard]] const std::string& answer() const { return answer_; }

 private:
  bool refuse(std::string_view reason);
  bool take_command(std::string_view text, evcore::Millis now, bool& answered_by_state);
  void carry_out();
  void say(std::string_view line);

  Session session_;
  std::string answer_;
  std::string line_;
  LockstepOcpp ocpp_{[this](const std::string& line) { say(line); }, [this] { carry_out(); }};
};

bool Lockstep::answer_to(std::string_view line) {
  answer_.clear();
  std::uint64_t now = 0;
  std::string_view text;
  if (!parse_stamp(line, now, text)) {
    return refuse("bad time");
  }
  const auto now_ms = static_cast<evcore::Millis>(now);
  bool answered_by_state = true;
  if (const auto wrong = ocpp_.take(text, now_ms)) {
    if (!wrong->empty()) {
      return refuse(*wrong);
    }
  } else if (!take_command(text, now_ms, answered_by_state)) {
    return false;
  }
  carry_out();
  if (const char* off = ocpp_.off()) {
    ocpp_.power_off();
    session_.controller().reset();
    answer_ += std::string("off ") + off + '\n';
  }
  if (session_.controller() && answered_by_state) {
    append_state(answer_, session_.controller()->snapshot(now_ms));
    answer_ += '\n';
  }
  answer_ += "ok\n";
  return true;
}

bool Lockstep::refuse(std::string_view reason) {
  answer_ += "malformed ";
  answer_ += reason;
  answer_ += '\n';
  return false;
}

bool Lockstep::take_command(std::string_view text, evcore::Millis now, bool& answered_by_state) {
  const Command command = parse_command(text, session_.config());
  if (const auto* refused = std::get_if<NotUnderstood>(&command)) {
    return refuse(refused->reason);
  }
  if (ocpp_.runs() && std::holds_alternative<evcore::OcppWord>(command)) {
    return refuse("this program runs MicroOcpp, which alone says what OCPP permits");
  }
  const bool boots = std::holds_alternative<evcore::BootInfo>(command);
  if (boots) {
    ocpp_.power_off();  // it reads the controller that is about to go
  }
  session_.set_time(now);
  std::visit(session_, command);
  carry_out();
  if (boots) {
    ocpp_.boot(*session_.controller(), now);
  } else if (std::holds_alternative<TickCommand>(command)) {
    ocpp_.step(now);
  }
  answered_by_state = !std::holds_alternative<evcore::Config>(command);
  return true;
}

void Lockstep::carry_out() {
  auto& controller = session_.controller();
  evcore::Output output;
  while (controller && controller->pop(output)) {
    const bool to_library = ocpp_.runs() && (output.kind == evcore::OutputKind::ocpp_start ||
                                             output.kind == evcore::OutputKind::ocpp_stop);
    if (!to_library) {
      line_.clear();
      append_output(line_, output);
      say(line_);
    } else if (output.kind == evcore::OutputKind::ocpp_start) {
      ocpp_.start(std::string(output.text.view()));
    } else {
      ocpp_.stop(std::string(output.text.view()));
    }
  }
}

void Lockstep::say(std::string_view line) {
  if (ocpp_.has_power()) {
    answer_ += line;
    answer_ += '\n';
  }
}

}  // namespace

int run_lockstep(std::istream& input, std::ostream& output) {
  Lockstep lockstep;
  std::string line;
  while (std::getline(input, line)) {
    const bool understood = lockstep.answer_to(line);
    // Out before the next line is begun: whoever waits has it, and a crash tells in which line.
    output << lockstep.answer() << std::flush;
    if (!understood) {
      return kNotUnderstood;
    }
  }
  return 0;
}

}  // namespace evhost
