# SPDX-License-Identifier: GPL-3.0-or-later
"""One port's bytes on their way: masked, in batches, cut into lines. Bytes and time come in."""

from __future__ import annotations

from evtool.monitor.block import LineAssembler
from evtool.monitor.follow import DEFAULT_SILENCE_MS, Quiet, Silence
from evtool.monitor.redact import Redactor
from evtool.monitor.stream import Batch, Piece


class PortStream:
    """The stream of one port, from one opening of it to the next.

    Args:
        port: the name that everything is marked with.
        redactor: masks secrets; used for this stream alone.
        now_ms: when the port was opened, on the monotonic clock.
        silence_ms: how long nothing may arrive before that is worth saying.
    """

    def __init__(
        self, port: str, redactor: Redactor, now_ms: int, silence_ms: int = DEFAULT_SILENCE_MS
    ) -> None:
        self._port = port
        self._redactor = redactor
        self._assembler = LineAssembler()
        self._quiet = Quiet(now_ms, silence_ms)
        self._let_go_ms: int | None = None

    def feed(self, data: bytes, at_ns: int, at_ms: int) -> Piece:
        """What `data`, not empty, brings."""
        self._quiet.hear(at_ms)
        shown = self._redactor.feed(data)
        hold_ms = self._redactor.hold_ms
        self._let_go_ms = None if hold_ms is None else at_ms + hold_ms
        return Piece(Batch(self._port, at_ns, at_ms, shown), self._assembler)

    def look(self, at_ns: int, at_ms: int) -> tuple[Piece | None, Silence | None]:
        """What the time brings: bytes that were held back long enough, a silence."""
        piece = None
        if self._let_go_ms is not None and at_ms >= self._let_go_ms:
            self._let_go_ms = None
            batch = Batch(self._port, at_ns, at_ms, self._redactor.let_go())
            piece = Piece(batch, self._assembler)
        return piece, self._quiet.look(at_ms)

    @property
    def holds(self) -> bool:
        """Whether bytes are held back for a while."""
        return self._let_go_ms is not None

    @property
    def next_ms(self) -> int | None:
        """When to `look`; None for not before something comes."""
        times = [each for each in (self._let_go_ms, self._quiet.next_ms) if each is not None]
        return min(times, default=None)

    def finish(self, at_ns: int, at_ms: int) -> Piece:
        """What is left when the port is gone."""
        batch = Batch(self._port, at_ns, at_ms, self._redactor.finish())
        return Piece(batch, self._assembler, is_last=True)
