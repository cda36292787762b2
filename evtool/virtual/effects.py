# SPDX-License-Identifier: GPL-3.0-or-later
"""What a virtual board asks of the world around it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send `data` on the serial line.

    `discardable`: console text, which is lost where nobody listens; loader frames are not.
    """

    data: bytes
    discardable: bool


@dataclass(frozen=True, slots=True)
class Discard:
    """The chip was reset: what it had not sent yet will never be sent."""


@dataclass(frozen=True, slots=True)
class StartApp:
    """Run the program `payload` and give it `lines` as its first hardware lines."""

    payload: bytes = field(repr=False)
    lines: tuple[str, ...] = field(repr=False)  # among them the unit's secrets


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


Effect = Transmit | Discard | StartApp | StopApp | AppInput | Report
