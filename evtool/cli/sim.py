# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim`: virtual hardware, one command per device."""

from __future__ import annotations

import click

from evtool.cli.group import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "bus": ("evtool.cli.sim_bus", "CAN buses over loopback TCP (socketcand protocol)."),
    "board": ("evtool.cli.sim_board", "An ESP32 that esptool flashes and that runs the image."),
    "lines": ("evtool.cli.sim_lines", "A program with DTR and RTS at a virtual board."),
    "vehicle": ("evtool.cli.sim_vehicle", "A vehicle's BMS and a power module on a CAN bus."),
    "charge-point": (
        "evtool.cli.sim_charge_point",
        "A charge point, in Python or the firmware with MicroOcpp; or thousands.",
    ),
    "csms": ("evtool.cli.sim_csms", "A central system: OCPP 1.6J over WebSocket."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def command() -> None:
    """Virtual hardware: the board, the vehicle and power module, the bus, the CSMS.

    Each runs until `quit` on its stdin, Ctrl-C or SIGTERM, and listens on loopback only
    unless told otherwise. With `--json`, the first line says {"event": "ready", ...}.
    """
