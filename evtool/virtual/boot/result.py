# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of starting from flash."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from evtool.protocol.app_image import AppImage
from evtool.protocol.partition_table import Partition
from evtool.virtual.chips.description import ResetCause


@dataclass(slots=True)
class BootResult:
    """What was printed and what is to run.

    `application` is None when nothing can run: `failure` says why, `next_cause` is how
    the chip restarts to try again, and `repeated` are the lines that it says until then.
    """

    log: list[str] = field(default_factory=list)
    application: AppImage | None = None
    partition: Partition | None = None
    partitions: tuple[Partition, ...] = ()
    failure: str | None = None
    next_cause: ResetCause = ResetCause.BOOTLOADER
    repeated: tuple[str, ...] = ()

    def text(self) -> bytes:
        """The log as the console shows it."""
        return _lines(self.log)

    def repeated_text(self) -> bytes:
        """What a ROM that has found no boot loader says again and again."""
        return _lines(self.repeated)


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(line + "\r\n" for line in lines).encode("ascii", "replace")


class BootConsole:
    """Lines with the milliseconds since reset that the boot loader's own would carry."""

    def __init__(self, result: BootResult) -> None:
        self._result = result
        self._ms = 29

    def _line(self, level: str, tag: str, text: str) -> None:
        self._result.log.append(f"{level} ({self._ms}) {tag}: {text}")
        self._ms += 4

    def info(self, tag: str, text: str) -> None:
        """What goes well."""
        self._line("I", tag, text)

    def warn(self, tag: str, text: str) -> None:
        """What is odd."""
        self._line("W", tag, text)

    def error(self, tag: str, text: str) -> None:
        """What ends a start."""
        self._line("E", tag, text)
