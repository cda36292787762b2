// SPDX-License-Identifier: Apache-2.0
// The firmware's tasks, and everything that they share. docs/firmware.md draws them.
#pragma once

#include <cstdint>

#include "channel.hpp"
#include "evcore/types.hpp"
#include "evdiagnostics/report.hpp"
#include "evidentity/identity.hpp"

struct OcppRequest {
  bool start = false;          // else stop
  evcore::FixedText<20> text;  // id_tag, or OCPP's reason
};

struct Shared {
  Mailbox<evcore::Snapshot> snapshot;  // control to ocpp
  Mailbox<evcore::OcppWord> word;      // ocpp to control
  Mailbox<evcore::Report> report;      // ocpp to control: the register is about to be told
  Mailbox<std::uint64_t> may_tell;     // control to ocpp, its answer: this much, once it is stored
  Channel<OcppRequest> requests;       // control to ocpp
  Channel<std::uint8_t> keys;          // console to control
  Channel<evcore::ConsoleLine> lines;  // anyone to console
  Channel<std::uint64_t> stores;       // control to console, which has time for the flash: mWh

  evdiagnostics::RecentLines recent;  // what the console said last, for GetDiagnostics
  const char* reset_reason = "";      // of this start; set before there is a task

  bool create();
};

inline constexpr std::uint32_t kControlPeriodMs = 5;

// Milliseconds since the start, 64 bits: never wraps.
evcore::Millis uptime_ms();

// False where there is no memory for the task.
[[nodiscard]] bool start_console_task(Shared& shared);
// `config` and `boot_info` are copied.
[[nodiscard]] bool start_control_task(Shared& shared, const evcore::Config& config,
                                      const evcore::BootInfo& boot_info);
// Counts this start, watches the heap, and calls `start_ocpp` once, unless a row of crashes has
// it wait. Null: an identity that is not whole.
[[nodiscard]] bool start_health_task(Shared& shared, void (*start_ocpp)());
// Joins the Wi-Fi and keeps the WebSocket; only then does OCPP run. `identity` must live for ever.
[[nodiscard]] bool start_network_task(Shared& shared, const evidentity::Identity& identity);
[[nodiscard]] bool start_ocpp_task(Shared& shared, const evidentity::Identity& identity);
