// SPDX-License-Identifier: Apache-2.0
#include "lockstep.hpp"

#include <istream>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

#include "evcore/controller.hpp"
#include "line_format.hpp"

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

}  // namespace

int run_lockstep(std::istream& input, std::ostream& output) {
  Session session;
  std::string line;
  std::string answer;
  while (std::getline(input, line)) {
    std::uint64_t now = 0;
    std::string_view text;
    if (!parse_stamp(line, now, text)) {
      output << "malformed bad time\n" << std::flush;
      return kNotUnderstood;
    }
    const Command command = parse_command(text, session.config());
    if (const auto* refused = std::get_if<NotUnderstood>(&command)) {
      output << "malformed " << refused->reason << '\n' << std::flush;
      return kNotUnderstood;
    }
    const auto now_ms = static_cast<evcore::Millis>(now);
    session.set_time(now_ms);
    std::visit(session, command);
    answer.clear();
    auto& controller = session.controller();
    if (controller && !std::holds_alternative<evcore::Config>(command)) {
      evcore::Output out;
      while (controller->pop(out)) {
        append_output(answer, out);
        answer += '\n';
      }
      append_state(answer, controller->snapshot(now_ms));
      answer += '\n';
    }
    answer += "ok\n";
    // Out before the next line is begun: whoever waits has it, and a crash tells in which line.
    output << answer << std::flush;
  }
  return 0;
}

}  // namespace evhost
