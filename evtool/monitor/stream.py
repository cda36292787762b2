# SPDX-License-Identifier: GPL-3.0-or-later
"""What a watch hands on, and to whom: bytes in batches, whole lines, news, time.

Everything handed on is masked already. A consumer never waits: it is called between two reads of
the ports, and what it does there is time in which nobody reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from evtool.errors import EvtoolError
from evtool.monitor.block import Block, LineAssembler
from evtool.monitor.follow import Line


class Batch(msgspec.Struct, frozen=True, gc=False):
    """What came from a port in one go: at most one every 2 ms, at most 64 KiB.

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


class Piece:
    """What one reading brought.

    Its lines are made when they are asked for; of several pieces, in the order in which they came.

    Args:
        assembler: makes lines of the port's bytes.
        is_last: whether the port's bytes end here.

    Attributes:
        batch: the bytes that may be shown; none where all are held back.
    """

    __slots__ = ("_assembler", "_block", "_is_last", "batch")

    def __init__(self, batch: Batch, assembler: LineAssembler, *, is_last: bool = False) -> None:
        self.batch = batch
        self._assembler: LineAssembler | None = assembler
        self._is_last = is_last
        self._block: Block | None = None

    @property
    def block(self) -> Block | None:
        """The lines that are whole by now; None where there are none."""
        assembler = self._assembler
        if assembler is not None:
            self._assembler = None
            batch = self.batch
            whole = assembler.feed(batch.data)
            if self._is_last:
                whole += assembler.finish()
            if whole:
                self._block = Block(batch.port, batch.at_ns, batch.at_ms, whole)
        return self._block


@dataclass(frozen=True, slots=True)
class News:
    """Something about a port itself.

    Attributes:
        event: `connected`, `disconnected`, `silence`, `refused`.
        text: the same for people.
        for_ms: how long the silence is; 0 for anything else.
    """

    port: str
    at_ns: int
    at_ms: int
    event: str
    text: str
    for_ms: int = 0


class BatchConsumer(Protocol):
    """Takes bytes."""

    def on_batch(self, batch: Batch) -> None:
        """`batch` was read."""


class BlockConsumer(Protocol):
    """Takes whole lines as one piece of bytes, which is the quickest way to print or keep them."""

    def on_block(self, block: Block) -> None:
        """These lines came, of one port."""


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
    """Everybody who listens. `prompt`, `logs` and `blocks` are told at once, the others within
    100 ms where bytes come without a pause.

    `telling` is `lines` without the lines that are plain text: who needs no more than records,
    resets and panics costs nothing for the rest. `events` is that without the records that are no
    events: where nobody takes records, none is read. What is read together with the line that ends
    the watch, behind it, goes to `prompt`, `batches` and `logs` only. `clear` is told of everything
    as it came, secrets included: what a person has asked to see on a screen, and nothing else.
    """

    prompt: list[BatchConsumer] = field(default_factory=list)
    batches: list[BatchConsumer] = field(default_factory=list)
    logs: list[BlockConsumer] = field(default_factory=list)
    blocks: list[BlockConsumer] = field(default_factory=list)
    lines: list[LinesConsumer] = field(default_factory=list)
    telling: list[LinesConsumer] = field(default_factory=list)
    events: list[LinesConsumer] = field(default_factory=list)
    news: list[NewsConsumer] = field(default_factory=list)
    times: list[TimeConsumer] = field(default_factory=list)
    clear: Audience | None = None

    def show_clear(self, piece: Piece) -> None:
        """Tell those who see secrets."""
        if self.clear is None:
            return
        if piece.batch.data:
            for taker in self.clear.prompt:
                taker.on_batch(piece.batch)
        if piece.block is not None:
            for printer in self.clear.blocks:
                printer.on_block(piece.block)

    def tell(self, lines: Sequence[Line], telling: Sequence[Line]) -> None:
        """Tell everybody who takes lines; `lines` may be empty where nobody takes them."""
        if lines:
            for consumer in self.lines:
                consumer.on_lines(lines)
        if telling:
            for consumer in self.telling:
                consumer.on_lines(telling)
            if self.events and (events := [line for line in telling if line.is_event]):
                for consumer in self.events:
                    consumer.on_lines(events)


class Controls(Protocol):
    """What a consumer may do to the watch; `port` "" means every port."""

    def write(self, data: bytes, port: str = "") -> bool:
        """Send bytes to the board; False where the port is not there."""

    def reset(self, port: str = "") -> bool:
        """Reset the board by its lines; False where the port is not there or has none."""

    def end(self, error: EvtoolError | None = None) -> None:
        """End the watch after this batch: well, or with `error`."""
