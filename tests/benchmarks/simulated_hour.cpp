// SPDX-License-Identifier: Apache-2.0
// The hour of simulated_hour.py, driven from C++: `simulated_hour <seconds>
// <capacity_mah> <soc_permille>`. Prints the processor time in seconds, how
// many inputs there were, the charge that the vehicle took in mA ms, and the
// last state line.
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "evcore/controller.hpp"
#include "line_format.hpp"
#include "virtual_bench.hpp"

namespace {

using evcore::Millis;

constexpr Millis kTick = 20;
constexpr Millis kWord = 1000;

// A controller at a bench: every answer of a model is heard at the next tick.
class Station {
 public:
  Station(const evcore::Config& config, const benchmark::Vehicle& vehicle)
      : controller_(config, evcore::BootInfo{}), bench_(vehicle) {}

  void start() {
    controller_.boot(0);
    carry_out(0);
    controller_.on_bus(0, evcore::BusState::running, 0);
    carry_out(0);
  }

  void step(Millis now) {
    benchmark::Frames& due = *answers_;
    answers_ = answers_ == &frames_[0] ? &frames_[1] : &frames_[0];
    answers_->clear();
    bench_.tick(now, due);
    for (const evcore::CanFrame& frame : due) {
      controller_.on_frame(0, frame, now);
      carry_out(now);
    }
    if (now % kWord == 0) {
      controller_.on_ocpp({true, true, true, evcore::kNoLimit}, now);
      carry_out(now);
      snapshot_ = controller_.snapshot(now);  // what OCPP is told for its word
    }
    controller_.tick(now);
    carry_out(now);
  }

  [[nodiscard]] const evcore::Controller& controller() const { return controller_; }
  [[nodiscard]] const benchmark::Vehicle& vehicle() const { return bench_.vehicle(); }
  [[nodiscard]] long inputs() const { return inputs_; }

 private:
  void carry_out(Millis now) {
    ++inputs_;
    while (controller_.pop(output_)) {
      if (output_.kind == evcore::OutputKind::can) {
        bench_.on_frame(output_.frame, now, *answers_);
      }
    }
  }

  evcore::Controller controller_;
  benchmark::Bench bench_;
  std::array<benchmark::Frames, 2> frames_;
  benchmark::Frames* answers_ = &frames_[0];  // the other is what is heard now
  evcore::Output output_;
  evcore::Snapshot snapshot_;
  long inputs_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    return 2;
  }
  const Millis end = std::atoll(argv[1]) * 1000;
  evcore::Config config;
  config.battery_capacity_mah = std::atoi(argv[2]);
  Station station(config, {config.battery_capacity_mah, std::atoll(argv[3])});
  const std::int64_t before = station.vehicle().charge_ma_ms();
  const std::clock_t begun = std::clock();
  station.start();
  for (Millis now = 0; now < end; now += kTick) {
    station.step(now);
  }
  const double seconds = static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC;
  std::string state;
  evhost::append_state(state, station.controller().snapshot(end - kTick));
  std::printf("%.6f\n%ld\n%lld\n%s\n", seconds, station.inputs(),
              static_cast<long long>(station.vehicle().charge_ma_ms() - before), state.c_str());
  return 0;
}
