# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module is told to give: what the vehicle asks for, within what is allowed."""

from __future__ import annotations

from evtool.reference_impl.bms import Request
from evtool.reference_impl.controller_types import Config, OcppWord


def wanted_setpoint(
    config: Config, request: Request | None, word: OcppWord | None
) -> tuple[int, int]:
    """Voltage in mV and current in mA; zero without a request."""
    if request is None:
        return 0, 0
    return (
        min(request.voltage_mv, config.max_voltage_mv),
        min(request.current_ma, current_cap_ma(config, word)),
    )


def current_cap_ma(config: Config, word: OcppWord | None) -> int:
    """The most that may flow, in mA: the configured maximum or the smart-charging limit."""
    cap_ma = config.max_current_ma
    limit_ma = None if word is None else word.limit_ma
    return cap_ma if limit_ma is None else min(cap_ma, limit_ma)
