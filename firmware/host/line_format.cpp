// SPDX-License-Identifier: Apache-2.0
#include "line_format.hpp"

#include <array>
#include <charconv>
#include <cstddef>
#include <optional>
#include <type_traits>
#include <vector>

namespace evhost {
namespace {

using evcore::BootInfo;
using evcore::BusState;
using evcore::CanFrame;
using evcore::Config;
using evcore::OcppWord;

constexpr std::uint64_t kMaxInt32 = 0x7FFFFFFF;
constexpr std::uint32_t kMaxStandardId = 0x7FF;
constexpr std::uint32_t kMaxExtendedId = 0x1FFFFFFF;

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> words;
  words.reserve(8);  // what most lines have at most
  while (true) {
    const std::size_t space = text.find(' ');
    words.push_back(text.substr(0, space));
    if (space == std::string_view::npos) {
      return words;
    }
    text.remove_prefix(space + 1);
  }
}

std::optional<unsigned> hex_digit(char character) {
  if (character >= '0' && character <= '9') {
    return static_cast<unsigned>(character - '0');
  }
  if (character >= 'A' && character <= 'F') {
    return static_cast<unsigned>(character - 'A') + 10U;
  }
  if (character >= 'a' && character <= 'f') {
    return static_cast<unsigned>(character - 'a') + 10U;
  }
  return std::nullopt;
}

// At most 8 digits, all of the text.
std::optional<std::uint32_t> hex_number(std::string_view text) {
  std::uint32_t number = 0;
  for (const char character : text) {
    const auto digit = hex_digit(character);
    if (!digit) {
      return std::nullopt;
    }
    number = number << 4U | *digit;
  }
  return number;
}

std::optional<std::uint8_t> bus_number(std::string_view text) {
  if (text == "0" || text == "1") {
    return static_cast<std::uint8_t>(text[0] - '0');
  }
  return std::nullopt;
}

std::optional<CanCommand> parse_can(const std::vector<std::string_view>& words) {
  if (words.size() != 7) {
    return std::nullopt;
  }
  CanCommand command;
  CanFrame& frame = command.frame;
  const auto bus = bus_number(words[1]);
  const auto can_id = words[2].size() == 8 ? hex_number(words[2]) : std::nullopt;
  if (!bus || !can_id || (words[3] != "x" && words[3] != "s") ||
      (words[4] != "d" && words[4] != "r") || words[5].size() != 1 || words[5][0] < '0' ||
      words[5][0] > '8') {
    return std::nullopt;
  }
  command.bus = *bus;
  frame.can_id = *can_id;
  frame.extended = words[3] == "x";
  frame.remote = words[4] == "r";
  frame.dlc = static_cast<std::uint8_t>(words[5][0] - '0');
  if (frame.can_id > (frame.extended ? kMaxExtendedId : kMaxStandardId)) {
    return std::nullopt;
  }
  const std::size_t bytes = frame.remote ? 0 : frame.dlc;
  if (bytes == 0) {
    return words[6] == "-" ? std::optional(command) : std::nullopt;
  }
  if (words[6].size() != 2 * bytes) {
    return std::nullopt;
  }
  for (std::size_t index = 0; index < bytes; ++index) {
    const auto byte = hex_number(words[6].substr(2 * index, 2));
    if (!byte) {
      return std::nullopt;
    }
    frame.data[index] = static_cast<std::uint8_t>(*byte);
  }
  return command;
}

std::optional<BusCommand> parse_bus(const std::vector<std::string_view>& words) {
  constexpr std::array kStates{BusState::stopped, BusState::running, BusState::error_passive,
                               BusState::bus_off, BusState::recovering};
  const auto bus = words.size() == 3 ? bus_number(words[1]) : std::nullopt;
  if (!bus) {
    return std::nullopt;
  }
  for (const BusState state : kStates) {
    if (words[2] == name(state)) {
      return BusCommand{*bus, state};
    }
  }
  return std::nullopt;
}

// The text after `label`, if that is how `word` begins.
std::optional<std::string_view> after(std::string_view word, std::string_view label) {
  if (word.substr(0, label.size()) != label) {
    return std::nullopt;
  }
  return word.substr(label.size());
}

std::optional<bool> flag_after(std::string_view word, std::string_view label) {
  const auto value = after(word, label);
  if (!value || (*value != "0" && *value != "1")) {
    return std::nullopt;
  }
  return *value == "1";
}

std::optional<OcppWord> parse_ocpp(const std::vector<std::string_view>& words) {
  if (words.size() != 5) {
    return std::nullopt;
  }
  const auto connected = flag_after(words[1], "connected=");
  const auto transaction = flag_after(words[2], "transaction=");
  const auto permitted = flag_after(words[3], "permitted=");
  const auto limit = after(words[4], "limit_ma=");
  if (!connected || !transaction || !permitted || !limit) {
    return std::nullopt;
  }
  OcppWord word{*connected, *transaction, *permitted, evcore::kNoLimit};
  if (*limit != "-") {
    std::uint64_t number = 0;
    if (!parse_number(*limit, kMaxInt32, number)) {
      return std::nullopt;
    }
    word.limit_ma = static_cast<std::int32_t>(number);
  }
  return word;
}

std::optional<KeyCommand> parse_key(const std::vector<std::string_view>& words) {
  const auto key = words.size() == 2 && words[1].size() == 2 ? hex_number(words[1]) : std::nullopt;
  if (!key) {
    return std::nullopt;
  }
  return KeyCommand{static_cast<std::uint8_t>(*key)};
}

std::optional<evcore::Report> parse_report(const std::vector<std::string_view>& words) {
  if (words.size() != 2 || (words[1] != "sample" && words[1] != "transaction")) {
    return std::nullopt;
  }
  return words[1] == "sample" ? evcore::Report::sample : evcore::Report::transaction;
}

bool set_number(std::string_view text, std::int32_t& field) {
  std::uint64_t number = 0;
  if (!parse_number(text, kMaxInt32, number)) {
    return false;
  }
  field = static_cast<std::int32_t>(number);
  return true;
}

template <std::size_t Capacity>
bool set_text(std::string_view text, evcore::FixedText<Capacity>& field) {
  if (text.empty() || text.size() > Capacity) {
    return false;
  }
  for (const char character : text) {
    if (character < '!' || character > '~') {
      return false;
    }
  }
  field = text == "-" ? evcore::FixedText<Capacity>() : evcore::FixedText<Capacity>(text);
  return true;
}

template <typename Value>
bool set_choice(std::string_view text, std::string_view first, Value first_value,
                std::string_view second, Value second_value, Value& field) {
  if (text != first && text != second) {
    return false;
  }
  field = text == first ? first_value : second_value;
  return true;
}

bool set_field(Config& config, std::string_view field, std::string_view text) {
  using evcore::CapacitySource;
  using evcore::CurrentScale;
  using evcore::TemperatureScale;
  if (field == "buses") {
    return set_choice<std::uint8_t>(text, "1", 1, "2", 2, config.buses);
  }
  if (field == "capacity_source") {
    return set_choice(text, "remaining", CapacitySource::remaining, "charged_minus_discharged",
                      CapacitySource::charged_minus_discharged, config.capacity_source);
  }
  if (field == "module_current_scale") {
    return set_choice(text, "1/1024", CurrentScale::per_1024, "1/10", CurrentScale::per_10,
                      config.module_current_scale);
  }
  if (field == "module_temperature_scale") {
    return set_choice(text, "milli", TemperatureScale::milli, "deci", TemperatureScale::deci,
                      config.module_temperature_scale);
  }
  if (field == "id_tag") {
    return set_text(text, config.id_tag);
  }
  struct Number {
    std::string_view name;
    std::int32_t& value;
  };
  for (const Number& number : {Number{"battery_capacity_mah", config.battery_capacity_mah},
                               Number{"request_min_mv", config.request_min_mv},
                               Number{"request_max_mv", config.request_max_mv},
                               Number{"request_max_ma", config.request_max_ma},
                               Number{"max_voltage_mv", config.max_voltage_mv},
                               Number{"max_current_ma", config.max_current_ma}}) {
    if (field == number.name) {
      return set_number(text, number.value);
    }
  }
  return false;
}

bool set_field(BootInfo& boot, std::string_view field, std::string_view text) {
  if (field == "reset") {
    return set_text(text, boot.reset);
  }
  if (field == "version") {
    return set_text(text, boot.version);
  }
  if (field == "build") {
    return set_text(text, boot.build);
  }
  if (field == "charge_point") {
    return set_text(text, boot.charge_point);
  }
  return field == "energy_mwh" && parse_number(text, UINT64_MAX, boot.energy_mwh);
}

template <typename Fields>
std::optional<Fields> parse_fields(const std::vector<std::string_view>& words, Fields fields) {
  for (std::size_t index = 1; index < words.size(); ++index) {
    const std::size_t equals = words[index].find('=');
    if (equals == std::string_view::npos ||
        !set_field(fields, words[index].substr(0, equals), words[index].substr(equals + 1))) {
      return std::nullopt;
    }
  }
  return fields;
}

template <typename Parsed>
Command understood(const std::optional<Parsed>& parsed, std::string_view command_name) {
  if (!parsed) {
    return NotUnderstood{"bad " + std::string(command_name)};
  }
  return *parsed;
}

void append_hex(std::string& text, std::uint32_t value, unsigned digits) {
  for (unsigned shift = 4 * digits; shift > 0; shift -= 4) {
    text += "0123456789ABCDEF"[value >> (shift - 4U) & 0xFU];
  }
}

template <typename Number>
void append_number(std::string& text, Number number) {
  std::array<char, 20> digits;  // a sign and 19, or 20
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  text.append(digits.data(), end.ptr);
}

void append_label(std::string& line, std::string_view field) {
  line += ' ';
  line += field;
  line += '=';
}

void append_field(std::string& line, std::string_view field, std::string_view value) {
  append_label(line, field);
  line += value;
}

void append_field(std::string& line, std::string_view field, bool fact) {
  append_field(line, field, std::string_view(fact ? "1" : "0"));
}

template <typename Number>
void append_field(std::string& line, std::string_view field, Number number) {
  append_label(line, field);
  append_number(line, number);
}

template <typename Number>
void append_field(std::string& line, std::string_view field, const std::optional<Number>& number) {
  if (number) {
    append_field(line, field, *number);
  } else {
    append_field(line, field, std::string_view("-"));
  }
}

void append_faults(std::string& line, evcore::Faults faults) {
  append_label(line, "faults");
  if (!faults.any()) {
    line += '-';
    return;
  }
  bool first = true;
  for (std::size_t index = 0; index < evcore::kFaultCount; ++index) {
    const auto fault = static_cast<evcore::Fault>(index);
    if (faults.has(fault)) {
      line += first ? "" : ",";
      line += name(fault);
      first = false;
    }
  }
}

}  // namespace

bool parse_number(std::string_view text, std::uint64_t maximum, std::uint64_t& value) {
  if (text.empty() || text.size() > 20 || (text.size() > 1 && text[0] == '0')) {
    return false;
  }
  std::uint64_t number = 0;
  for (const char character : text) {
    if (character < '0' || character > '9') {
      return false;
    }
    const auto digit = static_cast<std::uint64_t>(character - '0');
    if (number > (maximum - digit) / 10 || digit > maximum) {
      return false;
    }
    number = number * 10 + digit;
  }
  value = number;
  return true;
}

Command parse_command(std::string_view line, const Config& config) {
  const std::vector<std::string_view> words = split(line);
  const std::string_view command = words[0];
  if (command == "can") {
    return understood(parse_can(words), command);
  }
  if (command == "bus") {
    return understood(parse_bus(words), command);
  }
  if (command == "ocpp") {
    return understood(parse_ocpp(words), command);
  }
  if (command == "key") {
    return understood(parse_key(words), command);
  }
  if (command == "report") {
    return understood(parse_report(words), command);
  }
  if (command == "tick") {
    return understood(words.size() == 1 ? std::optional(TickCommand{}) : std::nullopt, command);
  }
  if (command == "config") {
    return understood(parse_fields(words, config), command);
  }
  if (command == "boot") {
    return understood(parse_fields(words, BootInfo{}), command);
  }
  return NotUnderstood{"no such command"};
}

void append_output(std::string& line, const evcore::Output& output) {
  switch (output.kind) {
    case evcore::OutputKind::can:
      line += "can ";
      append_number(line, output.bus);
      line += ' ';
      append_hex(line, output.frame.can_id, 8);
      line += " x d ";
      append_number(line, output.frame.dlc);
      line += ' ';
      for (std::size_t index = 0; index < output.frame.dlc; ++index) {
        append_hex(line, output.frame.data[index], 2);
      }
      break;
    case evcore::OutputKind::console:
      line += "console ";
      line += output.text.view();
      break;
    case evcore::OutputKind::ocpp_start:
      line += "ocpp start ";
      line += output.text.view();
      break;
    case evcore::OutputKind::ocpp_stop:
      line += "ocpp stop ";
      line += output.text.view();
      break;
    case evcore::OutputKind::store:
      line += "store ";
      line += output.text.view();
      line += ' ';
      append_number(line, output.value);
      break;
    case evcore::OutputKind::recover:
      line += "recover ";
      append_number(line, output.bus);
      break;
  }
}

void append_state(std::string& line, const evcore::Snapshot& snapshot) {
  line += "state";
  append_field(line, "plugged", snapshot.plugged);
  append_field(line, "bms_alive", snapshot.bms_alive);
  append_field(line, "in_range", snapshot.in_range);
  append_field(line, "ev_ready", snapshot.ev_ready);
  append_field(line, "module_alive", snapshot.module_alive);
  append_field(line, "evse_ready", snapshot.evse_ready);
  append_field(line, "connected", snapshot.connected);
  append_field(line, "transaction", snapshot.transaction);
  append_field(line, "permitted", snapshot.permitted);
  append_field(line, "energised", snapshot.energised);
  append_field(line, "gate", name(snapshot.gate));
  append_faults(line, snapshot.faults);
  append_field(line, "error", snapshot.error);
  append_field(line, "limit_ma", snapshot.limit_ma);
  append_field(line, "requested_mv", snapshot.requested_mv);
  append_field(line, "requested_ma", snapshot.requested_ma);
  append_field(line, "setpoint_mv", snapshot.setpoint_mv);
  append_field(line, "setpoint_ma", snapshot.setpoint_ma);
  append_field(line, "offered_ma", snapshot.offered_ma);
  append_field(line, "measured_mv", snapshot.measured_mv);
  append_field(line, "measured_ma", snapshot.measured_ma);
  append_field(line, "power_mw", snapshot.power_mw);
  append_field(line, "temperature_mdegc", snapshot.temperature_mdegc);
  append_field(line, "soc_permille", snapshot.soc_permille);
  append_field(line, "energy_mwh", snapshot.energy_mwh);
  append_field(line, "stored_mwh", snapshot.stored_mwh);
  append_field(line, "session_mwh", snapshot.session_mwh);
  append_field(line, "module", name(snapshot.module_state));
  line += " flags=";
  append_hex(line, snapshot.feedback_flags, 2);
  append_field(line, "malformed", snapshot.malformed);
  append_field(line, "bus0", name(snapshot.bus[0]));
  append_field(line, "bus1", name(snapshot.bus[1]));
  append_field(line, "view", name(snapshot.view));
}

}  // namespace evhost
