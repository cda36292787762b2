# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes over a board's serial line, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes from the host."""

    data: bytes


@dataclass(frozen=True, slots=True)
class LinesSet:
    """The host has set DTR and RTS."""

    dtr: bool
    rts: bool


@dataclass(frozen=True, slots=True)
class Closed:
    """The last program closed the port."""


LineEvent = Received | LinesSet | Closed


@dataclass(frozen=True, slots=True)
class LineNews:
    """What came over a line without DTR and RTS.

    Attributes:
        data: bytes from the host.
        closed: the last program closed the port.
        reopened: and one has it open again; the end of `data` is from after that.
    """

    data: bytes
    closed: bool
    reopened: bool

    @property
    def events(self) -> tuple[LineEvent, ...]:
        """The same in order."""
        received: tuple[LineEvent, ...] = (Received(self.data),) if self.data else ()
        if not self.closed:
            return received
        return (Closed(), *received) if self.reopened else (*received, Closed())


@dataclass(frozen=True, slots=True)
class OrderedNews:
    """What came over a line that carries everything in one stream."""

    events: tuple[LineEvent, ...]


class Line(Protocol):
    """A board's end of a serial line.

    Wait on `watch_descriptor`, and on `descriptor` while `is_open`; `session` is another one
    for each program that opens it, where the descriptor is.
    """

    serial_port: str

    @property
    def descriptor(self) -> int: ...

    @property
    def watch_descriptor(self) -> int: ...

    @property
    def session(self) -> int: ...

    @property
    def is_open(self) -> bool: ...

    @property
    def wants_to_write(self) -> bool: ...

    @property
    def deadline_ms(self) -> int | None: ...

    def baudrate(self) -> int: ...

    def receive(self) -> LineNews | OrderedNews: ...

    def send(self, data: bytes, *, discardable: bool) -> None: ...

    def flush(self) -> None: ...

    def discard(self) -> None: ...

    def close(self) -> None: ...
