# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands on what ports brought: what is seen and kept at once, the rest when there is time.

While bytes come without a pause, looking at their lines waits for a few readings: done for several
at once it costs a fraction, and nobody reads so fast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evtool.errors import CheckFailed, EvtoolError
from evtool.monitor.block import Block
from evtool.monitor.display import Display
from evtool.monitor.follow import Line, read_lines, read_telling_lines
from evtool.monitor.goal import Watch
from evtool.monitor.on_view import OnView
from evtool.monitor.stream import Audience, Piece


class Distributor:
    """For all ports of a watch.

    Args:
        watch: what ends it; asked about every line where it looks at them.
        view: the records that the display shows.
        display: looks at every line; None where nobody does.
        on_boot: told of the port whose board has started.
        on_end: told that the watch has come to its end: well, or with an error.
    """

    def __init__(
        self,
        audience: Audience,
        watch: Watch,
        view: OnView,
        display: Display | None,
        on_boot: Callable[[str], None],
        on_end: Callable[[EvtoolError | None], None],
    ) -> None:
        self._audience = audience
        self._watch = watch
        self._view = view
        self._display = display
        self._on_boot = on_boot
        self._on_end = on_end
        self._waiting: list[Piece] = []
        self._ended = False

    @property
    def is_behind(self) -> bool:
        """Whether there is something to `catch_up` with."""
        return bool(self._waiting)

    def take(self, piece: Piece, *, may_wait: bool) -> None:
        """Hand on what a reading brought; the lines later, where that may wait."""
        audience = self._audience
        batch = piece.batch
        if batch.data:
            for taker in audience.prompt:
                taker.on_batch(batch)
        if (audience.logs or audience.blocks) and (block := piece.block) is not None:
            for keeper in audience.logs:
                keeper.on_block(block)
            if not self._watch.looks_at_lines and not self._ended:
                for printer in audience.blocks:
                    printer.on_block(block)
        self._waiting.append(piece)
        if not may_wait or self._watch.looks_at_lines or self._display is not None:
            self.catch_up()

    def take_rest(self, piece: Piece) -> None:
        """Hand on what is left of a port when the watch is over: its last line has not ended.

        It is shown, kept, and searched for what must not come. As a record it counts for
        nothing: half a line may look like another one.
        """
        if piece.batch.data:
            for taker in (*self._audience.prompt, *self._audience.batches):
                taker.on_batch(piece.batch)
        block = piece.block
        if block is None:
            return
        for keeper in self._audience.logs:
            keeper.on_block(block)
        if self._ended:
            return
        for printer in self._audience.blocks:
            printer.on_block(block)
        if self._watch.looks_at_lines:
            self._watch_lines(read_lines(block))

    def catch_up(self) -> None:
        """Look at all lines that waited."""
        waiting, self._waiting = self._waiting, []
        for piece in waiting:
            if piece.batch.data:
                for taker in self._audience.batches:
                    taker.on_batch(piece.batch)
            block = piece.block
            if block is not None and not self._ended:
                self._look_at(block)

    def stop(self) -> None:
        """The watch is over: what still comes is logged and looked at no more."""
        self._ended = True

    def _look_at(self, block: Block) -> None:
        audience = self._audience
        lines: Sequence[Line] = ()
        if self._watch.looks_at_lines or audience.lines or self._display is not None:
            lines = read_lines(block)
            end = self._watch_lines(lines)
            if end < len(lines):
                lines, block = lines[:end], block.head(end)
            telling = [line for line in lines if line.is_telling]
        else:
            telling = read_telling_lines(block, records=bool(audience.telling))
            self._watch.hear(telling)
        if self._watch.looks_at_lines:
            for printer in audience.blocks:
                printer.on_block(block)
        audience.tell(lines, telling)
        if self._display is not None:
            for line in filter(self._view.shows, lines):
                self._display.show(line)
        if any(line.event == "boot" for line in telling):
            self._on_boot(block.port)

    def _watch_lines(self, lines: Sequence[Line]) -> int:
        """How many of `lines` belong to the watch: those up to the one that ends it."""
        for index, line in enumerate(lines):
            error = None
            try:
                reached = self._watch.reached(line)
            except CheckFailed as failed:
                error, reached = failed, True
            if reached:
                self._on_end(error)
                return index + 1
        return len(lines)
