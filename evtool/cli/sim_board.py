# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim board`: virtual boards with a chip of the ESP32 family."""

from __future__ import annotations

from pathlib import Path

import click

from evtool.cli.output import EXIT_CODES, Output, json_option

_CHIPS = ("esp32", "esp32s3", "esp32c3")
_FLASH_SIZES = ("1MB", "2MB", "4MB", "8MB", "16MB", "32MB")
_MAX_COUNT = 500


@click.command(epilog=EXIT_CODES)
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".evtool/board"),
    show_default=True,
    help="Where the board keeps its flash, fuses and MAC; made if missing. Holds secrets.",
)
@click.option("--mac", metavar="MAC", help="Give the board this MAC address from now on.")
@click.option(
    "--chip",
    type=click.Choice(_CHIPS),
    default="esp32",
    show_default=True,
    help="The chip. Each chip that a board had keeps its own fuses.",
)
@click.option(
    "--flash-size",
    type=click.Choice(_FLASH_SIZES),
    default="4MB",
    show_default=True,
    help="The flash chip's size.",
)
@click.option(
    "--external-flash",
    type=click.Choice(_FLASH_SIZES),
    help="A second flash chip, at whatever pins the host names.",
)
@click.option(
    "--count",
    type=click.IntRange(1, _MAX_COUNT),
    default=1,
    show_default=True,
    metavar="N",
    help="So many boards in one process, each in a folder of its own below --state-dir.",
)
@click.option(
    "--transport",
    type=click.Choice(["pty", "socket", "rfc2217"]),
    default="pty",
    show_default=True,
    help="What the serial port is: a pseudo-terminal, a TCP port with plain bytes, or one "
    "with RFC 2217, which carries DTR, RTS and the rate.",
)
@click.option(
    "--listen",
    default="127.0.0.1:0",
    show_default=True,
    metavar="HOST:PORT",
    help="Where a TCP port listens; port 0 is any free one, and of several boards each has "
    "the next.",
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
    help="Make a symbolic link to the pseudo-terminal; removed at the end. Of several boards "
    "each has its number behind it.",
)
@click.option(
    "--real-time",
    is_flag=True,
    help="Bytes take their time at the baud rate, the flash to erase and to program.",
)
@click.option(
    "--do",
    "at_start",
    multiple=True,
    metavar="COMMAND",
    help="A command as on stdin, carried out before the board is ready; more than one may be "
    "given.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Of the faults on the line: the same seed, the same luck.",
)
@click.option(
    "--fuse-reset-port",
    is_flag=True,
    help="A second pseudo-terminal whose DTR and RTS together blank the fuses, as an FPGA has.",
)
@json_option
def command(  # noqa: PLR0913, PLR0917 - an argument an option
    state_dir: Path,
    mac: str | None,
    chip: str,
    flash_size: str,
    external_flash: str | None,
    count: int,
    transport: str,
    listen: str,
    can_interface: str,
    can_channels: tuple[str, ...],
    link: Path | None,
    real_time: bool,
    at_start: tuple[str, ...],
    seed: int,
    fuse_reset_port: bool,
    as_json: bool,
) -> None:
    """Boards that real esptool flashes, and that run what was flashed.

    The serial port is a pseudo-terminal, or a TCP port: use it with esptool, espefuse, `evtool
    flash`, `evtool monitor` or any terminal program. An application built with `evtool build
    --env host` runs as it does on the chip, with its console on the serial port.

    A pseudo-terminal has no reset line: the first SYNC of a flashing program resets the chip
    into its loader, and when the port is closed the chip restarts and boots. A program that
    `evtool sim lines` starts has DTR and RTS; so has every program with --transport rfc2217.

    Commands on stdin: reset, power_cycle, power_off, power_on, unplug, plug, panic, watchdog,
    brownout, mark_valid, mark_invalid, flip OFFSET BIT, dead_sector OFFSET, cut_after BYTES,
    blank_fuses, lose CHANCE, spoil CHANCE, late CHANCE MS, latency MS, mute, unmute, help,
    status, quit. A number before a command picks a board of several.
    """
    import asyncio

    from evtool.cli.board_rack import BoardRack
    from evtool.cli.board_unit import UnitSettings
    from evtool.cli.sim_input import parse_listen, serve_commands
    from evtool.link.flash_file import parse_mac

    output = Output(as_json)
    settings = UnitSettings(
        state_dir=state_dir,
        chip=chip,
        flash_size=_bytes(flash_size),
        external_size=_bytes(external_flash) if external_flash is not None else 0,
        mac=parse_mac(mac) if mac else None,
        transport=transport,
        listen=parse_listen(listen),
        link=link,
        can_interface=can_interface,
        can_channels=can_channels,
        fuse_reset=fuse_reset_port,
        seed=seed,
    )

    async def serve() -> None:
        rack = BoardRack(output, real_time=real_time)
        try:
            rack.open(settings, count, at_start)
            # After serve_commands has taken over SIGTERM: whoever reads `ready` may send it.
            asyncio.get_running_loop().call_soon(rack.start)
            await serve_commands(rack.handle)
        finally:
            await rack.close()

    asyncio.run(serve())


def _bytes(size: str) -> int:
    return int(size.removesuffix("MB")) << 20
