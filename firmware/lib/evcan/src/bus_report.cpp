// SPDX-License-Identifier: Apache-2.0
#include "evcan/bus_report.hpp"

#include <string_view>

namespace evcan {
namespace {

constexpr evcore::Millis kSpacing = 1000;

constexpr std::string_view name(Trouble trouble) {
  switch (trouble) {
    case Trouble::not_installed:
      return "not_installed";
    case Trouble::no_answer:
      return "no_answer";
    case Trouble::lost_configuration:
      return "lost_configuration";
    case Trouble::none:
      break;
  }
  return "-";
}

}  // namespace

bool BusReport::next(const Controller& controller, evcore::BusState state, evcore::Millis now,
                     evcore::ConsoleLine& line) {
  const Trouble trouble = controller.trouble();
  if (trouble != trouble_) {
    trouble_ = trouble;
    if (trouble != Trouble::none) {
      begin(line);
      line.append(std::string_view(" state="));
      line.append(name(trouble));
      return true;
    }
  }
  const Counts counts = controller.counts();
  const bool lost = counts.rx_lost != counts_.rx_lost;
  // On a bus with nobody else on it every frame fails; its state has said so.
  const bool failed = counts.tx_failed != counts_.tx_failed && state == evcore::BusState::running;
  if ((!lost && !failed) || (told_ && now - told_at_ < kSpacing)) {
    return false;
  }
  counts_ = counts;
  told_ = true;
  told_at_ = now;
  begin(line);
  line.append(std::string_view(" rx_lost="));
  line.append_unsigned(counts.rx_lost);
  line.append(std::string_view(" tx_failed="));
  line.append_unsigned(counts.tx_failed);
  return true;
}

void BusReport::begin(evcore::ConsoleLine& line) const {
  line = evcore::ConsoleLine("[event] can bus=");
  line.append_unsigned(bus_);
}

}  // namespace evcan
