// SPDX-License-Identifier: Apache-2.0
// The gate's answer to every combination of its facts, one line each, in the order of
// gate_table.py; then OCPP's word at every age that matters; then a controller before its start.
#include <array>
#include <iostream>
#include <optional>

#include "evcore/can_tables.hpp"
#include "evcore/charge_gate.hpp"
#include "evcore/controller.hpp"
#include "evcore/permission.hpp"

namespace {

using evcore::OcppWord;

constexpr std::array<std::int32_t, 6> kLimits{evcore::kNoLimit, -5, 0, 1, 32000, 0x7FFFFFFF};
constexpr std::array<std::int64_t, 5> kTemperatures{-1, 60000, 70000, 70001, 0x7FFFFFFF};

template <typename Use>
void each_word(const Use& use) {
  for (unsigned bits = 0; bits < 8; ++bits) {
    for (const std::int32_t limit : kLimits) {
      use(OcppWord{(bits & 4U) != 0, (bits & 2U) != 0, (bits & 1U) != 0, limit});
    }
  }
}

void print_gate(const evcore::GateFacts& facts) {
  std::cout << evcore::name(evcore::judge(facts)) << '\n';
}

void print_gate_for_each_word(evcore::GateFacts facts) {
  facts.word.reset();
  print_gate(facts);
  each_word([&facts](const OcppWord& word) {
    facts.word = word;
    print_gate(facts);
  });
}

void print_gates() {
  for (unsigned bits = 0; bits < 64; ++bits) {
    evcore::GateFacts facts;
    facts.plugged = (bits & 32U) != 0;
    facts.switch_allowed = (bits & 16U) != 0;
    facts.in_range = (bits & 8U) != 0;
    facts.buses_running = (bits & 4U) != 0;
    facts.fault = (bits & 2U) != 0;
    facts.module_alive = (bits & 1U) != 0;
    print_gate_for_each_word(facts);
    for (const std::int64_t temperature : kTemperatures) {
      facts.temperature_mdegc = temperature;
      print_gate_for_each_word(facts);
    }
  }
  print_gate(evcore::GateFacts{});
}

void print_permission(const evcore::Permission& permission, evcore::Millis now) {
  std::cout << permission.connected(now) << permission.granted(now) << permission.in_transaction()
            << ' ' << permission.limit_ma(now).value_or(-2) << '\n';
}

void print_permissions() {
  print_permission(evcore::Permission{}, 0);
  each_word([](const OcppWord& word) {
    evcore::Permission permission;
    permission.set(word, 1000);
    for (const evcore::Millis age : {0, 1, 4998, 4999, 5000, 5001, 1000000}) {
      print_permission(permission, 1000 + age);
    }
  });
}

// Nothing may come of an input before boot().
void print_before_the_start() {
  evcore::Controller controller(evcore::Config{}, evcore::BootInfo{});
  evcore::CanFrame frame;
  frame.can_id = evcore::can_tables::ChargeRequest::kId;
  frame.dlc = 8;
  controller.on_bus(0, evcore::BusState::running, 0);
  controller.on_frame(0, frame, 0);
  controller.on_ocpp({true, true, true, evcore::kNoLimit}, 0);
  controller.on_key('5', 0);
  controller.tick(9000);
  evcore::Output output;
  const evcore::Snapshot snapshot = controller.snapshot(9000);
  std::cout << controller.pop(output) << snapshot.plugged << snapshot.transaction
            << evcore::name(snapshot.bus[0]) << evcore::name(snapshot.view) << '\n';
  controller.boot(0);
  while (controller.pop(output)) {
  }
  controller.boot(0);
  std::cout << controller.pop(output) << '\n';
}

}  // namespace

int main() {
  print_gates();
  print_permissions();
  print_before_the_start();
  return 0;
}
