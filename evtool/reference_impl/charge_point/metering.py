# SPDX-License-Identifier: GPL-3.0-or-later
"""Sampled values: texts with a unit each, energy in whole Wh, the rest with two decimals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from evtool.reference_impl.charge_point.values import Inputs
from evtool.reference_impl.numbers import fixed_text


def _offered_mw(inputs: Inputs) -> int | None:
    if inputs.offered_ma is None or inputs.measured_mv is None:
        return None
    return inputs.offered_ma * inputs.measured_mv // 1000


# name: unit, location, value in milli-units (energy aside)
MEASURANDS: Mapping[str, tuple[str, str | None, Callable[[Inputs], int | None]]] = MappingProxyType(
    {
        "Energy.Active.Import.Register": ("Wh", None, lambda inputs: inputs.energy_mwh),
        "Power.Active.Import": ("W", None, lambda inputs: inputs.power_mw),
        "Voltage": ("V", None, lambda inputs: inputs.measured_mv),
        "Current.Import": ("A", None, lambda inputs: inputs.measured_ma),
        "Current.Offered": ("A", None, lambda inputs: inputs.offered_ma),
        "Power.Offered": ("W", None, _offered_mw),
        "Temperature": ("Celsius", "Body", lambda inputs: inputs.temperature_mdegc),
        "SoC": ("Percent", "EV", lambda inputs: _milli_percent(inputs.soc_permille)),
    }
)


def sampled_values(inputs: Inputs, measurands: Iterable[str], context: str) -> list[dict[str, str]]:
    """The sampledValue list; what is unknown at the moment is left out, not sent as zero."""
    values = []
    for measurand in measurands:
        unit, location, read = MEASURANDS[measurand]
        milli = read(inputs)
        if milli is None:
            continue
        text = str(register_wh(inputs)) if unit == "Wh" else fixed_text(milli, 2)
        value = {"value": text, "context": context, "measurand": measurand, "unit": unit}
        values.append(value | ({"location": location} if location else {}))
    return values


def register_wh(inputs: Inputs) -> int:
    """The register in whole Wh, rounded down, so that it never runs ahead."""
    return inputs.energy_mwh // 1000


def _milli_percent(permille: int | None) -> int | None:
    return None if permille is None else permille * 100
