# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim vehicle`: a vehicle's BMS and a power module on a CAN bus, in real time."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from evtool.cli.options import can_options
from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from queue import SimpleQueue

    from evtool.link.can_bus import CanBus
    from evtool.virtual.bench import Bench

_TICK_S = 0.02


@click.command(epilog=EXIT_CODES)
@can_options
@click.option(
    "--bms-can-channel",
    metavar="CHANNEL",
    help="The BMS's own bus, where it is not on the power module's.",
)
@click.option("--bitrate", default=250_000, show_default=True, help="Bit rate of the bus.")
@click.option("--plugged", is_flag=True, help="Start with the vehicle plugged in.")
@click.option(
    "--soc",
    type=click.IntRange(0, 100),
    default=55,
    show_default=True,
    help="State of charge at the start, in percent.",
)
@click.option(
    "--pack",
    type=click.Choice(["remaining", "charged_minus_discharged"]),
    default="remaining",
    show_default=True,
    help="How the pack tells its charge (capacity_source in evtool.toml).",
)
@click.option(
    "--module-current-scale",
    type=click.Choice(["1/1024", "1/10"]),
    default="1/1024",
    show_default=True,
    help="Unit of the module's output current, in A.",
)
@click.option(
    "--module-temperature-scale",
    type=click.Choice(["milli", "deci"]),
    default="milli",
    show_default=True,
    help="Unit of the module's temperature: 0.001 or 0.1 degrees.",
)
@json_option
def command(  # noqa: PLR0913, PLR0917 - one argument per option, passed by name
    can_interface: str,
    can_channel: str | None,
    bms_can_channel: str | None,
    bitrate: int,
    plugged: bool,
    soc: int,
    pack: str,
    module_current_scale: str,
    module_temperature_scale: str,
    as_json: bool,
) -> None:
    """Run a vehicle's BMS and a power module on a CAN bus.

    \b
    Commands on stdin:
      plug_in, plug_out                   the plug
      switch on|off                       the vehicle allows charging or not
      bms silent|normal                   the BMS stops sending
      module silent|normal|hot|disobey    the power module's behaviour
      status                              what a person at the bench would see
      quit                                stop
    """
    from contextlib import ExitStack, closing

    from evtool.link.can_bus import open_can_bus
    from evtool.link.clock import monotonic_ms
    from evtool.virtual.bench import Bench
    from evtool.virtual.power_module import PowerModule, PowerModuleSettings
    from evtool.virtual.vehicle import Pack, Vehicle, VehicleSettings

    output = Output(as_json)
    vehicle = Vehicle(VehicleSettings(pack=Pack(pack)), soc * 10)
    vehicle.plugged = plugged
    module = PowerModule(
        PowerModuleSettings(
            current_scale="1/10" if module_current_scale == "1/10" else "1/1024",
            temperature_scale="deci" if module_temperature_scale == "deci" else "milli",
        )
    )
    with ExitStack() as stack:
        channels = [can_channel] + ([bms_can_channel] if bms_can_channel else [])
        buses = [
            stack.enter_context(closing(open_can_bus(can_interface, channel, bitrate)))
            for channel in channels
        ]
        bench = Bench(vehicle, module, bms_bus=len(buses) - 1, now_ms=monotonic_ms())
        _run(bench, buses, output)


def _run(bench: Bench, buses: Sequence[CanBus], output: Output) -> None:
    from queue import SimpleQueue

    from evtool.cli.sim_input import read_lines
    from evtool.link.clock import monotonic_ms

    lines: SimpleQueue[str] = SimpleQueue()
    signal.signal(signal.SIGTERM, lambda *_: lines.put("quit"))
    read_lines(lines.put)
    output.event("ready", plugged=bench.vehicle.plugged, buses=len(buses))
    output.say(
        "vehicle and power module ready; type plug_in, plug_out, switch on|off, "
        "bms silent|normal, module silent|normal|hot|disobey, status or quit"
    )
    while _obey(bench, lines, output):
        for bus, frame in bench.tick(monotonic_ms()):
            buses[bus].send(frame)
        for bus in _readable(buses):
            while (heard := buses[bus].receive(0)) is not None:
                for answer_bus, answer in bench.on_frame(bus, heard, monotonic_ms()):
                    buses[answer_bus].send(answer)


def _obey(bench: Bench, lines: SimpleQueue[str], output: Output) -> bool:
    """Carry out what stdin has said so far; False once it said `quit`."""
    from evtool.virtual.bench import COMMANDS

    while not lines.empty():
        line = lines.get()
        if line == "quit":
            return False
        if line == "status":
            status = bench.status()
            output.event("status", **status)
            output.say("  ".join(f"{name}={_shown(value)}" for name, value in status.items()))
        elif bench.command(line):
            output.event("done", command=line)
            output.say(f"done: {line}")
        elif line:
            reason = "the commands are: " + ", ".join(COMMANDS)
            output.event("refused", command=line, reason=reason)
            output.say(f"{line}: {reason}")
    return True


def _readable(buses: Sequence[CanBus]) -> list[int]:
    """Wait for one tick at most; the numbers of the buses that may have something to read."""
    import select
    import time

    if any(bus.fileno() < 0 for bus in buses):
        # python-can interfaces without a descriptor: look at all of them at every tick
        time.sleep(_TICK_S)
        return list(range(len(buses)))
    numbers = {bus.fileno(): number for number, bus in enumerate(buses)}
    ready, _, _ = select.select(list(numbers), [], [], _TICK_S)
    return [numbers[descriptor] for descriptor in ready]


def _shown(value: object) -> object:
    return "-" if value is None else value
