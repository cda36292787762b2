# SPDX-License-Identifier: GPL-3.0-or-later
"""One virtual board of `evtool sim board`: its folder, its port, its host."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from evtool.cli.board_host import BoardHost
from evtool.cli.board_ocpp import BoardOcpp
from evtool.link.board_can import BoardCan
from evtool.link.can_bus import CanBus, open_can_bus
from evtool.link.flash_file import FlashFile
from evtool.link.line_news import Line
from evtool.link.pty_line import PtyLine
from evtool.link.pty_lines import PtyLines, lines_folder
from evtool.link.socket_line import SocketLine
from evtool.link.symlink import reserved_link, temporary_link
from evtool.virtual.board import Board
from evtool.virtual.chips import CHIPS
from evtool.virtual.flash_chip import FlashChip
from evtool.virtual.fuses import Fuses, factory_bits

_PASSED_ON = ("EVTOOL_OCPP_LOG", "ASAN_OPTIONS", "UBSAN_OPTIONS")

Tell = Callable[[str, dict[str, object]], None]


@dataclass(frozen=True, slots=True)
class UnitSettings:
    """What a board is made of.

    Attributes:
        state_dir: its folder.
        chip: which chip (`CHIPS`).
        flash_size, external_size: bytes; external 0: there is none.
        mac: its MAC address from now on; None: what it has.
        transport: `pty`, `socket` or `rfc2217`.
        listen: host and port of a socket; port 0 is any.
        link: a symbolic link to a pseudo-terminal.
        fuse_reset: a second pseudo-terminal whose lines blank the fuses.
        seed: of the line's faults.
    """

    state_dir: Path
    chip: str = "esp32"
    flash_size: int = 4 << 20
    external_size: int = 0
    mac: bytes | None = None
    transport: str = "pty"
    listen: tuple[str, int] = ("127.0.0.1", 0)
    link: Path | None = None
    can_interface: str = "socketcand"
    can_channels: tuple[str, ...] = ()
    fuse_reset: bool = False
    seed: int = 0


class BoardUnit:
    """A board that runs; `close` it.

    Args:
        settings: what it is made of.
        tell: called with events and their fields.

    Raises:
        EvtoolError: its folder or its port cannot be had.
    """

    def __init__(self, settings: UnitSettings, tell: Tell) -> None:
        self._settings = settings
        self._tell = tell
        self._line: Line | None = None
        self._plug = ExitStack()
        self._things = ExitStack()
        try:
            self._open()
        except BaseException:
            self._plug.close()
            self._things.close()
            raise

    def _open(self) -> None:
        settings = self._settings
        folder = FlashFile(settings.state_dir, settings.flash_size, settings.mac)
        self._things.callback(folder.close)
        if settings.link is not None:
            self._things.enter_context(reserved_link(settings.link, lines_folder(os.environ)))
        chip = CHIPS[settings.chip]
        bits = folder.fuses(chip.name, factory_bits(chip, folder.mac))
        self.fuses = Fuses(chip, bits, lambda raw: folder.write_fuses(chip.name, raw))
        external: FlashChip | None = None
        if settings.external_size:
            second = folder.external_flash(settings.external_size)
            self._things.callback(second.close)
            external = FlashChip(second.storage)
        self.flash = FlashChip(folder.storage)
        self.mac = folder.mac
        line, helper = self._open_line()
        board = Board(
            self.flash, folder.mac, secrets.token_bytes, fuses=self.fuses, external=external
        )
        self.host = BoardHost(
            board,
            line,
            self._tell,
            lambda storage: _environment(folder.files_folder(storage)),
            helper=helper,
            seed=settings.seed,
        )
        for controller in self._can_controllers():
            self.host.attach(controller)
        self.host.attach(BoardOcpp(folder.files_folder, self._tell, restart=self.host.restart_app))
        self._fuse_reset: tuple[PtyLine, PtyLines] | None = None
        if settings.fuse_reset:
            port = PtyLine()
            self._things.callback(port.close)
            wires = PtyLines(lines_folder(os.environ), port.serial_port)
            self._things.callback(wires.close)
            self._fuse_reset = (port, wires)

    @property
    def serial_port(self) -> str | None:
        """What programs open; None while the cable is out."""
        return self._line.serial_port if self._line is not None else None

    def ready_fields(self) -> dict[str, object]:
        """What whoever started the board wants to know."""
        settings = self._settings
        fields: dict[str, object] = {
            "serial_port": self.serial_port,
            "link": str(settings.link) if settings.link is not None else None,
            "mac": self.mac.hex(":"),
            "chip": settings.chip,
        }
        if self._fuse_reset is not None:
            fields["fuse_reset_port"] = self._fuse_reset[0].serial_port
        return fields

    def start(self) -> None:
        """Plug in the power."""
        if self._fuse_reset is not None:
            self.host.watch_fuse_reset(self._fuse_reset[1], self._blank_fuses)
        self.host.start()

    def unplug(self) -> bool:
        """Pull the cable; whether it was in."""
        if self._line is None:
            return False
        self.host.unplug()
        self._line = None
        self._plug.close()
        return True

    def plug(self) -> bool:
        """Put the cable in; whether it was out.

        Raises:
            EvtoolError: no port can be had.
        """
        if self._line is not None:
            return False
        self.host.plug(*self._open_line())
        return True

    async def close(self) -> None:
        """Pull the power and let go of everything."""
        await self.host.close()
        self._plug.close()
        self._things.close()

    def _blank_fuses(self) -> None:
        self.fuses.blank()
        self.host.power_cycle()

    def _open_line(self) -> tuple[Line, PtyLines | None]:
        settings = self._settings
        if settings.transport != "pty":
            line: Line = SocketLine(*settings.listen, with_lines=settings.transport == "rfc2217")
            self._plug.callback(line.close)
            self._line = line
            return line, None
        terminal = PtyLine()
        self._plug.callback(terminal.close)
        helper = PtyLines(lines_folder(os.environ), terminal.serial_port)
        self._plug.callback(helper.close)
        self._plug.enter_context(temporary_link(settings.link, Path(terminal.serial_port)))
        self._line = terminal
        return terminal, helper

    def _can_controllers(self) -> list[BoardCan]:
        interface = self._settings.can_interface

        def on_change(number: int, state: str, reason: str | None) -> None:
            if told.get(number) != (state, reason):
                told[number] = state, reason
                self._tell("can", {"bus": number, "state": state, "reason": reason})

        def opener(channel: str) -> Callable[[], CanBus]:
            return lambda: open_can_bus(interface, channel)

        told: dict[int, tuple[str, str | None]] = {}
        openers: list[Callable[[], CanBus] | None] = [
            opener(each) for each in self._settings.can_channels
        ]
        return [BoardCan(number, each, on_change) for number, each in enumerate(openers or [None])]


def _environment(files_folder: Path | None) -> dict[str, str]:
    """The firmware's environment: where its files are; whether MicroOcpp is to log."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed | ({"EVTOOL_STORAGE": str(files_folder)} if files_folder is not None else {})
