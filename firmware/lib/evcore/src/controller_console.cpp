// SPDX-License-Identifier: Apache-2.0
// The controller's keys and lines.
#include "evcore/console.hpp"
#include "evcore/controller.hpp"

namespace evcore {

void Controller::on_key(std::uint8_t key, Millis now) {
  if (!booted_) {
    return;
  }
  now = let_time_pass(now);
  switch (key) {
    case 's':
    case 'S':
      start_by_key(now);
      break;
    case 't':
    case 'T':
      stop_by_key();
      break;
    case 'm':
    case 'M':
    case '?':
      print(kMenu);
      break;
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
      view_ = static_cast<View>(key - '0');
      records_.start(now);
      break;
    default:
      break;
  }
  settle(now);
}

void Controller::start_by_key(Millis now) {
  const std::string_view refusal = start_refusal(now);
  if (!refusal.empty()) {
    event("start state=refused reason=", refusal);
    return;
  }
  event("start state=requested");
  Output output;
  output.kind = OutputKind::ocpp_start;
  output.text.append(config_.id_tag.view());
  outputs_.push_back(output);
}

std::string_view Controller::start_refusal(Millis now) const {
  if (!bms_.alive(now)) {
    return "no_vehicle";
  }
  if (!bms_.allowed(now)) {
    return "vehicle_switch_off";
  }
  if (!permission_.connected(now)) {
    return "not_connected";
  }
  if (faults_.active().any()) {
    return "fault";
  }
  if (permission_.in_transaction()) {
    return "already_charging";
  }
  return config_.id_tag.empty() ? "no_id_tag" : "";
}

void Controller::stop_by_key() {
  if (!permission_.in_transaction()) {
    event("stop state=refused reason=no_transaction");
    return;
  }
  event("stop state=requested reason=Local");
  Output output;
  output.kind = OutputKind::ocpp_stop;
  output.text.append("Local");
  outputs_.push_back(output);
}

void Controller::print_view(Millis now) {
  const bool all = view_ == View::all;
  if (all || view_ == View::bms) {
    print(bms_record(bms_, now));
  }
  if (all || view_ == View::power_module) {
    print(power_module_record(module_, now));
  }
  if (all || view_ == View::output) {
    print(output_record(module_, now));
  }
  if (all || view_ == View::terminal) {
    print(terminal_record(module_, meter_, now));
  }
}

void Controller::print(const ConsoleLine& line) {
  Output output;
  output.kind = OutputKind::console;
  output.text = line;
  outputs_.push_back(output);
}

void Controller::event(std::string_view first, std::string_view second, std::string_view third,
                       std::string_view fourth) {
  ConsoleLine line("[event] ");
  line.append(first);
  line.append(second);
  line.append(third);
  line.append(fourth);
  print(line);
}

}  // namespace evcore
