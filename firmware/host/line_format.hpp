// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "evcore/types.hpp"

// The text lines of docs/host-program.md, both ways: shared by the lockstep and the board mode.
namespace evhost {

struct CanCommand {
  std::uint8_t bus = 0;
  evcore::CanFrame frame;
};
struct BusCommand {
  std::uint8_t bus = 0;
  evcore::BusState state = evcore::BusState::stopped;
};
struct KeyCommand {
  std::uint8_t key = 0;
};
struct TickCommand {};
struct NotUnderstood {
  std::string reason;
};

using Command = std::variant<NotUnderstood, CanCommand, BusCommand, KeyCommand, TickCommand,
                             evcore::OcppWord, evcore::Report, evcore::Config, evcore::BootInfo>;

// Reads one command, without the lockstep's `@<now_ms> `. `config` changes a copy of `config`.
Command parse_command(std::string_view line, const evcore::Config& config);

// Whole decimal number up to `maximum`, no sign, no leading zeros.
bool parse_number(std::string_view text, std::uint64_t maximum, std::uint64_t& value);

// Append a line without its end.
void append_output(std::string& line, const evcore::Output& output);
void append_state(std::string& line, const evcore::Snapshot& snapshot);

}  // namespace evhost
