# SPDX-License-Identifier: GPL-3.0-or-later
"""What a virtual board asks of the world around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send `data` on the serial line.

    `discardable`: console text, which is lost where nobody listens; loader frames are not.
    """

    data: bytes
    discardable: bool


@dataclass(frozen=True, slots=True)
class Busy:
    """The flash would now be busy for so long, and the loader with it, if time were modelled."""

    microseconds: int


@dataclass(frozen=True, slots=True)
class Discard:
    """The chip was reset: what it had not sent yet will never be sent."""


@dataclass(frozen=True, slots=True)
class StartApp:
    """Run a program.

    Attributes:
        payload: the executable file.
        lines: its first hardware lines, among them the unit's secrets.
        identity: the unit's identity as evcfg holds it, by key; secrets too.
        version: the application's version.
        storage: names the contents of its file system: as long as the partition is not
            erased the name stays, and with it the files. None: no such partition.
    """

    payload: bytes = field(repr=False)
    lines: tuple[str, ...] = field(repr=False)
    identity: Mapping[str, int | str | bytes] = field(default_factory=dict, repr=False)
    version: str = ""
    storage: str | None = None


@dataclass(frozen=True, slots=True)
class StopApp:
    """The power or the reset line was pulled from under the program: end it at once."""


@dataclass(frozen=True, slots=True)
class AppInput:
    """Bytes from the serial line for the program's console."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """Something for the operator of the simulator, not visible on a real board."""

    event: str
    fields: dict[str, object]


Effect = Transmit | Busy | Discard | StartApp | StopApp | AppInput | Report
