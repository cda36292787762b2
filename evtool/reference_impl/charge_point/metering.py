# SPDX-License-Identifier: GPL-3.0-or-later
"""Sampled values: texts with a unit each, energy in whole Wh, the rest with two decimals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.values import Inputs

MEASURANDS: Mapping[str, tuple[str, Callable[[Inputs], str | None]]] = MappingProxyType(
    {
        "Energy.Active.Import.Register": ("Wh", lambda inputs: str(inputs.energy_mwh // 1000)),
        "Power.Active.Import": ("W", lambda inputs: _decimals(inputs.power_mw)),
        "Voltage": ("V", lambda inputs: _decimals(inputs.measured_mv)),
        "Current.Import": ("A", lambda inputs: _decimals(inputs.measured_ma)),
        "Current.Offered": ("A", lambda inputs: _decimals(inputs.offered_ma)),
        "Temperature": ("Celsius", lambda inputs: _decimals(inputs.temperature_mdegc)),
        "SoC": ("Percent", lambda inputs: _decimals(inputs.soc_permille, per_unit=10)),
    }
)


def sampled_values(inputs: Inputs, measurands: Iterable[str], context: str) -> list[dict[str, str]]:
    """The sampledValue list; what is unknown at the moment is left out, not sent as zero."""
    values = []
    for measurand in measurands:
        unit, read = MEASURANDS[measurand]
        value = read(inputs)
        if value is not None:
            values.append(
                {"value": value, "context": context, "measurand": measurand, "unit": unit}
            )
    return values


def register_wh(inputs: Inputs) -> int:
    """The register in whole Wh, rounded down, so that it never runs ahead."""
    return inputs.energy_mwh // 1000


def stop_data(records: list[tuple[int, list[dict[str, str]]]]) -> list[ocpp16.Payload]:
    """The transactionData of StopTransaction from (unix_ms, sampled values) records."""
    return [
        {"timestamp": ocpp16.render_timestamp(unix_ms), "sampledValue": values}
        for unix_ms, values in records
    ]


def _decimals(value: int | None, per_unit: int = 1000) -> str | None:
    """Two decimals of a value in 1/`per_unit`, rounded half away from zero."""
    if value is None:
        return None
    hundredths = (abs(value) * 200 + per_unit) // (2 * per_unit)
    sign = "-" if value < 0 and hundredths else ""
    return f"{sign}{hundredths // 100}.{hundredths % 100:02d}"
