// SPDX-License-Identifier: Apache-2.0
// What is explored: each slice is an alphabet, a lattice of time, and a configuration.
#pragma once

#include <string_view>
#include <vector>

#include "canonical.hpp"
#include "event.hpp"
#include "witness.hpp"

namespace proof {

struct Slice {
  std::string_view name;
  std::int32_t unit = 1000;  // milliseconds; every wait is about a multiple of it
  Scope scope;
  evcore::Config config;
  Limits limits;
  std::vector<Move> moves;
};

std::vector<Slice> all_slices();

}  // namespace proof
