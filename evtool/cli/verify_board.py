# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool verify --device board`: opens what the bench needs, and plays what can be played."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path

from evtool.cli.bench_csms import BenchCsms
from evtool.cli.board_bench import BoardBench
from evtool.cli.board_options import BoardOptions
from evtool.cli.options import open_project
from evtool.cli.output import Output
from evtool.cli.sim_input import parse_listen
from evtool.cli.station_keys import station_keys
from evtool.cli.verify_runs import Progress
from evtool.errors import ConfigError, DeviceError
from evtool.link.can_bus import CanBus, open_can_bus
from evtool.link.serial_line import open_serial_line
from evtool.project import Project
from evtool.verify.board.live import Setup
from evtool.verify.board.outcome import not_run
from evtool.verify.board.plan import Means, why_not
from evtool.verify.board.tolerances import Tolerances
from evtool.verify.scenario import Scenario
from evtool.verify.verdict import Verdict

_NO_CSMS = "give --csms-listen"


def verify_board(
    options: BoardOptions,
    project_path: Path | None,
    chosen: Sequence[Scenario],
    output: Output,
    *,
    with_timeline: bool,
    take: Callable[[Verdict], None],
) -> DeviceError | None:
    """Play the scenarios one after the other.

    Args:
        take: called with each verdict as it comes.

    Returns:
        the link that was lost on the way; None where none was.

    Raises:
        ConfigError: the options and the project do not fit together.
        DeviceError: a port, bus or address cannot be opened; no board, or another module.
    """
    project = open_project(project_path)
    if project.can.buses == 2 and options.bms_can_channel is None:
        raise ConfigError(
            f"{project.path}: buses = 2: the BMS has a bus of its own",
            fix="name it with --bms-can-channel",
        )
    if project.can.buses == 1 and options.bms_can_channel is not None:
        raise ConfigError(
            f"--bms-can-channel: {project.path} says that the board has one bus",
            fix="leave it out, or write buses = 2 under [can]",
        )
    if options.csms_listen is not None and not project.csms.url.startswith("ws://"):
        raise ConfigError(
            f"{project.path}: csms.url = {project.csms.url}: evtool's CSMS has no TLS",
            fix="verify without --csms-listen, or a board that is provisioned with ws://",
        )
    session = _Session(options, project, chosen, output, with_timeline, take)
    with ExitStack() as stack:
        channels = [options.can_channel, options.bms_can_channel][: project.can.buses]
        buses = [
            stack.enter_context(
                closing(open_can_bus(options.can_interface, channel, project.can.bitrate))
            )
            for channel in channels
        ]
        return asyncio.run(session.run(buses))


class _Session:
    """One command: which scenarios, on what bench."""

    def __init__(
        self,
        options: BoardOptions,
        project: Project,
        chosen: Sequence[Scenario],
        output: Output,
        with_timeline: bool,
        take: Callable[[Verdict], None],
    ) -> None:
        self._options = options
        self._project = project
        self._chosen = chosen
        self._output = output
        self._with_timeline = with_timeline
        self._take = take
        self._progress: Progress | None = None
        self._told = ""

    async def run(self, buses: Sequence[CanBus]) -> DeviceError | None:
        """All of it; returns the link that was lost."""
        ended_by_signal = _end_on_sigterm()
        csms: BenchCsms | None = None
        # The console first: a board that connects says so there, once.
        with open_serial_line(self._options.serial_port or "") as line:
            try:
                csms = await self._csms()
                bench = BoardBench(buses, line, csms, self._tell)
                try:
                    await self._all(bench)
                finally:
                    left = await bench.leave()
                    self._finish_progress()
                    if left:
                        self._output.event("left", problem=left)
                        self._output.say(f"{left}: see to it before it meets a real module")
            except asyncio.CancelledError:
                if ended_by_signal:
                    raise SystemExit(128 + ended_by_signal[0]) from None
                raise
            finally:
                if csms is not None:
                    await csms.close()
        return bench.lost

    async def _csms(self) -> BenchCsms | None:
        if self._options.csms_listen is None:
            return None
        host, port = parse_listen(self._options.csms_listen, "--csms-listen")
        csms = BenchCsms(self._project.charge_point.identity, station_keys(self._project.path))
        try:
            actual = await csms.listen(host, port)
        except DeviceError as error:
            raise DeviceError(
                error.message,
                fix="give --csms-listen an address of this computer that nothing else uses",
            ) from error
        self._output.event("csms", host=host, port=actual)
        return csms

    async def _all(self, bench: BoardBench) -> None:
        await bench.look_around()
        means = await self._means(bench)
        tolerances = _tolerances(self._options)
        setup = Setup(means.config, bench.csms is not None and not means.no_csms, tolerances)
        reasons = [why_not(each, means) for each in self._chosen]
        playable = sum(not reason for reason in reasons)
        self._output.event("tolerances", **tolerances.as_document())
        self._output.say(f"tolerances (ms): {tolerances}")
        number = 0
        for scenario, planned in zip(self._chosen, reasons, strict=True):
            reason = planned
            if not reason and bench.lost is not None:
                reason = f"the bench was lost: {bench.lost.message}"
            if reason:
                verdict = not_run(scenario, reason)
            else:
                number += 1
                self._told = f"{number} of {playable}, "
                verdict = await bench.play(scenario, setup, with_timeline=self._with_timeline)
            self._finish_progress()
            self._take(verdict)

    async def _means(self, bench: BoardBench) -> Means:
        no_csms = _NO_CSMS
        if bench.csms is not None:
            no_csms = ""
            with_it, without = self._plan(""), self._plan(_NO_CSMS)
            wanted = any(not why_not(each, with_it) and why_not(each, without) for each in (
                self._chosen
            ))  # fmt: skip
            if wanted and not await bench.wait_for_connection():
                why = bench.csms.why_not or f"csms.url = {self._project.csms.url}"
                no_csms = f"the board did not connect: {why}"
        return self._plan(no_csms)

    def _plan(self, no_csms: str) -> Means:
        return Means(
            config=board_config(self._project),
            no_csms=no_csms,
            remote_frames=self._options.can_interface != "socketcand",
            max_duration_ms=self._options.max_duration_s * 1000,
        )

    def _tell(self, what: str, seconds: int, of: int) -> None:
        label = f"{self._told}{what}:"
        if self._progress is None or self._progress.what != label:
            self._finish_progress()
            self._progress = Progress(self._output, label, "s", of or None)
        self._progress.tell(seconds)

    def _finish_progress(self) -> None:
        if self._progress is not None:
            self._progress.finish()
            self._progress = None


def board_config(project: Project) -> dict[str, str]:
    """The controller's configuration of the project's boards, as lines spell it."""
    fields = asdict(project.can) | asdict(project.limits)
    config = {name: str(value) for name, value in fields.items() if name != "bitrate"}
    return config | {"id_tag": project.charge_point.local_id_tag or "-"}


def _tolerances(options: BoardOptions) -> Tolerances:
    if options.tolerance_ms is None:
        return Tolerances()
    return Tolerances(base_ms=options.tolerance_ms)


def _end_on_sigterm() -> list[int]:
    """SIGTERM ends the task as Ctrl-C does, so that the bench is left properly."""
    task = asyncio.current_task()
    numbers: list[int] = []

    def end() -> None:
        numbers.append(signal.SIGTERM)
        if task is not None:
            task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    return numbers
