// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "lockstep.hpp"

int main() {
  std::ios::sync_with_stdio(false);
  return evhost::run_lockstep(std::cin, std::cout);
}
