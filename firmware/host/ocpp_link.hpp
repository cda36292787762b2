// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "evcore/types.hpp"
#include "evidentity/identity.hpp"

namespace evhost {

// MicroOcpp, its WebSocket carried by `ws` lines; in both modes. Where the library is not
// compiled in, open() gives null, and `ocpp` lines take its place. There is one at a time.
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

  // What virtual time puts in place of the computer's own. Without it: real time and chance.
  struct Surroundings {
    unsigned long (*clock)() = nullptr;         // milliseconds
    std::optional<uint64_t> boot_nonce;         // where message ids begin
    std::optional<uint64_t> cut_after_changes;  // see cut_power()
  };

  // Version of the library, "-" for none.
  static const char* library();
  static std::unique_ptr<OcppLink> open(const evidentity::Identity& identity, SendLine send,
                                        DurableEnergy durable_energy, Console console,
                                        const Surroundings& surroundings);

  virtual ~OcppLink() = default;
  // A line after `ws `; false where it is not understood.
  virtual bool take(std::string_view words) = 0;
  // Gives the library its turn. True when `word` is due: it changed, or is half a second old.
  virtual bool step(const evcore::Snapshot& snapshot, evcore::Millis now,
                    evcore::OcppWord& word) = 0;
  virtual void start(const std::string& id_tag) = 0;
  virtual void stop(const std::string& reason) = 0;
  // See evocpp/configuration_keys.hpp; the status of ChangeConfiguration.
  virtual std::string preset(const std::string& key, const std::string& value) = 0;
  // A card is held to the reader.
  virtual void present(const std::string& id_tag) = 0;
  // Reports a fault that nothing in this hardware can find (empty: no longer) and permits nothing
  // meanwhile. False where it is no error code of OCPP 1.6.
  virtual bool report_error(std::string_view code) = 0;
  // The power fails after this many more changes of files: what comes then is not written.
  virtual void cut_power(uint64_t changes) = 0;
  virtual bool has_power() const = 0;
  // The CSMS has asked for a Reset, and its time has come.
  virtual bool restart_wanted() const = 0;
};

}  // namespace evhost
