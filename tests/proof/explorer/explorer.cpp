// SPDX-License-Identifier: Apache-2.0
// Every state of the power path that a slice's alphabet can reach, breadth first.
//
//   explorer SLICE DISGUISED DEPTH    DISGUISED: also run every n-th transition on a controller in
//                                     disguise (canonical.hpp); DEPTH: at most so many moves, 0 for
//                                     until nothing is left
//
// A state is the controller's (Core), the witness's and whether the clock stands on the lattice or
// one millisecond after it. States that were seen are kept as 128-bit hashes. Prints what it
// found, or the shortest way to the first broken rule, and exits with 1.
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "seen.hpp"
#include "slices.hpp"

namespace proof {
namespace {

constexpr evcore::Millis kBase = evcore::Millis{1} << 50U;
constexpr std::int64_t kAges = std::int64_t{1} << 33U;  // in units

struct State {
  Witness witness;
  Core core;
  std::int32_t phase = 0;
};
static_assert(std::has_unique_object_representations_v<State>, "its bytes are hashed");

class Explorer {
 public:
  Explorer(const Slice& slice, std::uint64_t disguised)
      : slice_(slice),
        disguised_(disguised),
        controller_(std::make_unique<evcore::Controller>(slice.config, evcore::BootInfo{})) {}

  int run(int depth);

 private:
  bool visit(const State& state, std::uint32_t from, std::uint16_t move);
  bool follow(const State& state, std::uint32_t index);
  std::string step(State& state, const Move& move, evcore::Millis base, Disguise* disguise);
  [[nodiscard]] evcore::Millis wait_of(const Move& move, std::int32_t phase) const;
  void explain(std::uint32_t index, const Move& last, const std::string& wrong) const;

  const Slice& slice_;
  std::uint64_t disguised_;
  std::unique_ptr<evcore::Controller> controller_;
  Disguise disguise_{1};
  Seen seen_;
  std::vector<State> next_;
  std::uint64_t transitions_ = 0;
  std::uint64_t disguises_ = 0;
  std::uint64_t open_states_ = 0;
};

evcore::Millis Explorer::wait_of(const Move& move, std::int32_t phase) const {
  switch (move.wait) {
    case Wait::none:
      return 0;
    case Wait::near:
      return phase == 0 ? 1 : slice_.unit - 1;
    case Wait::unit:
      return slice_.unit;
    case Wait::ages:
      return slice_.unit * kAges;
  }
  return 0;
}

// Makes the move in `state`; what is broken, or nothing.
std::string Explorer::step(State& state, const Move& move, evcore::Millis base,
                           Disguise* disguise) {
  evcore::Controller& controller = *controller_;
  evcore::Millis now = base + state.phase;
  write(controller, state.core, now, slice_.scope, disguise);
  const std::uint64_t energy = controller.snapshot(now).energy_mwh;
  evcore::Millis wait = wait_of(move, state.phase);
  now += wait;
  state.phase = move.wait == Wait::near ? 1 - state.phase : state.phase;
  for (const Event& event : move.events) {
    give(controller, event, now);
    state.witness.before(static_cast<std::int32_t>(std::min<evcore::Millis>(wait, kOld)),
                         slice_.limits);
    state.witness.take(event, slice_.limits);
    std::string wrong = state.witness.check(controller, now, slice_.limits);
    if (!wrong.empty()) {
      return wrong;
    }
    wait = 0;
  }
  state.core = read(controller, now, slice_.scope);
  state.witness.normalise(slice_.scope.off_since, slice_.scope.repetition);
  return controller.snapshot(now).energy_mwh < energy ? "energy fell" : "";
}

bool Explorer::visit(const State& state, std::uint32_t from, std::uint16_t move) {
  if (seen_.add(state, from, move)) {
    next_.push_back(state);
    open_states_ += state.core.energised != 0 ? 1 : 0;
  }
  return true;
}

bool Explorer::follow(const State& state, std::uint32_t index) {
  for (std::size_t number = 0; number < slice_.moves.size(); ++number) {
    const Move& move = slice_.moves[number];
    State after = state;
    std::string wrong = step(after, move, kBase, nullptr);
    ++transitions_;
    if (wrong.empty() && disguised_ != 0 && transitions_ % disguised_ == 0) {
      ++disguises_;
      State other = state;
      // Another time of day as well: a multiple of every unit.
      wrong = step(other, move, kBase / 2 - kBase / 2 % 1000, &disguise_);
      if (wrong.empty() && std::memcmp(&other, &after, sizeof after) != 0) {
        wrong = "a controller that should be the same went another way";
      } else if (!wrong.empty()) {
        wrong = "in disguise: " + wrong;
      }
    }
    if (!wrong.empty()) {
      explain(index, move, wrong);
      return false;
    }
    visit(after, index, static_cast<std::uint16_t>(number));
  }
  return true;
}

void Explorer::explain(std::uint32_t index, const Move& last, const std::string& wrong) const {
  static constexpr const char* kWaits[] = {"at once", "1 ms on or off", "a unit later",
                                           "ages later"};
  std::vector<const Move*> way{&last};
  for (; index != 0; index = seen_.from(index)) {
    way.push_back(&slice_.moves[seen_.move(index)]);
  }
  std::cout << slice_.name << ": " << wrong << "\n";
  for (auto move = way.rbegin(); move != way.rend(); ++move) {
    std::cout << "  " << kWaits[static_cast<int>((*move)->wait)] << ": " << (*move)->name << "\n";
  }
}

int Explorer::run(int depth) {
  controller_->boot(kBase);
  State start;
  const std::string wrong = start.witness.check(*controller_, kBase, slice_.limits);
  start.witness.normalise(slice_.scope.off_since, slice_.scope.repetition);
  start.core = read(*controller_, kBase, slice_.scope);
  if (!wrong.empty()) {
    std::cout << slice_.name << ": " << wrong << " at the start\n";
    return 1;
  }
  visit(start, 0, 0);
  std::uint32_t index = 0;
  int level = 0;
  while (!next_.empty() && (depth == 0 || level < depth)) {
    std::vector<State> states;
    states.swap(next_);
    for (const State& state : states) {
      if (!follow(state, index)) {
        return 1;
      }
      ++index;
    }
    ++level;
  }
  std::cout << slice_.name << " states=" << seen_.size() << " open=" << open_states_
            << " transitions=" << transitions_ << " disguised=" << disguises_ << " depth=" << level
            << " frontier=" << next_.size() << "\n";
  return 0;
}

}  // namespace
}  // namespace proof

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "explorer SLICE DISGUISED DEPTH\n";
    return 2;
  }
  for (const proof::Slice& slice : proof::all_slices()) {
    if (slice.name == argv[1]) {
      return proof::Explorer(slice, std::strtoull(argv[2], nullptr, 10)).run(std::atoi(argv[3]));
    }
  }
  std::cerr << "no such slice\n";
  return 2;
}
