# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim board`: a virtual ESP32 board on a pseudo-terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from evtool.cli.board_host import BoardHost
    from evtool.link.board_can import BoardCan
    from evtool.link.can_bus import CanBus
    from evtool.link.flash_file import FlashFile
    from evtool.link.pty_line import PtyLine
    from evtool.virtual.flash_chip import FlashChip

_PASSED_ON = ("EVTOOL_OCPP_LOG", "ASAN_OPTIONS", "UBSAN_OPTIONS")
_COMMANDS = "reset, power_cycle, flip OFFSET BIT, status, quit"
_FLASH_SIZES = ("1MB", "2MB", "4MB", "8MB", "16MB")


@click.command(epilog=EXIT_CODES)
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".evtool/board"),
    show_default=True,
    help="Where the board keeps its flash and MAC; made if missing. Holds secrets.",
)
@click.option("--mac", metavar="MAC", help="Give the board this MAC address from now on.")
@click.option(
    "--flash-size",
    type=click.Choice(_FLASH_SIZES),
    default="4MB",
    show_default=True,
    help="The flash chip's size.",
)
@click.option(
    "--can-interface",
    default="socketcand",
    show_default=True,
    metavar="NAME",
    help="Any interface of python-can.",
)
@click.option(
    "--can-channel",
    "can_channels",
    multiple=True,
    metavar="CHANNEL",
    help="The bus at the board's CAN controller (HOST:PORT/NAME for socketcand); a second "
    "one is bus 1. Without it nothing is connected.",
)
@click.option(
    "--link",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Make a symbolic link to the serial port; removed at the end.",
)
@json_option
def command(
    state_dir: Path,
    mac: str | None,
    flash_size: str,
    can_interface: str,
    can_channels: tuple[str, ...],
    link: Path | None,
    as_json: bool,
) -> None:
    """An ESP32 board that real esptool flashes, and that runs what was flashed.

    Its serial port is a pseudo-terminal: use it with esptool, `evtool flash`, `evtool
    monitor` or any terminal program. An application built with `evtool build --env host`
    runs as it does on the chip, with its console on the serial port.

    A pseudo-terminal has no reset line. Instead the first SYNC of a flashing program resets
    the chip into its loader, and when the port is closed the chip restarts and boots.

    \b
    Commands on stdin:  reset             press the reset button
                        power_cycle       take the power away and give it back
                        flip OFFSET BIT   invert one bit of the flash (0x10020 3)
                        status            what runs, and the firmware's own state
                        quit              stop
    """
    import asyncio

    from evtool.link.flash_file import FlashFile, parse_mac
    from evtool.link.pty_line import PtyLine
    from evtool.link.symlink import temporary_link

    output = Output(as_json)
    size = int(flash_size[:-2]) << 20
    flash = FlashFile(state_dir, size, parse_mac(mac) if mac else None)
    try:
        line = PtyLine()
        try:
            with temporary_link(link, Path(line.serial_port)):
                asyncio.run(_serve(flash, line, link, (can_interface, can_channels), output))
        finally:
            line.close()
    finally:
        flash.close()


async def _serve(
    flash_file: FlashFile,
    line: PtyLine,
    link: Path | None,
    can: tuple[str, tuple[str, ...]],
    output: Output,
) -> None:
    import asyncio
    import secrets

    from evtool.cli.board_host import BoardHost
    from evtool.cli.board_ocpp import BoardOcpp
    from evtool.cli.sim_input import serve_commands
    from evtool.virtual.board import Board
    from evtool.virtual.flash_chip import FlashChip

    chip = FlashChip(flash_file.storage)
    host = BoardHost(
        Board(chip, flash_file.mac, secrets.token_bytes),
        line,
        _reporter(output),
        lambda storage: _environment(flash_file.files_folder(storage)),
    )
    for controller in _can_controllers(*can, output):
        host.attach(controller)
    host.attach(BoardOcpp(flash_file.files_folder, _reporter(output), restart=host.restart_app))

    def announce() -> None:
        output.event(
            "ready",
            serial_port=line.serial_port,
            link=str(link) if link is not None else None,
            mac=flash_file.mac.hex(":"),
        )
        output.say(f"board ready: serial port {link or line.serial_port}")
        host.start()

    async def handle(name: str, rest: str) -> None:
        words = rest.split()
        problem = _obey(host, chip, name, words, output)
        if problem is not None:
            output.event("refused", command=" ".join([name, *words]), reason=problem)
            output.say(f"{name}: {problem}")

    # After serve_commands has taken over SIGTERM: whoever reads `ready` may send it.
    asyncio.get_running_loop().call_soon(announce)
    try:
        await serve_commands(handle)
    finally:
        await host.close()


def _environment(files_folder: Path | None) -> dict[str, str]:
    """The firmware's environment: where its files are; whether MicroOcpp is to log."""
    import os

    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed | ({"EVTOOL_STORAGE": str(files_folder)} if files_folder is not None else {})


def _obey(
    host: BoardHost, chip: FlashChip, name: str, words: list[str], output: Output
) -> str | None:
    """Carry out one command of stdin; what is wrong with it, or None."""
    match name, words:
        case "reset", []:
            host.reset()
        case "power_cycle", []:
            host.power_cycle()
        case "flip", [offset, bit]:
            try:
                chip.flip(int(offset, 0), int(bit, 0))
            except ValueError as error:
                return str(error)
            output.event("flipped", offset=int(offset, 0), bit=int(bit, 0))
            output.say(f"flipped bit {bit} at {offset}")
        case "status", []:
            status = host.board.status() | {"state": host.state}
            output.event("status", **status)
            output.say("\n".join(f"  {key}: {_plain(value)}" for key, value in status.items()))
        case _:
            return f"the commands are: {_COMMANDS}"
    return None


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={each}" for key, each in value.items()) or "-"
    return str(value)


def _can_controllers(
    can_interface: str, can_channels: tuple[str, ...], output: Output
) -> list[BoardCan]:
    from evtool.link.board_can import BoardCan
    from evtool.link.can_bus import open_can_bus

    def on_change(number: int, state: str, reason: str | None) -> None:
        if told.get(number) != (state, reason):
            told[number] = state, reason
            output.event("can", bus=number, state=state, reason=reason)
            output.say(f"CAN bus {number}: {state}" + (f" ({reason})" if reason else ""))

    def opener(channel: str) -> Callable[[], CanBus]:
        return lambda: open_can_bus(can_interface, channel)

    told: dict[int, tuple[str, str | None]] = {}
    openers: list[Callable[[], CanBus] | None] = [opener(each) for each in can_channels]
    return [BoardCan(number, each, on_change) for number, each in enumerate(openers or [None])]


def _reporter(output: Output) -> Callable[[str, dict[str, object]], None]:
    def report(event: str, fields: dict[str, object]) -> None:
        output.event(event, **fields)
        words = " ".join(f"{key}={value}" for key, value in fields.items())
        output.say(f"{event}: {words}")

    return report
