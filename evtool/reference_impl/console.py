# SPDX-License-Identifier: GPL-3.0-or-later
"""The serial console's lines, as docs/serial-console.md describes them.

A record is `[name] field=value ...`; an unknown or stale value is `-`. No password and no key
ever comes here: the controller knows none.
"""

from __future__ import annotations

from evtool.protocol.can_tables import TerminalStatus
from evtool.reference_impl.bms import Bms
from evtool.reference_impl.controller_types import BootInfo, View
from evtool.reference_impl.meter import Meter
from evtool.reference_impl.numbers import fixed_text, power_mw
from evtool.reference_impl.power_module import PowerModule

UNKNOWN = "-"
MENU = "keys: 1 bms 2 power_module 3 output 4 terminal 5 all 0 mute s start t stop m menu"
PRINTABLE = range(0x21, 0x7F)
STATUS_WORDS = {
    int(TerminalStatus.Status.CHARGING): "charging",
    int(TerminalStatus.Status.NOT_CHARGING): "not_charging",
}


def _quantity(milli: int | None, decimals: int, unit: str) -> str:
    return UNKNOWN if milli is None else fixed_text(milli, decimals) + unit


def _age(age_ms: int | None) -> str:
    return UNKNOWN if age_ms is None else f"{age_ms}ms"


def _choice(value: bool | None, true: str, false: str) -> str:
    if value is None:
        return UNKNOWN
    return true if value else false


def _raw(data: bytes | None) -> str:
    return UNKNOWN if data is None else data.hex(" ").upper()


def _soc(permille: int | None) -> str:
    return UNKNOWN if permille is None else f"{permille // 10}.{permille % 10}%"


def _energy(milliwatt_hours: int | None) -> str:
    """In kWh, cut off after the Wh as a meter does, so that it equals what OCPP is told."""
    if milliwatt_hours is None:
        return UNKNOWN
    watt_hours = milliwatt_hours // 1000
    return f"{watt_hours // 1000}.{watt_hours % 1000:03d}kWh"


def _word(text: str) -> str:
    """Text from outside as one word: it can neither end the line nor look like a field."""
    return "".join(chr(c) if c in PRINTABLE else "_" for c in text.encode()) or UNKNOWN


def bms_record(bms: Bms, now_ms: int) -> str:
    """The vehicle's request."""
    request = bms.request(now_ms)
    voltage = current = switch = mode = raw = None
    if request is not None:
        voltage, current, raw = request.voltage_mv, request.current_ma, request.raw
        switch, mode = request.allowed, request.heating
    return (
        f"[bms] v={_quantity(voltage, 2, 'V')} i={_quantity(current, 2, 'A')}"
        f" switch={_choice(switch, 'on', 'off')} mode={_choice(mode, 'heating', 'charging')}"
        f" soc={_soc(bms.soc_permille(now_ms))} age={_age(bms.request_age_ms(now_ms))}"
        f" raw={_raw(raw)}"
    )


def power_module_record(module: PowerModule, now_ms: int) -> str:
    """What the power module says that it was told."""
    return (
        f"[power_module] state={_choice(module.on(now_ms), 'on', 'off')}"
        f" set_v={_quantity(module.set_mv(now_ms), 2, 'V')}"
        f" set_i={_quantity(module.set_ma(now_ms), 2, 'A')}"
        f" heartbeat={_choice(module.heartbeat(now_ms), 'alive', 'none')}"
        f" age={_age(module.control_age_ms(now_ms))} raw={_raw(module.control_raw(now_ms))}"
    )


def output_record(module: PowerModule, now_ms: int) -> str:
    """What the power module measures at its output."""
    metric_79 = module.metric_79(now_ms)
    return (
        f"[output] v={_quantity(module.output_mv(now_ms), 2, 'V')}"
        f" i={_quantity(module.output_ma(now_ms), 2, 'A')}"
        f" temp={_quantity(module.temperature_mdegc(now_ms), 1, 'C')}"
        f" m79={UNKNOWN if metric_79 is None else metric_79}"
        f" m83={_quantity(module.metric_83_milli(now_ms), 3, '')}"
        f" age={_age(module.telemetry_age_ms(now_ms))}"
    )


def terminal_record(module: PowerModule, meter: Meter, now_ms: int) -> str:
    """What flows into the vehicle, and how much has."""
    terminal = module.terminal(now_ms)
    voltage, current = (None, None) if terminal is None else terminal
    power = None if terminal is None else power_mw(*terminal)
    status = module.status(now_ms)
    return (
        f"[terminal] v={_quantity(voltage, 2, 'V')} i={_quantity(current, 2, 'A')}"
        f" p={_quantity(power, 1, 'W')}"
        f" status={UNKNOWN if status is None else STATUS_WORDS.get(status, 'unknown')}"
        f" energy={_energy(meter.register_mwh)} session={_energy(meter.session_mwh())}"
        f" age={_age(module.terminal_age_ms(now_ms))}"
    )


def view_records(view: View, bms: Bms, module: PowerModule, meter: Meter, now_ms: int) -> list[str]:
    """The records of a view, in the order of its keys."""
    records = (
        (View.BMS, bms_record(bms, now_ms)),
        (View.POWER_MODULE, power_module_record(module, now_ms)),
        (View.OUTPUT, output_record(module, now_ms)),
        (View.TERMINAL, terminal_record(module, meter, now_ms)),
    )
    return [record for key, record in records if view in (key, View.ALL)]


def boot_event(info: BootInfo) -> str:
    """Who started, and why: what a factory looks for."""
    return (
        f"[event] boot version={_word(info.version)} build={_word(info.build)}"
        f" charge_point={_word(info.charge_point)} reset={_word(info.reset)}"
    )
