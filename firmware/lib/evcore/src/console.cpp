// SPDX-License-Identifier: Apache-2.0
#include "evcore/console.hpp"

#include "evcore/can_tables.hpp"
#include "evcore/numbers.hpp"

namespace evcore {
namespace {

using can_tables::TerminalStatus;

constexpr char kUnknown = '-';

void append_quantity(ConsoleLine& line, std::string_view label,
                     const std::optional<std::int64_t>& milli, unsigned decimals,
                     std::string_view unit) {
  line.append(label);
  if (!milli) {
    line.append(kUnknown);
    return;
  }
  append_fixed(line, *milli, decimals);
  line.append(unit);
}

void append_choice(ConsoleLine& line, std::string_view label, const std::optional<bool>& value,
                   std::string_view if_true, std::string_view if_false) {
  line.append(label);
  if (!value) {
    line.append(kUnknown);
    return;
  }
  line.append(*value ? if_true : if_false);
}

void append_age(ConsoleLine& line, const std::optional<Millis>& age) {
  line.append(" age=");
  if (!age) {
    line.append(kUnknown);
    return;
  }
  line.append_signed(*age);
  line.append("ms");
}

void append_raw(ConsoleLine& line, const std::optional<RawData>& raw) {
  line.append(" raw=");
  if (!raw) {
    line.append(kUnknown);
    return;
  }
  for (std::uint8_t index = 0; index < raw->size; ++index) {
    if (index > 0) {
      line.append(' ');
    }
    line.append_hex_byte(raw->bytes[index]);
  }
}

// In kWh, cut off after the Wh as a meter does, so that it equals what OCPP is told.
void append_energy(ConsoleLine& line, std::string_view label,
                   const std::optional<std::uint64_t>& milliwatt_hours) {
  line.append(label);
  if (!milliwatt_hours) {
    line.append(kUnknown);
    return;
  }
  append_fixed(line, static_cast<std::int64_t>(*milliwatt_hours / 1000), 3);
  line.append("kWh");
}

// Text from outside as one word: it can neither end the line nor look like a field.
void append_word(ConsoleLine& line, std::string_view label, std::string_view text) {
  line.append(label);
  if (text.empty()) {
    line.append(kUnknown);
  }
  for (const char character : text) {
    line.append(character > ' ' && character <= '~' ? character : '_');
  }
}

std::string_view status_word(std::uint16_t status) {
  switch (static_cast<TerminalStatus::Status>(status)) {
    case TerminalStatus::Status::charging:
      return "charging";
    case TerminalStatus::Status::not_charging:
      return "not_charging";
  }
  return "unknown";
}

}  // namespace

ConsoleLine bms_record(const Bms& bms, Millis now) {
  ConsoleLine line("[bms]");
  std::optional<std::int64_t> voltage;
  std::optional<std::int64_t> current;
  std::optional<bool> allowed;
  std::optional<bool> heating;
  std::optional<RawData> raw;
  if (const auto& request = bms.request(now)) {
    voltage = request->voltage_mv;
    current = request->current_ma;
    allowed = request->allowed;
    heating = request->heating;
    raw = request->raw;
  }
  append_quantity(line, " v=", voltage, 2, "V");
  append_quantity(line, " i=", current, 2, "A");
  append_choice(line, " switch=", allowed, "on", "off");
  append_choice(line, " mode=", heating, "heating", "charging");
  auto soc = bms.soc_permille(now);
  if (soc) {
    *soc *= 100;  // 0.1 % to milli-percent
  }
  append_quantity(line, " soc=", soc, 1, "%");
  append_age(line, bms.request_age(now));
  append_raw(line, raw);
  return line;
}

ConsoleLine power_module_record(const PowerModule& module, Millis now) {
  ConsoleLine line("[power_module]");
  append_choice(line, " state=", module.on(now), "on", "off");
  append_quantity(line, " set_v=", module.set_mv(now), 2, "V");
  append_quantity(line, " set_i=", module.set_ma(now), 2, "A");
  append_choice(line, " heartbeat=", module.heartbeat(now), "alive", "none");
  append_age(line, module.control_age(now));
  append_raw(line, module.control_raw(now));
  return line;
}

ConsoleLine output_record(const PowerModule& module, Millis now) {
  ConsoleLine line("[output]");
  append_quantity(line, " v=", module.output_mv(now), 2, "V");
  append_quantity(line, " i=", module.output_ma(now), 2, "A");
  append_quantity(line, " temp=", module.temperature_mdegc(now), 1, "C");
  line.append(" m79=");
  if (const auto metric = module.metric_79(now)) {
    line.append_signed(*metric);
  } else {
    line.append(kUnknown);
  }
  append_quantity(line, " m83=", module.metric_83_milli(now), 3, "");
  append_age(line, module.telemetry_age(now));
  return line;
}

ConsoleLine terminal_record(const PowerModule& module, const Meter& meter, Millis now) {
  ConsoleLine line("[terminal]");
  std::optional<std::int64_t> voltage;
  std::optional<std::int64_t> current;
  std::optional<std::int64_t> power;
  if (const auto& terminal = module.terminal(now)) {
    voltage = terminal->millivolts;
    current = terminal->milliamperes;
    power = power_mw(terminal->millivolts, terminal->milliamperes);
  }
  append_quantity(line, " v=", voltage, 2, "V");
  append_quantity(line, " i=", current, 2, "A");
  append_quantity(line, " p=", power, 1, "W");
  line.append(" status=");
  if (const auto status = module.status(now)) {
    line.append(status_word(*status));
  } else {
    line.append(kUnknown);
  }
  append_energy(line, " energy=", meter.register_mwh());
  append_energy(line, " session=", meter.session_mwh());
  append_age(line, module.terminal_age(now));
  return line;
}

ConsoleLine boot_event(const BootInfo& info) {
  ConsoleLine line("[event] boot");
  append_word(line, " version=", info.version.view());
  append_word(line, " build=", info.build.view());
  append_word(line, " charge_point=", info.charge_point.view());
  append_word(line, " reset=", info.reset.view());
  return line;
}

}  // namespace evcore
