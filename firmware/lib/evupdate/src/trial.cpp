// SPDX-License-Identifier: Apache-2.0
#include "evupdate/trial.hpp"

namespace evupdate {

Trial::Action Trial::step(std::int64_t now, bool registered, bool charging) const {
  if (!running_) {
    return Action::none;
  }
  if (registered) {
    return Action::keep;
  }
  return now >= kLimitMs && !charging ? Action::give_up : Action::none;
}

}  // namespace evupdate
