// SPDX-License-Identifier: Apache-2.0
// One checksum for each conversion over a whole range of inputs, to compare with Python's.
#include <cstdint>
#include <iostream>
#include <sstream>
#include <string>

#include "evcore/numbers.hpp"

namespace {

// FNV-1a over the values' bytes; an absent value counts as an impossible one.
class Checksum {
 public:
  void add(std::int64_t value) {
    for (unsigned shift = 0; shift < 64; shift += 8) {
      hash_ = (hash_ ^ ((static_cast<std::uint64_t>(value) >> shift) & 0xFFU)) * 0x100000001B3U;
    }
  }
  void add(const std::optional<std::int64_t>& value) {
    add(value.value_or(std::int64_t{1} << 40U));
  }
  [[nodiscard]] std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = 0xCBF29CE484222325U;
};

std::uint64_t checksum(const std::string& name, std::int64_t first, std::int64_t last,
                       std::int64_t step) {
  Checksum sum;
  for (std::int64_t input = first; input <= last; input += step) {
    const auto raw = static_cast<std::uint64_t>(input);
    if (name == "milli_to_deci_field") {
      sum.add(std::int64_t{evcore::milli_to_deci_field(input)});
    } else if (name == "per_1024_to_milli") {
      sum.add(evcore::per_1024_to_milli(raw));
    } else if (name == "voltage_setpoint_to_raw") {
      sum.add(std::int64_t{evcore::voltage_setpoint_to_raw(input)});
    } else if (name == "current_setpoint_to_raw") {
      sum.add(std::int64_t{evcore::current_setpoint_to_raw(input)});
    } else if (name == "current_setpoint_to_milli") {
      sum.add(evcore::current_setpoint_to_milli(raw));
    } else if (name == "float32_to_milli") {
      sum.add(evcore::float32_to_milli(static_cast<std::uint32_t>(raw)));
    } else if (name == "power_mw") {
      sum.add(evcore::power_mw(input, 997 - input));
    } else if (name == "soc_permille") {
      sum.add(evcore::soc_permille(input, 30011));
    }
  }
  return sum.value();
}

}  // namespace

// Lines of `name first last step`; answers one checksum for each. `text value decimals` answers
// the number as the console prints it.
int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string name;
    std::int64_t first = 0;
    std::int64_t last = 0;
    std::int64_t step = 0;
    words >> name >> first >> last >> step;
    if (name == "text") {
      evcore::ConsoleLine text;
      evcore::append_fixed(text, first, static_cast<unsigned>(last));
      std::cout << text.view() << '\n';
    } else {
      std::cout << checksum(name, first, last, step) << '\n';
    }
  }
}
