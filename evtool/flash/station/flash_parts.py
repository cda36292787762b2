# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts into one board's flash: compared, written where they differ, proved by their hashes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from evtool.flash.station.attempts import ProofFailed
from evtool.flash.station.differences import changed_parts, differing_pieces, differing_sectors
from evtool.protocol.board_flash import SECTOR, FlashPart

Tell = Callable[[str, Mapping[str, object]], None]
"""Told of each step: its name, and what belongs to it."""


class ConnectedBoard(Protocol):
    """A board whose flasher answers; see `board_run.Board` for what the calls raise."""

    @property
    def fine(self) -> bool:
        """Whether asking about single sectors is cheap."""

    def holds(self, parts: Sequence[FlashPart]) -> Sequence[bool]:
        """Whether the flash holds each of the parts: hashes computed on the board."""

    def write(self, parts: Sequence[FlashPart], on_bytes: Callable[[int], None]) -> None:
        """Write parts; `on_bytes` is told of every piece of them that is under way."""


@dataclass(slots=True)
class Counts:
    """What was done to one board, over all attempts."""

    bytes_written: int = 0
    writes: int = 0
    questions: int = 0


class PartsWork:
    """One attempt to bring a board's flash to hold `parts`.

    Args:
        board: connected.
        parts: what it is to hold.
        known: what it holds for certain, by the user's word; None asks the board.
        counts: added to.
        begin: told `compare`, `write` and `prove` as they begin.
        tell: told `progress`.
    """

    def __init__(
        self,
        board: ConnectedBoard,
        parts: Sequence[FlashPart],
        known: Sequence[FlashPart] | None,
        counts: Counts,
        begin: Callable[[str], None],
        tell: Tell,
    ) -> None:
        self._board = board
        self._parts = parts
        self._known = known
        self._counts = counts
        self._begin = begin
        self._tell = tell

    def compare(self) -> list[FlashPart]:
        """What must be written; none: the board's hashes have proved all of it, or `known` has."""
        self._begin("compare")
        if self._known is not None:
            return [each for part in self._parts for each in changed_parts(part, self._known)]
        if not self._board.fine:
            return self._not_held(self._parts)
        # One question a part before any is looked at more closely.
        differing = self._not_held(self._parts)
        return [each for part in differing for each in self._differing(part)]

    def bring(self, wanted: Sequence[FlashPart]) -> None:
        """Write what `compare` gave, and prove all parts.

        Raises:
            ProofFailed: the flash does not take it.
        """
        if not wanted and self._known is None:
            return  # the questions have proved all of it
        self._begin("write")
        self._write(wanted)
        self._begin("prove")
        wrong = self._not_held(self._parts)
        if wrong and self._known is not None:
            # The board held something else than the user said: find out what it does hold.
            self._begin("write")
            self._write([each for part in wrong for each in self._differing(part)])
            self._begin("prove")
            wrong = self._not_held(self._parts)
        if wrong:
            raise self._proof_failed(wrong)

    def _differing(self, part: FlashPart) -> list[FlashPart]:
        if not self._board.fine:
            return [part]
        return differing_pieces(part, self._held)

    def _held(self, parts: Sequence[FlashPart]) -> Sequence[bool]:
        self._counts.questions += len(parts)
        return self._board.holds(parts) if parts else ()

    def _not_held(self, parts: Sequence[FlashPart]) -> list[FlashPart]:
        held = self._held(parts)
        return [part for part, there in zip(parts, held, strict=True) if not there]

    def _write(self, parts: Sequence[FlashPart]) -> None:
        total = sum(len(part.data) for part in parts)
        done = 0

        def on_bytes(count: int) -> None:
            nonlocal done
            done += count
            self._tell("progress", {"done": done, "total": total})

        self._tell("progress", {"done": 0, "total": total})
        self._counts.writes += len(parts)
        if parts:
            self._board.write(parts, on_bytes)
            self._counts.bytes_written += total

    def _proof_failed(self, wrong: Sequence[FlashPart]) -> ProofFailed:
        places = [f"{part.name} at {part.offset:#x}" for part in wrong]
        if self._board.fine:
            pieces = [piece for part in wrong for piece in differing_sectors(part, self._held)]
            sectors = sum(-(-len(piece.data) // SECTOR) for piece in pieces)
            if pieces:
                name, first = pieces[0].name, pieces[0].offset
                places = [f"{name} at {first:#x}" + (f", {sectors} sectors" if sectors > 1 else "")]
        return ProofFailed(
            f"the flash does not hold what was written to it: {', '.join(places)}",
            fix="the flash chip is worn or protected: take the board out",
        )
