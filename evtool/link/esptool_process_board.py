# SPDX-License-Identifier: GPL-3.0-or-later
"""One board, flashed by esptool as a program of its own: slower, and safe from its internals.

What a rack falls back to where this esptool's own code cannot be used, or when it is asked for.
Nothing is asked about single sectors: a question is a whole run of esptool. The fuses are read by a
run of espefuse. A `Board` of `evtool.flash.station`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from evtool.errors import DeviceError
from evtool.link.boot_console import PortConsole, restarted_console
from evtool.link.command import CommandRunner
from evtool.link.esptool import Esptool
from evtool.link.esptool_faults import FlashDiffers, SecureDownloadMode
from evtool.link.passing_fault import passing_faults, patiently
from evtool.protocol.board_flash import (
    SECURE_DOWNLOAD,
    BoardFacts,
    ChipInfo,
    FlashPart,
    WriteProgress,
)


class EsptoolProcessBoard:
    """The board at one port; arguments as those of `EsptoolBoard`."""

    fine = False

    def __init__(
        self,
        port: str,
        *,
        chip: str,
        was_there: bool = False,
        stop: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:
        self._name = port
        self._chip = chip
        self._passing = passing_faults(was_there=was_there)
        self._stop = stop
        self._say = say
        self._esptool: Esptool | None = None

    def connect(self, baudrate: int) -> BoardFacts:
        """See that the port is free, what is there, and what its fuses have switched on.

        Raises:
            DeviceError, LinkTimeout, TransferFault, ToolError: as `Esptool`.
        """
        runner = CommandRunner(stop=self._stop)
        self._esptool = Esptool(
            runner,
            self._name,
            chip=self._chip,
            baudrate=baudrate,
            once=True,
            patience=lambda look: patiently(look, self._stop, self._passing),
        )
        self._esptool.check_port()
        try:
            fuses = self._esptool.read_secured()
            facts = self._esptool.identify()
        except SecureDownloadMode as error:
            self._say(error.message)
            return BoardFacts(ChipInfo(self._chip, "", ""), None, None, (SECURE_DOWNLOAD,))
        self._say(f"{facts.chip.description} {facts.chip.mac}")
        return dataclasses.replace(facts, secured=fuses, security_known=True)

    def holds(self, parts: Sequence[FlashPart]) -> list[bool]:
        """All of them, or none as far as is known: esptool compares them in one run."""
        try:
            self._connected().verify(parts)
        except FlashDiffers:
            return [False] * len(parts)
        return [True] * len(parts)

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes of flash from `offset`, by way of a file of mode 0600 in a folder of
        mode 0700."""
        data, _ = self._connected().read(offset, size)
        return data

    def write(self, parts: Sequence[FlashPart], on_bytes: Callable[[int], None]) -> None:
        """Write the parts in one run."""
        done = [0] * len(parts)

        def follow(progress: WriteProgress) -> None:
            now = len(parts[progress.part].data) * progress.percent // 100
            on_bytes(now - done[progress.part])
            done[progress.part] = now

        self._connected().write(parts, follow)

    def restart(self) -> None:
        """Each run of esptool has reset the board at its end."""

    def console(self) -> AbstractContextManager[PortConsole]:
        """The console from a restart on."""
        return restarted_console(self._name, self._stop)

    def close(self) -> None:
        """Each run of esptool has given the port back."""

    def _connected(self) -> Esptool:
        if self._esptool is None:
            raise DeviceError(f"{self._name}: the port is closed", fix="connect first")
        return self._esptool
