// SPDX-License-Identifier: Apache-2.0
// The gate's answer to every combination of its facts, one line each, in the order of
// gate_table.py; then OCPP's word at every age that matters.
#include <array>
#include <cstdio>
#include <optional>
#include <string_view>

#include "evcore/charge_gate.hpp"
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

void print_name(std::string_view name) {
  std::printf("%.*s", static_cast<int>(name.size()), name.data());
}

void print_gate(const evcore::GateFacts& facts) {
  print_name(evcore::name(evcore::judge(facts)));
  std::puts("");
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

// All is well, but for one fact that nobody has given.
void print_gates_with_one_default() {
  const evcore::GateFacts absent;
  evcore::GateFacts well;
  well.plugged = well.switch_allowed = well.in_range = well.buses_running = true;
  well.fault = false;
  well.module_alive = true;
  well.temperature_mdegc = 25000;
  well.word = OcppWord{true, true, true, evcore::kNoLimit};
  const auto print_without = [&well, &absent](auto evcore::GateFacts::* fact) {
    evcore::GateFacts facts = well;
    facts.*fact = absent.*fact;
    print_gate(facts);
  };
  print_without(&evcore::GateFacts::plugged);
  print_without(&evcore::GateFacts::switch_allowed);
  print_without(&evcore::GateFacts::in_range);
  print_without(&evcore::GateFacts::buses_running);
  print_without(&evcore::GateFacts::fault);
  print_without(&evcore::GateFacts::module_alive);
  print_without(&evcore::GateFacts::temperature_mdegc);
  print_without(&evcore::GateFacts::word);
}

void print_permission(const evcore::Permission& permission, evcore::Millis now) {
  std::printf("%d%d%d %lld\n", permission.connected(now), permission.granted(now),
              permission.in_transaction(),
              static_cast<long long>(permission.limit_ma(now).value_or(-2)));
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

}  // namespace

int main() {
  print_gates();
  print_gates_with_one_default();
  print_permissions();
  return 0;
}
