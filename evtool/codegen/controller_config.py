# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the controller's configuration: limits, scales, pack variant, buses."""

from __future__ import annotations

from dataclasses import asdict

from evtool.codegen.template import render
from evtool.project import Can, Limits

# The words of evtool.toml as evcore's enumerators.
_CURRENT_SCALES = {"1/1024": "per_1024", "1/10": "per_10"}
_TEMPERATURE_SCALES = {"milli": "milli", "deci": "deci"}
_CAPACITY_SOURCES = {
    "remaining": "remaining",
    "charged_minus_discharged": "charged_minus_discharged",
}


def render_controller_config(can: Can, limits: Limits) -> str:
    """`controller_config.hpp`; holds no secret."""
    values: dict[str, object] = asdict(can) | asdict(limits)
    values["capacity_source"] = _CAPACITY_SOURCES[can.capacity_source]
    values["module_current_scale"] = _CURRENT_SCALES[can.module_current_scale]
    values["module_temperature_scale"] = _TEMPERATURE_SCALES[can.module_temperature_scale]
    return render("controller_config.hpp.j2", **values)
