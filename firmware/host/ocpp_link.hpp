// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "evcore/types.hpp"
#include "evidentity/identity.hpp"

namespace evhost {

// MicroOcpp in the board mode, its WebSocket carried by `ws` lines. Where the library is not
// compiled in, open() gives null, and `ocpp` lines take its place.
class OcppLink {
 public:
  using SendLine = std::function<void(const std::string&)>;
  // See evocpp::Hooks::durable_energy.
  using DurableEnergy = std::function<uint64_t(evcore::Report)>;
  // What GetDiagnostics uploads, and where events of its own are printed.
  struct Console {
    std::function<std::string()> diagnostics;
    std::function<void(const std::string&)> print;
  };

  // Version of the library, "-" for none.
  static const char* library();
  static std::unique_ptr<OcppLink> open(const evidentity::Identity& identity, SendLine send,
                                        DurableEnergy durable_energy, Console console);

  virtual ~OcppLink() = default;
  // A line after `ws `; false where it is not understood.
  virtual bool take(std::string_view words) = 0;
  // Gives the library its turn. True when `word` is due: it changed, or is half a second old.
  virtual bool step(const evcore::Snapshot& snapshot, evcore::Millis now,
                    evcore::OcppWord& word) = 0;
  virtual void start(const std::string& id_tag) = 0;
  virtual void stop(const std::string& reason) = 0;
  // The CSMS has asked for a Reset, and its time has come.
  virtual bool restart_wanted() const = 0;
};

}  // namespace evhost
