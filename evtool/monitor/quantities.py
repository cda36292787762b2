# SPDX-License-Identifier: GPL-3.0-or-later
"""The quantities of the console's records: name, label, unit, and how a value is written.

A quantity is named `record.key`, as the board prints it: `terminal.v` is the value behind `v=` in
`[terminal]`. Inside evtool its value is an integer with the unit in the field's name
(`voltage_mv`); people read it with the unit and the decimals that stand here.
"""

from __future__ import annotations

from dataclasses import dataclass

from evtool.protocol.console import FIELDS, Value

NO_VALUE = "-"

TITLES: dict[str, str] = {
    "bms": "Vehicle (BMS)",
    "power_module": "Power module",
    "output": "Output and temperature",
    "terminal": "Terminal and energy",
}

LABELS: dict[str, dict[str, str]] = {
    "bms": {
        "voltage_mv": "Requested voltage",
        "current_ma": "Requested current",
        "switch": "Vehicle's switch",
        "mode": "Mode",
        "soc_permille": "State of charge",
        "raw": "Raw frame",
    },
    "power_module": {
        "state": "State",
        "setpoint_mv": "Voltage setpoint",
        "setpoint_ma": "Current setpoint",
        "heartbeat": "Heartbeat",
        "raw": "Raw frame",
    },
    "output": {
        "voltage_mv": "Output voltage",
        "current_ma": "Output current",
        "temperature_mdegc": "Temperature",
        "m79": "Metric 0x79",
        "m83_milli": "Metric 0x83",
    },
    "terminal": {
        "voltage_mv": "Terminal voltage",
        "current_ma": "Terminal current",
        "power_mw": "Power",
        "status": "Status",
        "energy_mwh": "Energy register",
        "session_mwh": "Session energy",
    },
}

# ending of a field's name: (divisor, decimals, unit to show)
_SHOWN: dict[str, tuple[int, int, str]] = {
    "mv": (1000, 2, "V"),
    "ma": (1000, 2, "A"),
    "mw": (1_000_000, 3, "kW"),
    "mwh": (1_000_000, 3, "kWh"),
    "mdegc": (1000, 1, "°C"),
    "permille": (10, 1, "%"),
    "ms": (1, 0, "ms"),
    "milli": (1000, 3, ""),
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number that a record carries.

    Attributes:
        name: `terminal.v`.
        record: `terminal`.
        key: as it stands on the wire, `v`.
        field: as it stands in `Record.fields`, `voltage_mv`.
        label: what people call it.
        unit: what people read; "" for a bare number.
        divisor: how many of the field's units make one of those.
        decimals: how many are worth showing.
    """

    name: str
    record: str
    key: str
    field: str
    label: str
    unit: str
    divisor: int
    decimals: int

    def shown(self, value: int) -> str:
        """The number alone: 72000 is `72.00`."""
        return f"{value / self.divisor:.{self.decimals}f}"


def _quantity(record: str, key: str, field: str) -> Quantity:
    divisor, decimals, unit = _SHOWN.get(field.rpartition("_")[2], (1, 0, ""))
    label = LABELS[record].get(field, "Age")
    return Quantity(f"{record}.{key}", record, key, field, label, unit, divisor, decimals)


QUANTITIES: dict[str, Quantity] = {
    f"{record}.{key}": _quantity(record, key, field)
    for record, fields in FIELDS.items()
    for key, (field, number) in fields.items()
    if number is not None
}
"""Every number of every record by its name, in the order of the firmware's views."""

BY_FIELD: dict[tuple[str, str], Quantity] = {
    (each.record, each.field): each for each in QUANTITIES.values()
}
"""The same by record and field."""


def format_value(field: str, value: Value) -> tuple[str, str]:
    """A value and its unit as people read them: (`72.00`, `V`)."""
    if value is None:
        return NO_VALUE, ""
    shown = _SHOWN.get(field.rpartition("_")[2])
    if isinstance(value, str) or shown is None:
        return str(value).replace("_", " ") if field != "raw" else str(value), ""
    divisor, decimals, unit = shown
    return f"{value / divisor:.{decimals}f}", unit
