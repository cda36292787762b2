# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at many ports from the first port to the report, whatever is done at each."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import click

from evtool.cli.flash_ports import unique
from evtool.cli.flash_progress import FlashProgress, StationResult
from evtool.cli.flash_worker import Logs
from evtool.cli.output import Output
from evtool.errors import EvtoolError
from evtool.flash.station.flash_parts import Tell
from evtool.flash.station.ports import Appearing
from evtool.link.clock import monotonic_ms
from evtool.link.files import write_atomically
from evtool.link.rack import Rack

R = TypeVar("R", bound=StationResult)
R_co = TypeVar("R_co", bound=StationResult, covariant=True)

_LOOK_S = 0.5
_WAIT_S = 0.1


class StationWorker(Protocol[R_co]):
    """The work at any port, in a thread of its own."""

    @property
    def deadline_s(self) -> float:
        """How long a thread may take until it tells of its first attempt."""

    def __call__(self, port: str, tell: Tell, stop: Callable[[], bool]) -> R_co:
        """Do it."""


class Account(Protocol[R]):
    """A run in words and documents."""

    def document(self, results: Sequence[R], unfinished: Iterable[str]) -> dict[str, object]:
        """The whole run so far: `boards`, `counts`, `exit_code` and more."""

    def board(self, result: R) -> dict[str, object]:
        """One board's document."""

    def table(self, document: dict[str, object], took_ms: int) -> str:
        """The run for people."""

    def junit(self, document: dict[str, object]) -> str:
        """The run as JUnit XML."""

    def crashed(self, port: str, crash: str, *, stopping: bool) -> R:
        """The result of a thread that did not end in order."""

    def counts(self, result: R) -> bool:
        """Whether it is one of those that `--count` counts."""


@dataclass(frozen=True, slots=True)
class StationFiles:
    """What a run writes, and when it has enough.

    Attributes:
        report, junit: written again after every board; None for none.
        count: boards that a jig is to make; None for no end.
    """

    report: Path | None
    junit: Path | None
    count: int | None


class StationRun(Generic[R]):
    """One run.

    Args:
        output: where it is told.
        files: what it writes.
        worker: the work at a port.
        account: puts it into words.
        logs: of the ports.
    """

    def __init__(
        self,
        output: Output,
        files: StationFiles,
        worker: StationWorker[R],
        account: Account[R],
        logs: Logs,
    ) -> None:
        self._output = output
        self._files = files
        self._worker = worker
        self._account = account
        self._logs = logs
        self._rack: Rack[R] = Rack(worker)
        self._results: list[R] = []
        self._start_ms = monotonic_ms()

    def run(
        self, ports: Sequence[str], look: Callable[[], list[str]] | None
    ) -> tuple[int, list[R]]:
        """Work at `ports`, and at those that `look` finds from now on; then report."""
        self._prepare(ports)
        with FlashProgress(self._output, self._account.board) as progress:
            try:
                self._start(ports)
                self._follow(progress, look)
            except BaseException:  # Ctrl-C, SIGTERM: the boards are told, and reported
                self._end(progress)
                raise
        document = self._document()
        took_ms = monotonic_ms() - self._start_ms
        self._output.result(
            self._account.table(document, took_ms),
            {"event": "run", "took_ms": took_ms} | document,
        )
        self._write(document)
        code = document["exit_code"]
        return code if isinstance(code, int) else 1, self._results

    def _prepare(self, ports: Sequence[str]) -> None:
        """Open the logs and write the reports: what cannot be written is said before the start."""
        for port in ports:
            self._logs.open(port)
        self._write(self._document(ports))

    def _start(self, ports: Sequence[str]) -> None:
        for port in ports:
            self._rack.start(port, self._worker.deadline_s)

    def _follow(self, progress: FlashProgress[R], look: Callable[[], list[str]] | None) -> None:
        appearing = Appearing()
        next_look_s = 0.0
        while self._rack.running or look is not None:
            now_s = time.monotonic()
            if look is not None and now_s >= next_look_s:
                next_look_s = now_s + _LOOK_S
                there = unique([*self._rack.running, *look()])
                new = appearing.look(there)
                appeared = [port for port in new if port not in self._rack.running]
                if appeared:
                    self._prepare(appeared)
                    self._start(appeared)
            self._take(progress, _WAIT_S)
            if look is not None and self._enough():
                look = None

    def _take(self, progress: FlashProgress[R], wait_s: float, *, stopping: bool = False) -> None:
        word = self._rack.next(wait_s)
        if word is None:
            return
        if word.name:
            progress.step(word.port, word.name, word.fields)
            return
        result = word.result
        if result is None:
            result = self._account.crashed(word.port, word.crash, stopping=stopping)
            self._logs.add(word.port, word.crash)
        self._results.append(result)
        progress.result(result)
        try:
            self._write(self._document())
        except EvtoolError as error:  # a full disk is no reason to leave boards half written
            self._output.say(f"note: {error.message}")

    def _enough(self) -> bool:
        done = sum(self._account.counts(result) for result in self._results)
        return self._files.count is not None and done >= self._files.count

    def _end(self, progress: FlashProgress[R]) -> None:
        """Have every thread end, or be given up, and say how far the boards are."""
        self._rack.stop()
        while self._rack.running:
            self._take(progress, _WAIT_S, stopping=True)
        counts = self._document()["counts"]
        self._output.event("interrupted", counts=counts)
        words = ", ".join(f"{number} {word}" for word, number in dict(counts).items())  # type: ignore[call-overload]  # of the account's document
        report = self._files.report
        hint = f"; --retry-failed {report} takes it up" if report is not None else ""
        with contextlib.suppress(OSError):  # the terminal may be closed; the report says the same
            click.echo(f"\nevtool: stopped with {words or 'no board done'}{hint}", err=True)

    def _document(self, beginning: Sequence[str] = ()) -> dict[str, object]:
        """The run so far; `beginning`: ports whose threads are about to start."""
        return self._account.document(self._results, {*self._rack.running, *beginning})

    def _write(self, document: dict[str, object]) -> None:
        """Write the reports that were asked for; EvtoolError where the file system refuses."""
        if self._files.report is not None:
            write_atomically(self._files.report, json.dumps(document, indent=1) + "\n")
        if self._files.junit is not None:
            write_atomically(self._files.junit, self._account.junit(document))
