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
from evtool.flash.station.attempts import Attempt, first_attempt, next_attempt
from evtool.flash.station.boot import BootConsole, BootProof, wait_for_build
from evtool.flash.station.flash_parts import Counts, PartsWork, Tell
from evtool.flash.station.gates import Gates, check_board
from evtool.flash.station.order import Order
from evtool.flash.station.verdict import AlreadyDone, BoardResult, FailedAttempt, Verdict
from evtool.protocol.board_flash import BoardFacts, FlashPart

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
            if not isinstance(failure, AlreadyDone):
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
        self._counts = Counts()
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
            verdict = Verdict.FLASHED if self._counts.bytes_written else Verdict.UNCHANGED
        return BoardResult(
            port=port,
            verdict=verdict,
            facts=self._facts,
            error=error,
            failed=tuple(self.failed),
            bytes_written=self._counts.bytes_written,
            writes=self._counts.writes,
            questions=self._counts.questions,
            times_ms=dict(self._times),
            boot=self._boot,
        )

    def _flash(self, board: Board) -> None:
        parts, known = self._task.order.parts, self._task.known
        work = PartsWork(board, parts, known, self._counts, self._begin, self._tell)
        work.bring(work.compare())

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
