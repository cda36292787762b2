# SPDX-License-Identifier: GPL-3.0-or-later
"""What a watch hands on, and to whom: bytes in batches, whole lines, news, time.

Everything handed on is masked already. A consumer never waits: it is called between two reads of
the ports, and what it does there is time in which nobody reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from evtool.errors import EvtoolError
from evtool.monitor.follow import Line


@dataclass(frozen=True, slots=True)
class Batch:
    """What came from a port in one go: at most one every 5 ms, at most 64 KiB.

    Attributes:
        port: the name the port goes by.
        at_ns: when it was read, Unix time in nanoseconds.
        at_ms: the same on the monotonic clock of `Line.at_ms`.
        data: the bytes, unchanged but for masked secrets.
    """

    port: str
    at_ns: int
    at_ms: int
    data: bytes


@dataclass(frozen=True, slots=True)
class News:
    """Something about a port itself.

    Attributes:
        event: `connected`, `disconnected`, `silence`, `refused`.
        text: the same for people.
    """

    port: str
    at_ns: int
    at_ms: int
    event: str
    text: str


class BatchConsumer(Protocol):
    """Takes bytes."""

    def on_batch(self, batch: Batch) -> None:
        """`batch` was read."""


class LinesConsumer(Protocol):
    """Takes whole lines."""

    def on_lines(self, lines: Sequence[Line]) -> None:
        """These came, of one port, in order; never empty."""


class NewsConsumer(Protocol):
    """Takes what happens to the ports."""

    def on_news(self, news: News) -> None:
        """A port came, went, or fell silent."""


class TimeConsumer(Protocol):
    """Wants to act at a time."""

    def on_time(self, now_ms: int) -> int | None:
        """Act if it is time, on the monotonic clock; when it is next, None for not before
        something else has happened. Called after every batch, too."""


@dataclass(slots=True)
class Audience:
    """Everybody who listens. `telling` is `lines` without the lines that are plain text: who needs
    no more than records, resets and panics costs nothing for the rest."""

    batches: list[BatchConsumer] = field(default_factory=list)
    lines: list[LinesConsumer] = field(default_factory=list)
    telling: list[LinesConsumer] = field(default_factory=list)
    news: list[NewsConsumer] = field(default_factory=list)
    times: list[TimeConsumer] = field(default_factory=list)


class Controls(Protocol):
    """What a consumer may do to the watch; `port` "" means every port."""

    def write(self, data: bytes, port: str = "") -> bool:
        """Send bytes to the board; False where the port is not there."""

    def reset(self, port: str = "") -> bool:
        """Reset the board by its lines; False where the port is not there or has none."""

    def end(self, error: EvtoolError | None = None) -> None:
        """End the watch after this batch: well, or with `error`."""
