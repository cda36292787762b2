# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool flash` at more than one port: start, follow and end the run, and report it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evtool.cli.flash_order import boot_proof_of, gates_of, known_parts
from evtool.cli.flash_ports import named_ports, present_ports, unique
from evtool.cli.flash_worker import Logs, Worker, crashed
from evtool.cli.station_run import StationFiles, StationRun
from evtool.errors import ConfigError
from evtool.flash.station.attempts import SLOW_BAUDRATE
from evtool.flash.station.board_run import Task
from evtool.flash.station.junit import render_junit
from evtool.flash.station.ports import PortPattern, parse_pattern
from evtool.flash.station.report import (
    PreviousRun,
    Word,
    board_document,
    check_same_order,
    parse_report,
    run_document,
)
from evtool.flash.station.table import IDENTIFIED, render_table
from evtool.flash.station.units import Units
from evtool.flash.station.verdict import BoardResult, Verdict
from evtool.link.boot_console import check_console

if TYPE_CHECKING:
    from evtool.cli.flash_options import StationOptions
    from evtool.cli.output import Output
    from evtool.flash.station.order import Order
    from evtool.protocol.board_flash import BoardFacts


def run_station(
    output: Output,
    options: StationOptions,
    order: Order,
    serial_ports: Sequence[str],
    baudrate: int,
    *,
    dry_run: bool,
    admit: Callable[[BoardFacts], None] = lambda _facts: None,
) -> tuple[int, list[BoardResult]]:
    """Flash every board there is to be flashed.

    Args:
        admit: told of a board that connected, before its flash is touched; raises to refuse.

    Returns:
        the run's exit code, and what became of each board of this run.

    Raises:
        ConfigError, DeviceError: before any port is opened.
    """
    patterns = [parse_pattern(text) for text in options.match]
    path = options.retry_failed
    previous = None if path is None else previous_run(path, order.fingerprint)
    ports = _ports(options, serial_ports, patterns, previous)
    task = Task(
        order=order,
        gates=gates_of(options),
        # Nothing is worth a faster line where nothing is written.
        baudrate=min(baudrate, SLOW_BAUDRATE) if options.identify else baudrate,
        known=known_parts(options),
        boot=boot_proof_of(options, order),
        only_identify=options.identify,
        admit=admit,
    )
    if task.boot is not None:
        for port in ports:
            check_console(port)
    if dry_run:
        _show_plan(output, order, ports)
        return 0, []
    logs = Logs(options.log_dir)
    worker = Worker(task, Units(previous.done if previous else ()), logs, isolate=options.isolate)
    if worker.isolated and not options.isolate:
        output.say("note: this esptool is run as a program for each board, which is slower")
        output.event("isolated")
    files = StationFiles(options.report, options.junit, options.count)
    run = StationRun(output, files, worker, _Account(order, previous, asked=options.identify), logs)
    return run.run(ports, (lambda: present_ports(patterns)) if options.watch else None)


def previous_run(
    path: Path, fingerprint: str, words: Callable[[object], Word] = Verdict
) -> PreviousRun:
    """What is left of the run that wrote the report at `path`.

    Raises:
        ConfigError: there is no such report, or it is of a run with other images.
    """
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file", fix="check the name") from error
    previous = parse_report(text, path, words)
    check_same_order(previous, fingerprint, path)
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


class _Account:
    """A run of `evtool flash` in words and documents."""

    def __init__(self, order: Order, previous: PreviousRun | None, *, asked: bool) -> None:
        self._order = order
        self._kept = () if previous is None else previous.kept
        self.board = board_document
        self.table = partial(render_table, columns=IDENTIFIED) if asked else render_table
        self.junit = render_junit
        self.crashed = crashed

    def document(
        self, results: Sequence[BoardResult], unfinished: Iterable[str]
    ) -> dict[str, object]:
        """The run so far."""
        return run_document(self._order, results, unfinished, self._kept)

    def counts(self, result: BoardResult) -> bool:
        """Whether `--count` counts it."""
        return result.verdict.good and result.verdict is not Verdict.REPEATED


def _show_plan(output: Output, order: Order, ports: Sequence[str]) -> None:
    lines = [f"would write to {len(ports)} boards ({order.chip}), {order.title}:"]
    lines += [f"  {part.offset:#010x} {len(part.data):>9}  {part.name}" for part in order.parts]
    lines.append(f"ports: {', '.join(ports) or 'those that appear'}")
    images = run_document(order, ())["images"]
    output.result(
        "\n".join(lines),
        {"event": "plan", "serial_ports": list(ports), "chip": order.chip, "images": images},
    )
