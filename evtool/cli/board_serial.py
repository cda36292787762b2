# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual board's serial port in the real world: its line, its control lines, its pace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from evtool.link.clock import monotonic_ms, monotonic_us
from evtool.link.line_news import Closed, Line, LinesSet, Received
from evtool.link.pty_lines import PtyLines
from evtool.virtual.board import Board
from evtool.virtual.effects import Busy, Transmit
from evtool.virtual.pace import Pace


class BoardSerial:
    """Carries bytes and lines between a board and whoever opens its port.

    Args:
        board: the board.
        line: its line; None while the cable is out.
        pace: what holds bytes back.
        changed: called after the board was given something.
        helper: DTR and RTS beside a pseudo-terminal.
    """

    def __init__(
        self,
        board: Board,
        line: Line,
        pace: Pace,
        changed: Callable[[], None],
        helper: PtyLines | None = None,
    ) -> None:
        self._board = board
        self._line: Line | None = line
        self._helper = helper
        self._pace = pace
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._session: tuple[int, int] | None = None
        self._writing = False

    @property
    def deadline_ms(self) -> int | None:
        """When `on_time` is wanted, or None."""
        deadlines = []
        if self._line is not None and self._line.deadline_ms is not None:
            deadlines.append(self._line.deadline_ms)
        if (due_us := self._pace.deadline_us) is not None:
            # Not a moment early: it would be asked again and again.
            deadlines.append(-(-due_us // 1000))
        return min(deadlines, default=None)

    def start(self) -> None:
        """Listen to the line."""
        if self._line is not None:
            self._loop.add_reader(self._line.watch_descriptor, self._on_line)
        if self._helper is not None:
            self._loop.add_reader(self._helper.fileno(), self._on_helper)

    def stop(self) -> None:
        """Listen no more; the line itself is left to its owner."""
        if self._line is not None:
            self._loop.remove_reader(self._line.watch_descriptor)
            self._listen(None)
        if self._helper is not None:
            self._loop.remove_reader(self._helper.fileno())

    def unplug(self) -> None:
        """The cable is out: nobody hears anything."""
        self.stop()
        self._line = self._helper = None
        self._pace.unplug()

    def plug(self, line: Line, helper: PtyLines | None) -> None:
        """The cable is in again, at a new port."""
        self._line, self._helper = line, helper
        self.start()

    # --- what the board says ------------------------------------------------------

    def send(self, transmit: Transmit) -> None:
        """The board says something."""
        if self._pace.is_idle:
            self._deliver(transmit)
        else:
            self._pace.send(transmit, monotonic_us())

    def work(self, busy: Busy) -> None:
        """The board's flash is busy."""
        self._pace.work(busy, monotonic_us())

    def discard(self) -> None:
        """What the board has said and nobody has heard is gone."""
        self._pace.clear()
        if self._line is not None:
            self._line.discard()

    def _deliver(self, transmit: Transmit) -> None:
        if self._line is not None:
            self._line.send(transmit.data, discardable=transmit.discardable)

    # --- what the host says -------------------------------------------------------

    def on_time(self) -> None:
        """Something may be due."""
        if self._line is not None and self._line.deadline_ms is not None:
            self._take_news(self._line)
        now_us = monotonic_us()
        while (data := self._pace.arrived(now_us)) is not None:
            self._board.on_serial(data, now_us // 1000)
            self._changed()
        while (transmit := self._pace.delivered(now_us)) is not None:
            self._deliver(transmit)

    def watch(self) -> None:
        """Wait for the right things on the line."""
        line = self._line
        if line is None:
            return
        self._listen(line if line.is_open else None)
        wanted = self._session is not None and line.wants_to_write
        if wanted != self._writing:
            self._writing = wanted
            if wanted:
                self._loop.add_writer(line.descriptor, self._on_writable)
            else:
                self._loop.remove_writer(line.descriptor)

    def _listen(self, line: Line | None) -> None:
        # While nobody has the port open it signals a hang-up without end.
        wanted = (line.session, line.descriptor) if line is not None else None
        if wanted == self._session:
            return
        if self._session is not None:
            self._loop.remove_reader(self._session[1])
            self._loop.remove_writer(self._session[1])
            self._writing = False
        self._session = wanted
        if wanted is not None:
            self._loop.add_reader(wanted[1], self._on_line)

    def _on_line(self) -> None:
        if self._line is not None:
            self._take_news(self._line)
        self._changed()

    def _take_news(self, line: Line) -> None:
        news = line.receive()
        now_us = monotonic_us()
        now_ms = now_us // 1000
        for event in news.events:
            match event:
                case Received(data):
                    self._pace.rate = line.baudrate()
                    self._board.on_baudrate(self._pace.rate)
                    if self._pace.is_idle:
                        self._board.on_serial(data, now_ms)
                    else:
                        self._pace.receive(data, now_us)
                case LinesSet(dtr, rts):
                    self._board.on_lines(dtr, rts, now_ms)
                case Closed():
                    if self._helper is not None:
                        self._helper.drop()
                    self._board.on_last_close(now_ms)

    def _on_helper(self) -> None:
        # Bytes that were written before the lines were set are read before, too.
        line, helper = self._line, self._helper
        if line is None or helper is None:
            return
        self._take_news(line)
        while (lines := helper.receive()) is not None:
            self._board.on_lines(*lines, monotonic_ms())
            self._changed()
            helper.answer()
        self._changed()

    def _on_writable(self) -> None:
        if self._line is not None:
            self._line.flush()
        self.watch()
