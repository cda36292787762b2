# SPDX-License-Identifier: GPL-3.0-or-later
"""What one thread of `evtool flash` does at its port, and where esptool's words go."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from evtool.errors import EvtoolError, LinkTimeout, Stopped, ToolError
from evtool.flash.station.attempts import Attempt
from evtool.flash.station.board_run import Board, Task, run_board
from evtool.flash.station.flash_parts import Tell
from evtool.flash.station.units import Units
from evtool.flash.station.verdict import BoardResult, Verdict
from evtool.link.clock import monotonic_ms
from evtool.link.deflated import Streams
from evtool.link.esptool_board import EsptoolBoard, deadline_s
from evtool.link.esptool_packets import make_packets_cheap
from evtool.link.esptool_process_board import EsptoolProcessBoard
from evtool.link.log_file import LogFile
from evtool.protocol.board_flash import BoardFacts

_NAME = re.compile(r"[^A-Za-z0-9.-]+")


class Logs:
    """A log for each port in one folder, or nowhere."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._files: dict[str, LogFile] = {}
        self._start_ms = monotonic_ms()

    def open(self, port: str) -> None:
        """Make the log of a port, before its thread starts.

        Raises:
            EvtoolError: the file system refused.
        """
        if self._folder is None or port in self._files:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EvtoolError(
                f"cannot make the folder {self._folder}: {error.strerror or error}",
                fix="name another one with --log-dir",
            ) from error
        name = _NAME.sub("_", port).strip("_") or "port"
        self._files[port] = LogFile(self._folder / f"{name}.log")

    def add(self, port: str, line: str) -> None:
        """Add a line, with the milliseconds since the run began."""
        file = self._files.get(port)
        if file is not None:
            file.append(f"{monotonic_ms() - self._start_ms:8} {line}")


class Worker:
    """The work at any port.

    Args:
        task: the same for all boards.
        units: who is done.
        logs: where each port's words go.
        isolate: run esptool as a program for each board, whatever its own code can do.

    Attributes:
        isolated: whether that is done, asked for or not.
    """

    def __init__(self, task: Task, units: Units, logs: Logs, *, isolate: bool) -> None:
        self._task = task
        self._units = units
        self._logs = logs
        self._streams = Streams()
        self._total = task.order.total_bytes
        self.isolated = isolate or not make_packets_cheap()

    @property
    def deadline_s(self) -> float:
        """How long a thread may take until it tells of its first attempt."""
        return deadline_s(self._total, self._task.baudrate)

    def __call__(self, port: str, tell: Tell, stop: Callable[[], bool]) -> BoardResult:
        """Do the task at `port`; runs in a thread of its own."""
        boot_s = 0.0 if self._task.boot is None else self._task.boot.timeout_ms / 1000
        mac = ""

        def told(name: str, fields: Mapping[str, object]) -> None:
            if name != "progress":
                words = " ".join(f"{key}={value}" for key, value in fields.items())
                self._logs.add(port, f"[{name}] {words}")
            if name == "attempt":
                speed = fields["baudrate"]
                assert isinstance(speed, int)  # noqa: S101 - as run_board tells it
                fields = dict(fields) | {"deadline_s": deadline_s(self._total, speed) + boot_s}
            tell(name, fields)

        def admit(facts: BoardFacts) -> None:
            nonlocal mac
            self._units.claim(facts.chip.mac, port)
            mac = facts.chip.mac
            self._task.admit(facts)

        task = dataclasses.replace(self._task, admit=admit)
        result = run_board(
            port, lambda attempt: self._board(port, attempt, stop), task, monotonic_ms, told
        )
        if mac and result.verdict.good:
            self._units.finish(mac, port)
        elif mac:
            self._units.release(mac, port)
        reason = "" if result.error is None else f": {result.error}"
        self._logs.add(port, f"[result] {result.verdict.value}{reason}")
        return result

    def _board(self, port: str, attempt: Attempt, stop: Callable[[], bool]) -> Board:
        return open_station_board(
            port,
            self._task.order.chip,
            stop,
            lambda line: self._logs.add(port, line),
            streams=None if self.isolated else self._streams,
            total_bytes=self._total,
            was_there=attempt.number > 1,
        )


def open_station_board(
    port: str,
    chip: str,
    stop: Callable[[], bool],
    say: Callable[[str], None],
    *,
    streams: Streams | None,
    total_bytes: int,
    was_there: bool,
) -> EsptoolBoard | EsptoolProcessBoard:
    """The board at `port`, by esptool's own code; with `streams` None by esptool as a program."""
    if streams is None:
        return EsptoolProcessBoard(port, chip=chip, was_there=was_there, stop=stop, say=say)
    return EsptoolBoard(
        port,
        chip=chip,
        streams=streams,
        total_bytes=total_bytes,
        was_there=was_there,
        stop=stop,
        say=say,
    )


def crashed(port: str, crash: str, *, stopping: bool) -> BoardResult:
    """The result of a thread that did not end in order."""
    error = crash_error(crash, stopping=stopping)
    return BoardResult(port, Verdict.of_error(error), error=error)


def crash_error(crash: str, *, stopping: bool) -> EvtoolError:
    """What stopped a thread that did not end in order."""
    if crash != "given up":
        return ToolError("evtool or esptool failed in a way that nobody foresaw", output=crash)
    if stopping:
        return Stopped("stopped before it was done", fix="run the command again")
    return LinkTimeout(
        "the port's driver never came back from a call",
        fix="unplug the board and plug it in again",
    )
