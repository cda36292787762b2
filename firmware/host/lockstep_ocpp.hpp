// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "evcore/controller.hpp"

#if defined(EVTOOL_WITH_MICROOCPP)

#include "nvs_lines.hpp"
#include "ocpp_link.hpp"

namespace evhost {

// MicroOcpp in virtual time, and a unit whose power can fail at any change of a file. Does nothing
// before `nvs` lines have given it an identity.
class LockstepOcpp {
 public:
  // Carries out what the controller wants; called wherever the order of lines depends on it.
  using CarryOut = std::function<void()>;

  // `say` adds a line to the answer.
  LockstepOcpp(OcppLink::SendLine say, CarryOut carry_out);

  bool runs() const { return link_ != nullptr; }
  // False where the power has failed, until the next boot: nothing more may be said then.
  bool has_power() const { return link_ == nullptr || link_->has_power(); }

  // `nvs`, `ws`, `card`, `error` and `cut` lines. Gives what is wrong with the line, an empty text
  // if nothing is; none where it is no such line.
  std::optional<std::string> take(std::string_view line, evcore::Millis now);

  // The controller has booted; `controller` lives until off() or the next boot.
  void boot(evcore::Controller& controller, evcore::Millis now);
  void step(evcore::Millis now);

  void start(const std::string& id_tag) { link_->start(id_tag); }
  void stop(const std::string& reason) { link_->stop(reason); }

  // Why the unit is off since this command, `cut` or `restart`; none while it runs.
  const char* off();
  // Takes the power away: the library ends, and nothing of its end is written.
  void power_off();

 private:
  void set_time(evcore::Millis now);
  std::string cut(std::string_view count);

  OcppLink::SendLine say_;
  CarryOut carry_out_;
  NvsLines nvs_;
  bool has_identity_ = false;
  bool is_off_ = false;  // the power was taken away, and there was no boot since
  std::unique_ptr<OcppLink> link_;
  evcore::Controller* controller_ = nullptr;
  evcore::Millis now_ = 0;
  uint64_t nonce_;
  std::optional<uint64_t> cut_at_boot_;  // a `cut` that came while nothing ran
};

}  // namespace evhost

#else

namespace evhost {

// Where MicroOcpp is not compiled in the lockstep is the controller alone.
class LockstepOcpp {
 public:
  LockstepOcpp(const std::function<void(const std::string&)>& /*say*/,
               const std::function<void()>& /*carry_out*/) {}

  static bool runs() { return false; }
  static bool has_power() { return true; }
  static std::optional<std::string> take(std::string_view /*line*/, evcore::Millis /*now*/) {
    return std::nullopt;
  }
  void boot(evcore::Controller& /*controller*/, evcore::Millis /*now*/) {}
  void step(evcore::Millis /*now*/) {}
  void start(const std::string& /*id_tag*/) {}
  void stop(const std::string& /*reason*/) {}
  static const char* off() { return nullptr; }
  void power_off() {}
};

}  // namespace evhost

#endif
