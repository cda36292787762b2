# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known at one instant: looked up once for everything that is decided in it."""

from __future__ import annotations

from typing import NamedTuple

from evtool.reference_impl.bms import Bms, Request
from evtool.reference_impl.controller_types import OcppWord
from evtool.reference_impl.permission import Permission
from evtool.reference_impl.power_module import PowerModule


class Known(NamedTuple):
    """None is unknown or stale; a request in force is the vehicle that is plugged in."""

    request: Request | None
    word: OcppWord | None
    module_alive: bool
    module_on: bool | None
    measured_mv: int | None
    measured_ma: int | None
    temperature_mdegc: int | None


def look(bms: Bms, module: PowerModule, permission: Permission, now_ms: int) -> Known:
    """What these know at `now_ms`."""
    return Known(
        bms.request(now_ms),
        permission.current(now_ms),
        module.alive(now_ms),
        module.on(now_ms),
        module.measured_mv(now_ms),
        module.measured_ma(now_ms),
        module.temperature_mdegc(now_ms),
    )
