# SPDX-License-Identifier: GPL-3.0-or-later
"""What one thread of a fleet's run does at its port, and how the run is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from evtool.cli.flash_worker import Logs, crash_error, open_station_board
from evtool.errors import EvtoolError, Stopped
from evtool.flash.station.attempts import Attempt, first_attempt, next_attempt
from evtool.flash.station.board_run import facts_document
from evtool.flash.station.flash_parts import Counts, PartsWork
from evtool.flash.station.gates import Gates, check_board
from evtool.flash.station.junit import render_junit
from evtool.flash.station.order import Order
from evtool.flash.station.report import PreviousRun, outcome_document, station_document
from evtool.flash.station.table import Columns, render_table
from evtool.flash.station.units import Units
from evtool.flash.station.verdict import AlreadyDone
from evtool.link.clock import monotonic_ms
from evtool.link.deflated import Streams
from evtool.link.esptool_board import deadline_s
from evtool.link.esptool_packets import make_packets_cheap
from evtool.monitor.redact import Redactor
from evtool.provision.run.unit_run import STEPS, run_unit
from evtool.provision.run.verdict import BoardRepeated, UnitRefused, UnitResult, UnitVerdict

if TYPE_CHECKING:
    from evtool.protocol.board_flash import BoardFacts, FlashPart
    from evtool.provision.run.board import Attempt as UnitAttempt
    from evtool.provision.run.board import Board, Tell
    from evtool.provision.run.task import UnitTask

# Every record may wait for another station's transaction; a run makes six of them.
_LEDGER_S = 120.0
_COLUMNS = Columns(
    (("port", "serial_port"), ("MAC", "mac"), ("unit", "unit"), ("verdict", "verdict")), STEPS
)


def _meant(secret: str) -> str:
    """The text that a secret of hex digits stands for; "" where it is none."""
    try:
        return bytes.fromhex(secret).decode("ascii")
    except ValueError:  # also for bytes that are no text
        return ""


class StationAttempts:
    """As a flashing station: lost bytes and silence are worth another try, the last one slower."""

    def __init__(self, baudrate: int) -> None:
        self._baudrate = baudrate

    def first(self) -> Attempt:
        """The try that every board gets."""
        return first_attempt(self._baudrate)

    def next(self, last: UnitAttempt, error: EvtoolError) -> Attempt | None:
        """The try after one that ended with `error`."""
        return next_attempt(Attempt(last.number, last.baudrate), error)


def parts_work(board: Board, parts: Sequence[FlashPart], tell: Tell) -> PartsWork:
    """A station's way to compare, write and prove."""
    return PartsWork(board, parts, None, Counts(), lambda _phase: None, tell)


def mask_of(secrets: Iterable[str]) -> Callable[[str], str]:
    """Hides the secrets in a line, in every form in which firmware prints them."""
    given = tuple(secrets)
    # An AuthorizationKey stands in the image as hex digits, and what they mean is the key.
    redactor = Redactor((*given, *filter(None, map(_meant, given))))

    def mask(line: str) -> str:
        data = line.encode("utf-8", "surrogateescape")
        return (redactor.feed(data) + redactor.finish()).decode("utf-8", "replace")

    return mask


@dataclasses.dataclass(frozen=True, slots=True)
class Station:
    """What holds for all ports of a run.

    Attributes:
        order: the chip and its flash, for the gates.
        units: who is done.
        logs: where each port's words go.
        total_bytes: that a board may be written.
    """

    order: Order
    gates: Gates
    units: Units
    logs: Logs
    baudrate: int
    total_bytes: int


class FleetWorker:
    """The work at any port.

    Args:
        task: the same for all boards; its gates are the station's.
        isolate: run esptool as a program for each board, whatever its own code can do.

    Attributes:
        isolated: whether that is done, asked for or not.
    """

    def __init__(self, task: UnitTask, station: Station, *, isolate: bool) -> None:
        self._task = task
        self._station = station
        self._streams = Streams()
        self.isolated = isolate or not make_packets_cheap()

    @property
    def deadline_s(self) -> float:
        """How long a thread may take until it tells of its first attempt."""
        return self._deadline_s(self._station.baudrate)

    def __call__(self, port: str, tell: Tell, stop: Callable[[], bool]) -> UnitResult:
        """Do the task at `port`; runs in a thread of its own."""
        mac = ""

        def told(name: str, fields: Mapping[str, object]) -> None:
            if name != "progress":
                words = " ".join(f"{key}={value}" for key, value in fields.items())
                self._station.logs.add(port, f"[{name}] {words}")
            if name == "attempt":
                speed = fields["baudrate"]
                assert isinstance(speed, int)  # noqa: S101 - as run_unit tells it
                fields = dict(fields) | {"deadline_s": self._deadline_s(speed)}
            tell(name, fields)

        def gates(facts: BoardFacts) -> None:
            nonlocal mac
            try:
                check_board(facts, self._station.order, self._station.gates)
                self._station.units.claim(facts.chip.mac, port)
            except AlreadyDone as error:
                raise BoardRepeated(error.message, fix=error.fix) from error
            except EvtoolError as error:
                raise UnitRefused(error.message, fix=error.fix) from error
            mac = facts.chip.mac

        def open_board(attempt: UnitAttempt) -> Board:
            return open_station_board(
                port,
                self._station.order.chip,
                stop,
                lambda line: self._station.logs.add(port, line),
                streams=None if self.isolated else self._streams,
                total_bytes=self._station.total_bytes,
                was_there=attempt.number > 1,
            )

        task = dataclasses.replace(self._task, gates=gates)
        result = run_unit(port, open_board, task, monotonic_ms, told)
        if mac and result.verdict.good:
            self._station.units.finish(mac, port)
        elif mac:
            self._station.units.release(mac, port)
        reason = "" if result.error is None else f": {result.error}"
        self._station.logs.add(port, f"[result] {result.verdict.value}{reason}")
        return result

    def _deadline_s(self, baudrate: int) -> float:
        proof = self._task.proof
        waits_ms = 0 if proof is None else proof.boot_timeout_ms + (proof.csms_timeout_ms or 0)
        return deadline_s(self._station.total_bytes, baudrate) + waits_ms / 1000 + _LEDGER_S


def unit_document(result: UnitResult) -> dict[str, object]:
    """One board's result; it has the shape of a flashing station's, and says which unit it is."""
    facts: dict[str, object] = {} if result.facts is None else facts_document(result.facts)
    head: dict[str, object] = {
        "serial_port": result.port,
        "verdict": result.verdict.value,
        "unit": result.unit or None,
        "where": result.where or None,
    }
    error = None if result.verdict is UnitVerdict.REPEATED else result.error
    return head | facts | outcome_document(result, error) | {"csms": result.csms}


class FleetAccount:
    """A fleet's run in words and documents.

    Args:
        head: what is said of the run as a whole.
        command: whose it is, for JUnit.
        previous: the run that this one takes up.
    """

    def __init__(
        self, head: Mapping[str, object], command: str, previous: PreviousRun | None
    ) -> None:
        self._head = head
        self._command = command
        self._kept = () if previous is None else previous.kept
        self.board = unit_document

    def document(
        self, results: Sequence[UnitResult], unfinished: Iterable[str]
    ) -> dict[str, object]:
        """The run so far."""
        boards = [*self._kept, *map(unit_document, results)]
        return station_document(self._head, boards, unfinished)

    def table(self, document: dict[str, object], took_ms: int) -> str:
        """The run for people."""
        return render_table(document, took_ms, _COLUMNS)

    def junit(self, document: dict[str, object]) -> str:
        """The run as JUnit XML."""
        return render_junit(document, self._command)

    def crashed(self, port: str, crash: str, *, stopping: bool) -> UnitResult:
        """The result of a thread that did not end in order."""
        error = crash_error(crash, stopping=stopping)
        verdict = UnitVerdict.STOPPED if isinstance(error, Stopped) else UnitVerdict.FAILED
        return UnitResult(port, verdict, error=error)

    def counts(self, result: UnitResult) -> bool:
        """Whether `--count` counts it."""
        return result.verdict.good and result.verdict is not UnitVerdict.REPEATED
