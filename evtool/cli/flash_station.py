# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool flash` at more than one port: start, follow and end the run, and report it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from evtool.cli.flash_order import boot_proof_of, gates_of, known_parts
from evtool.cli.flash_ports import named_ports, present_ports, unique
from evtool.cli.flash_progress import FlashProgress
from evtool.cli.flash_worker import Logs, Worker, crashed
from evtool.errors import ConfigError, EvtoolError
from evtool.flash.station.attempts import SLOW_BAUDRATE
from evtool.flash.station.board_run import Task
from evtool.flash.station.junit import render_junit
from evtool.flash.station.ports import Appearing, PortPattern, parse_pattern
from evtool.flash.station.report import PreviousRun, check_same_order, parse_report, run_document
from evtool.flash.station.table import render_table
from evtool.flash.station.units import Units
from evtool.flash.station.verdict import BoardResult, Verdict
from evtool.link.boot_console import check_console
from evtool.link.clock import monotonic_ms
from evtool.link.files import write_atomically
from evtool.link.rack import Rack

if TYPE_CHECKING:
    from evtool.cli.flash_options import StationOptions
    from evtool.cli.output import Output
    from evtool.flash.station.order import Order

_LOOK_S = 0.5
_WAIT_S = 0.1


def run_station(
    output: Output,
    options: StationOptions,
    order: Order,
    serial_ports: Sequence[str],
    baudrate: int,
    *,
    dry_run: bool,
) -> tuple[int, list[BoardResult]]:
    """Flash every board there is to be flashed.

    Returns:
        the run's exit code, and what became of each board of this run.

    Raises:
        ConfigError, DeviceError: before any port is opened.
    """
    patterns = [parse_pattern(text) for text in options.match]
    previous = _previous(options, order)
    ports = _ports(options, serial_ports, patterns, previous)
    task = Task(
        order=order,
        gates=gates_of(options),
        # Nothing is worth a faster line where nothing is written.
        baudrate=min(baudrate, SLOW_BAUDRATE) if options.identify else baudrate,
        known=known_parts(options),
        boot=boot_proof_of(options, order),
        only_identify=options.identify,
    )
    if task.boot is not None:
        for port in ports:
            check_console(port)
    if dry_run:
        _show_plan(output, order, ports)
        return 0, []
    run = _Run(output, options, task, previous)
    return run.run(ports, (lambda: present_ports(patterns)) if options.watch else None)


def _previous(options: StationOptions, order: Order) -> PreviousRun | None:
    path = options.retry_failed
    if path is None:
        return None
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file", fix="check the name") from error
    previous = parse_report(text, path)
    check_same_order(previous, order, path)
    return previous


def _ports(
    options: StationOptions,
    serial_ports: Sequence[str],
    patterns: Sequence[PortPattern],
    previous: PreviousRun | None,
) -> list[str]:
    if previous is not None:
        return list(previous.ports)
    if options.watch:
        return unique(serial_ports)
    return named_ports(serial_ports, patterns)


class _Run:
    """One run from the first port to the report."""

    def __init__(
        self, output: Output, options: StationOptions, task: Task, previous: PreviousRun | None
    ) -> None:
        self._output = output
        self._options = options
        self._order = task.order
        self._kept = () if previous is None else previous.kept
        self._logs = Logs(options.log_dir)
        units = Units(() if previous is None else previous.done)
        self._worker = Worker(task, units, self._logs, isolate=options.isolate)
        if self._worker.isolated and not options.isolate:
            output.say("note: this esptool is run as a program for each board, which is slower")
            output.event("isolated")
        self._rack = Rack(self._worker)
        self._results: list[BoardResult] = []
        self._start_ms = monotonic_ms()

    def run(
        self, ports: Sequence[str], look: Callable[[], list[str]] | None
    ) -> tuple[int, list[BoardResult]]:
        """Work at `ports`, and at those that `look` finds from now on; then report."""
        with FlashProgress(self._output) as progress:
            try:
                self._start(ports)
                self._follow(progress, look)
            except BaseException:  # Ctrl-C, SIGTERM: the boards are told, and reported
                self._end(progress)
                raise
        document = self._document()
        took_ms = monotonic_ms() - self._start_ms
        self._output.result(
            render_table(document, took_ms), {"event": "run", "took_ms": took_ms} | document
        )
        self._write(document)
        code = document["exit_code"]
        return code if isinstance(code, int) else 1, self._results

    def _start(self, ports: Sequence[str]) -> None:
        for port in ports:
            self._logs.open(port)
        self._write(self._document(ports))
        for port in ports:
            self._rack.start(port, self._worker.deadline_s)

    def _follow(self, progress: FlashProgress, look: Callable[[], list[str]] | None) -> None:
        appearing = Appearing()
        next_look_s = 0.0
        while self._rack.running or look is not None:
            now_s = time.monotonic()
            if look is not None and now_s >= next_look_s:
                next_look_s = now_s + _LOOK_S
                there = unique([*self._rack.running, *look()])
                new = appearing.look(there)
                self._start([port for port in new if port not in self._rack.running])
            self._take(progress, _WAIT_S)
            if look is not None and self._enough():
                look = None

    def _take(self, progress: FlashProgress, wait_s: float, *, stopping: bool = False) -> None:
        word = self._rack.next(wait_s)
        if word is None:
            return
        if word.name:
            progress.step(word.port, word.name, word.fields)
            return
        result = word.result
        if result is None:
            result = crashed(word.port, word.crash, stopping=stopping)
            self._logs.add(word.port, word.crash)
        self._results.append(result)
        progress.result(result)
        try:
            self._write(self._document())
        except EvtoolError as error:  # a full disk is no reason to leave boards half written
            self._output.say(f"note: {error.message}")

    def _enough(self) -> bool:
        done = sum(
            result.verdict.good and result.verdict is not Verdict.REPEATED
            for result in self._results
        )
        return self._options.count is not None and done >= self._options.count

    def _end(self, progress: FlashProgress) -> None:
        """Have every thread end, or be given up, and say how far the boards are."""
        self._rack.stop()
        while self._rack.running:
            self._take(progress, _WAIT_S, stopping=True)
        counts = self._document()["counts"]
        self._output.event("interrupted", counts=counts)
        words = ", ".join(f"{number} {word}" for word, number in dict(counts).items())  # type: ignore[call-overload]  # of run_document
        report = self._options.report
        hint = f"; --retry-failed {report} takes it up" if report is not None else ""
        click.echo(f"\nevtool: stopped with {words or 'no board done'}{hint}", err=True)

    def _document(self, beginning: Sequence[str] = ()) -> dict[str, object]:
        """The run so far; `beginning`: ports whose threads are about to start."""
        unfinished = {*self._rack.running, *beginning}
        return run_document(self._order, self._results, unfinished, self._kept)

    def _write(self, document: dict[str, object]) -> None:
        """Write the reports that were asked for; EvtoolError where the file system refuses."""
        if self._options.report is not None:
            write_atomically(self._options.report, json.dumps(document, indent=1) + "\n")
        if self._options.junit is not None:
            write_atomically(self._options.junit, render_junit(document))


def _show_plan(output: Output, order: Order, ports: Sequence[str]) -> None:
    lines = [f"would write to {len(ports)} boards ({order.chip}), {order.title}:"]
    lines += [f"  {part.offset:#010x} {len(part.data):>9}  {part.name}" for part in order.parts]
    lines.append(f"ports: {', '.join(ports) or 'those that appear'}")
    images = run_document(order, ())["images"]
    output.result(
        "\n".join(lines),
        {"event": "plan", "serial_ports": list(ports), "chip": order.chip, "images": images},
    )
