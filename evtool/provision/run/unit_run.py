# SPDX-License-Identifier: GPL-3.0-or-later
"""All the work on one board: whose it is, its image, written, read back, proved, recorded.

Everything is asked of protocols; this file has no clock, no port and no thread. What is
recorded before a step and what after it is such that whatever ends the run at whatever moment,
the next one goes on from there:

* the row is claimed before anything is written, so that no identity is given twice;
* `planned` and the sealed image are in the ledger before the flash is touched;
* `written` says that the flash holds it, `read_back` that it was seen there, `proved` that the
  board said so itself. A board that holds what it should, without such a record, gets the
  record and not another write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from evtool.errors import ConfigError, EvtoolError, Stopped, WrongBoard
from evtool.protocol.board_flash import BoardFacts
from evtool.provision.boot_proof import ConsoleLines, boot_line, csms_reached
from evtool.provision.plan import compare
from evtool.provision.run.board import Attempt, Board, Tell
from evtool.provision.run.journal import Journal
from evtool.provision.run.task import Content, Target, UnitTask
from evtool.provision.run.verdict import (
    BoardRepeated,
    FailedAttempt,
    UnitRefused,
    UnitResult,
    UnitVerdict,
)

STEPS = ("connect", "plan", "image", "encrypt", "flash", "read_back", "boot", "csms")


def run_unit(
    port: str,
    open_board: Callable[[Attempt], Board],
    task: UnitTask,
    now_ms: Callable[[], int],
    tell: Tell,
) -> UnitResult:
    """Do the whole task on one board, as often as it takes and makes sense.

    Args:
        port: its name, for the result.
        open_board: a fresh start at its port; opens nothing yet.
        task: what to do.
        now_ms: a clock that only goes forward.
        tell: told `attempt`, `connected`, `row_left_out`, `unit`, `phase`, `progress`, `retry`.

    Returns:
        the verdict; an EvtoolError becomes a part of it, anything else is a bug and passes.
    """
    run = UnitRun(task, now_ms, tell)
    attempt: Attempt | None = task.attempts.first()
    error: EvtoolError | None = None
    while attempt is not None:
        tell("attempt", {"number": attempt.number, "baudrate": attempt.baudrate})
        board = open_board(attempt)
        try:
            run.attempt(board, attempt)
            error = None
            break
        except EvtoolError as failure:
            error = failure
            if not isinstance(failure, BoardRepeated):
                run.failed.append(FailedAttempt(attempt.number, attempt.baudrate, failure.message))
        finally:
            board.close()
        # What the board says once its flash is right, it would say the next time too.
        attempt = None if run.is_flashed else task.attempts.next(attempt, error)
        if attempt is not None:
            tell("retry", {"reason": error.message, "baudrate": attempt.baudrate})
    return run.result(port, error)


class UnitRun:
    """What is known of one board over all attempts.

    Attributes:
        is_flashed: its flash holds everything, as far as hashes and reading back can tell.
        failed: the attempts that did not succeed.
    """

    def __init__(self, task: UnitTask, now_ms: Callable[[], int], tell: Tell) -> None:
        self._task = task
        self._now_ms = now_ms
        self._tell = tell
        self._facts: BoardFacts | None = None
        self._target: Target | None = None
        self._journal = Journal(task.ledger, task.event)
        self._is_admitted = False
        self.is_flashed = False
        self._may_hold_identity = False
        self._bytes = 0
        self._boot: Mapping[str, str] | None = None
        self._csms: bool | None = None
        self._times: dict[str, int] = {}
        self._step, self._began, self._last_step = "", 0, ""
        self.failed: list[FailedAttempt] = []

    def attempt(self, board: Board, attempt: Attempt) -> None:
        """One try of everything; raises what stopped it."""
        try:
            self._begin("connect")
            facts = board.connect(attempt.baudrate)
            self._facts = facts
            self._tell("connected", {"mac": facts.chip.mac, "description": facts.chip.description})
            self._begin("plan")
            try:
                target = self._admit(facts)
                content = target.prepare(board, facts, self._begin)
            except EvtoolError:
                board.restart()  # what it holds runs on; a board left in its flasher looks dead
                raise
            self._is_admitted = True
            self._begin("flash")
            self._flash(board, target, content)
            self.is_flashed = True
            self._prove(board, target, content)
        finally:
            self._end_step()

    def _admit(self, facts: BoardFacts) -> Target:
        if self._target is None:
            self._task.gates(facts)
            self._target = self._task.targets.take(facts)
            for row in self._target.passed:
                fields = {"unit": row.order.identity, "where": str(row.order.where)}
                self._tell("row_left_out", fields | {"reason": row.reason})
            self._tell("unit", {"unit": self._target.unit, "where": self._target.where})
        elif facts.chip.mac != self._target.mac:
            raise UnitRefused(
                f"the board was changed in between: {self._target.mac} is now {facts.chip.mac}",
                fix="leave the board connected, and run the command again",
            )
        return self._target

    def _flash(self, board: Board, target: Target, content: Content) -> None:
        firmware = self._task.open_work(board, content.firmware, self._tell)
        identity = self._task.open_work(board, content.identity, self._tell)
        new_firmware, new_identity = firmware.compare(), identity.compare()
        # A board that holds it already, whoever wrote it, has it as much as one that is written.
        self._may_hold_identity |= not new_identity
        if new_firmware or new_identity:
            self._journal.planned(target, content)
        if new_firmware:
            firmware.bring(new_firmware)
            self._bytes += sum(len(part.data) for part in new_firmware)
        if new_identity:
            self._may_hold_identity = True
            identity.bring(new_identity)
            self._bytes += sum(len(part.data) for part in new_identity)
        if self._journal.written(target, content):
            self._begin("read_back")
            for part in content.identity:
                compare(part, board.read(part.offset, len(part.data)))
            self._journal.read_back(target, content, is_last=self._task.proof is None)

    def _prove(self, board: Board, target: Target, content: Content) -> None:
        proof = self._task.proof
        if proof is None:
            board.restart()
            self._journal.done(target, content, None)
            return
        self._begin("boot")
        with board.console() as console:
            lines = ConsoleLines(console, self._now_ms, content.mask)
            said = boot_line(lines, target.unit, proof.boot_timeout_ms, content.build_id)
            self._boot = {name: content.mask(word) for name, word in said.items()}
            if proof.csms_timeout_ms is not None:
                self._begin("csms")
                csms_reached(lines, proof.csms_timeout_ms)
                self._csms = True
        proved: dict[str, object] = {"boot": self._boot}
        self._journal.done(target, content, proved | ({"csms": True} if self._csms else {}))

    def result(self, port: str, error: EvtoolError | None) -> UnitResult:
        """All of it as the board's result; a failure is recorded."""
        target = self._target
        verdict = self._verdict(error)
        if error is not None and verdict not in _NO_FAILURES:
            self._record_failure(error)
        return UnitResult(
            port=port,
            verdict=verdict,
            unit="" if target is None else target.unit,
            where="" if target is None else target.where,
            facts=self._facts,
            error=error,
            failed=tuple(self.failed),
            bytes_written=self._bytes,
            times_ms=dict(self._times),
            boot=self._boot,
            csms=self._csms,
        )

    def _verdict(self, error: EvtoolError | None) -> UnitVerdict:
        if error is None:
            return self._task.verdict if self._journal.changed else UnitVerdict.UNCHANGED
        if isinstance(error, BoardRepeated):
            return UnitVerdict.REPEATED
        if isinstance(error, Stopped):
            return UnitVerdict.STOPPED
        if isinstance(error, (UnitRefused, WrongBoard)) or (
            isinstance(error, ConfigError) and not self._is_admitted
        ):
            return UnitVerdict.REFUSED
        return UnitVerdict.FAILED

    def _record_failure(self, error: EvtoolError) -> None:
        mac = "" if self._facts is None else self._facts.chip.mac
        if not mac:
            return  # nobody knows which board it was
        try:
            self._journal.failed(self._target, mac, self._last_step, error)
            if self._target is not None and not self._may_hold_identity:
                self._target.give_back()
        except EvtoolError as second:
            # The first error is the one to tell; the claim stays, which is the safe side.
            self._tell("not_recorded", {"reason": second.message})

    def _begin(self, step: str) -> None:
        self._end_step()
        self._tell("phase", {"phase": step})
        self._step, self._last_step, self._began = step, step, self._now_ms()

    def _end_step(self) -> None:
        if self._step:
            spent = self._now_ms() - self._began
            self._times[self._step] = self._times.get(self._step, 0) + spent
        self._step = ""


_NO_FAILURES = (UnitVerdict.STOPPED, UnitVerdict.REPEATED)
