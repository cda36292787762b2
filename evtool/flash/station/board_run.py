# SPDX-License-Identifier: GPL-3.0-or-later
"""All the work on one board: connect, ask, compare, write, prove, boot; again where it failed.

Everything is asked of a `Board`; this file has no clock, no port and no thread, and cannot tell
one board of sixteen from a single one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from evtool.errors import EvtoolError
from evtool.flash.station.attempts import Attempt, ProofFailed, first_attempt, next_attempt
from evtool.flash.station.boot import BootConsole, BootProof, wait_for_build
from evtool.flash.station.differences import changed_parts, differing_pieces, differing_sectors
from evtool.flash.station.gates import Gates, check_board
from evtool.flash.station.order import Order
from evtool.flash.station.verdict import BoardResult, FailedAttempt, Verdict
from evtool.protocol.board_flash import SECTOR, BoardFacts, FlashPart

PHASES = ("connect", "compare", "write", "prove", "boot")


class Board(Protocol):
    """One board at its port. Every call ends by its own deadline.

    Raises (all of them):
        TransferFault: bytes were lost or spoiled.
        LinkTimeout: nobody answers.
        Stopped: the run is to end.
        DeviceError, ConfigError, ToolError: everything else.
    """

    @property
    def fine(self) -> bool:
        """Whether asking about single sectors is cheap."""

    def connect(self, baudrate: int) -> BoardFacts:
        """Open the port, start the flasher, set the speed, and say what is there."""

    def holds(self, parts: Sequence[FlashPart]) -> Sequence[bool]:
        """Whether the flash holds each of the parts: hashes computed on the board."""

    def write(self, parts: Sequence[FlashPart], on_bytes: Callable[[int], None]) -> None:
        """Write parts; `on_bytes` is told of every piece of them that is under way."""

    def restart(self) -> None:
        """Leave the flasher and start what the flash holds, if nobody waits to see it."""

    def console(self) -> AbstractContextManager[BootConsole]:
        """The console from the board's restart on."""

    def close(self) -> None:
        """Give the port back, in whatever state it is; raises nothing."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is done to each board of a run.

    Attributes:
        baudrate: for the data, at the first attempt.
        known: what the boards hold for certain, by the user's word; None asks the board.
        boot: what the board must say at its start; None waits for nothing.
        only_identify: connect, check the gates, write nothing.
        admit: told of the board that connected, before its flash is touched; raises to refuse.
    """

    order: Order
    gates: Gates = field(default_factory=Gates)
    baudrate: int = 460_800
    known: tuple[FlashPart, ...] | None = None
    boot: BootProof | None = None
    only_identify: bool = False
    admit: Callable[[BoardFacts], None] = lambda _facts: None


Tell = Callable[[str, Mapping[str, object]], None]
"""Told of each step: its name, and what belongs to it."""


def run_board(
    port: str,
    open_board: Callable[[Attempt], Board],
    task: Task,
    now_ms: Callable[[], int],
    tell: Tell,
) -> BoardResult:
    """Do the whole task on one board, as often as it takes and makes sense.

    Args:
        port: its name, for the result.
        open_board: a fresh start at its port; opens nothing yet.
        task: what to do.
        now_ms: a clock that only goes forward.
        tell: told `attempt`, `connected`, `phase`, `progress`, `retry`.

    Returns:
        the verdict; an EvtoolError becomes a part of it, anything else is a bug and passes.
    """
    work = _Work(task, now_ms, tell)
    attempt: Attempt | None = first_attempt(task.baudrate)
    error: EvtoolError | None = None
    while attempt is not None:
        tell("attempt", {"number": attempt.number, "baudrate": attempt.baudrate})
        board = open_board(attempt)
        try:
            work.attempt(board, attempt)
            error = None
            break
        except EvtoolError as failure:
            error = failure
            work.failed.append(FailedAttempt(attempt.number, attempt.baudrate, failure.message))
        finally:
            board.close()
        attempt = next_attempt(attempt, error)
        if attempt is not None:
            tell("retry", {"reason": error.message, "baudrate": attempt.baudrate})
    return work.result(port, error)


class _Work:
    """What is known of one board over all attempts."""

    def __init__(self, task: Task, now_ms: Callable[[], int], tell: Tell) -> None:
        self._task = task
        self._now_ms = now_ms
        self._tell = tell
        self._facts: BoardFacts | None = None
        self._written = 0
        self._writes = 0
        self._questions = 0
        self._boot: Mapping[str, str] | None = None
        self._times: dict[str, int] = {}
        self._phase, self._began = "", 0
        self.failed: list[FailedAttempt] = []

    def attempt(self, board: Board, attempt: Attempt) -> None:
        """One try of everything; raises what stopped it."""
        task = self._task
        try:
            self._begin("connect")
            self._facts = facts = board.connect(attempt.baudrate)
            self._tell("connected", facts_document(facts))
            self._admit(board, facts)
            if not task.only_identify:
                self._flash(board)
            if task.boot is None or task.only_identify:
                board.restart()
                return
            self._begin("boot")
            with board.console() as console:
                self._boot = wait_for_build(console, task.boot, self._now_ms)
        finally:
            self._begin("")

    def _admit(self, board: Board, facts: BoardFacts) -> None:
        try:
            check_board(facts, self._task.order, self._task.gates)
            self._task.admit(facts)
        except EvtoolError:
            board.restart()  # what it holds runs on; a board left in its flasher looks dead
            raise

    def result(self, port: str, error: EvtoolError | None) -> BoardResult:
        """All of it as the board's result."""
        if error is not None:
            verdict = Verdict.of_error(error)
        elif self._task.only_identify:
            verdict = Verdict.IDENTIFIED
        else:
            verdict = Verdict.FLASHED if self._written else Verdict.UNCHANGED
        return BoardResult(
            port=port,
            verdict=verdict,
            facts=self._facts,
            error=error,
            failed=tuple(self.failed),
            bytes_written=self._written,
            writes=self._writes,
            questions=self._questions,
            times_ms=dict(self._times),
            boot=self._boot,
        )

    def _flash(self, board: Board) -> None:
        parts = self._task.order.parts
        self._begin("compare")
        wanted = self._wanted(board)
        if not wanted and self._task.known is None:
            return  # the questions have proved all of it
        self._begin("write")
        self._write(board, wanted)
        self._begin("prove")
        wrong = self._not_held(board, parts)
        if wrong and self._task.known is not None:
            # The board held something else than the user said: find out what it does hold.
            self._begin("write")
            self._write(board, [each for part in wrong for each in self._differing(board, part)])
            self._begin("prove")
            wrong = self._not_held(board, parts)
        if wrong:
            raise self._proof_failed(board, wrong)

    def _wanted(self, board: Board) -> list[FlashPart]:
        parts = self._task.order.parts
        known = self._task.known
        if known is not None:
            return [each for part in parts for each in changed_parts(part, known)]
        if not board.fine:
            return self._not_held(board, parts)
        # One question a part before any is looked at more closely.
        differing = self._not_held(board, parts)
        return [each for part in differing for each in self._differing(board, part)]

    def _differing(self, board: Board, part: FlashPart) -> list[FlashPart]:
        if not board.fine:
            return [part]
        return differing_pieces(part, lambda asked: self._held(board, asked))

    def _held(self, board: Board, parts: Sequence[FlashPart]) -> Sequence[bool]:
        self._questions += len(parts)
        return board.holds(parts) if parts else ()

    def _not_held(self, board: Board, parts: Sequence[FlashPart]) -> list[FlashPart]:
        held = self._held(board, parts)
        return [part for part, there in zip(parts, held, strict=True) if not there]

    def _write(self, board: Board, parts: Sequence[FlashPart]) -> None:
        total = sum(len(part.data) for part in parts)
        done = 0

        def on_bytes(count: int) -> None:
            nonlocal done
            done += count
            self._tell("progress", {"done": done, "total": total})

        self._tell("progress", {"done": 0, "total": total})
        self._writes += len(parts)
        if parts:
            board.write(parts, on_bytes)
            self._written += total

    def _proof_failed(self, board: Board, wrong: Sequence[FlashPart]) -> ProofFailed:
        places = [f"{part.name} at {part.offset:#x}" for part in wrong]
        if board.fine:
            pieces = [
                piece
                for part in wrong
                for piece in differing_sectors(part, lambda asked: self._held(board, asked))
            ]
            sectors = sum(-(-len(piece.data) // SECTOR) for piece in pieces)
            if pieces:
                name, first = pieces[0].name, pieces[0].offset
                places = [f"{name} at {first:#x}" + (f", {sectors} sectors" if sectors > 1 else "")]
        return ProofFailed(
            f"the flash does not hold what was written to it: {', '.join(places)}",
            fix="the flash chip is worn or protected: take the board out",
        )

    def _begin(self, phase: str) -> None:
        now = self._now_ms()
        if self._phase:
            self._times[self._phase] = self._times.get(self._phase, 0) + now - self._began
        if phase and phase != self._phase:
            self._tell("phase", {"phase": phase})
        self._phase, self._began = phase, now


def facts_document(facts: BoardFacts) -> dict[str, object]:
    """A board's facts for events and reports."""
    revision = facts.revision
    return {
        "mac": facts.chip.mac,
        "chip": facts.chip.chip,
        "description": facts.chip.description,
        "revision": None if revision is None else f"{revision // 100}.{revision % 100}",
        "flash_size": facts.flash_size,
        "secured": list(facts.secured) if facts.security_known else None,
    }
