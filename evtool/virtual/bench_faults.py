# SPDX-License-Identifier: GPL-3.0-or-later
"""How an OCPP error code comes about at a bench: by the hardware where the controller can find it.

The codes and their rules are those of docs/controller.md, Faults.
"""

from __future__ import annotations

from evtool.virtual.bench import Bench
from evtool.virtual.power_module import Behaviour, Shown

TOO_HIGH_MV = 120_000
TOO_MUCH_MA = 400_000
LEAK_MA = 5_000


def provoke(bench: Bench, code: str) -> str | None:
    """Make the bench give cause for `code`.

    Returns the line for the program that is needed beside it (docs/host-program.md), or None:
    `bus 0 bus_off` for InternalError, `error <code>` for what this hardware cannot find.
    """
    match code:
        case "HighTemperature":
            bench.module.behaviour = Behaviour.HOT
        case "OverVoltage":
            bench.module.shows = Shown(voltage_mv=TOO_HIGH_MV)
        case "OverCurrentFailure":
            bench.module.shows = Shown(current_ma=TOO_MUCH_MA)
        case "PowerSwitchFailure":
            bench.module.shows = Shown(current_ma=LEAK_MA)
        case "EVCommunicationError":
            bench.vehicle.silent = True
        case "InternalError":
            return "bus 0 bus_off"
        case _:
            return f"error {code}"
    return None


def clear(bench: Bench) -> list[str]:
    """Take every cause away; returns the lines for the program.

    What the controller latches stays until the vehicle is unplugged.
    """
    bench.module.behaviour = Behaviour.NORMAL
    bench.module.shows = Shown()
    bench.vehicle.silent = False
    return ["bus 0 running", "error -"]
