# SPDX-License-Identifier: GPL-3.0-or-later
"""How `evtool verify` runs what it was asked for: on every core, with progress, and what it
finds saved as a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click

from evtool.cli.output import Output
from evtool.errors import ConfigError, EvtoolError
from evtool.link.can_log import CanLog, Survey
from evtool.link.clock import monotonic_ms
from evtool.link.files import write_atomically
from evtool.link.worker_pool import WorkerPool
from evtool.verify import fuzz
from evtool.verify.device_under_test import DeviceUnderTest, HostProgram
from evtool.verify.replay import Replay, replay_scenario
from evtool.verify.run import judge, reference_steps, run_scenario
from evtool.verify.scenario import Scenario
from evtool.verify.step import Step
from evtool.verify.verdict import Verdict

SHRINK_S = 60
# A try is over in milliseconds; what takes longer than this hangs.
_SEARCH_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Runs:
    """What all runs of one command share.

    Attributes:
        workers: processes that play scenarios and chunks beside each other.
        save_to: the folder for what a fuzz finds.
    """

    device: DeviceUnderTest
    output: Output
    workers: int
    save_to: Path
    with_timeline: bool = False

    def scenarios(self, chosen: Sequence[Scenario]) -> Iterator[Verdict]:
        """A verdict a scenario, in their order."""
        play = partial(play_scenario, device=self.device, with_timeline=self.with_timeline)
        with WorkerPool(min(self.workers, len(chosen))) as pool:
            yield from pool.map(play, chosen)

    def fuzz(self, seed: int, steps: int) -> Verdict:
        """One verdict: nothing found, or the first difference, shrunk and saved."""
        progress = Progress(self.output, f"fuzz, seed {seed}:", "steps", steps)
        start_ms = monotonic_ms()
        try:
            with WorkerPool(self.workers) as pool:
                found = _first_wrong(self.device, pool, fuzz.chunks(seed, steps), progress)
        finally:
            progress.finish()
        seconds = (monotonic_ms() - start_ms) / 1000
        verdict = fuzz.summary(seed, steps, self.device.name)
        if found is None:
            return replace(verdict, seconds=seconds)
        chunk, wrong = found
        wrong = replace(wrong, scenario=verdict.scenario, seconds=seconds)
        name = f"fuzz-{seed}-{fuzz.what_is_wrong(wrong)}"
        command = f"evtool verify --fuzz --seed {seed} --steps {steps}"
        return self.explain(wrong, chunk.lines(), name, command)

    def replay(self, log: CanLog, how: Replay) -> Verdict:
        """One verdict on a whole log.

        Raises:
            ConfigError: the log cannot be read, or the BMS's channel is not in it.
        """
        survey = log.survey()
        if how.bms_channel is not None and how.bms_channel not in survey.channels:
            raise ConfigError(
                f"{log.path}: no frame on channel {how.bms_channel}",
                fix="give --bms-channel as python-can counts (channel 1 of an ASC or BLF file "
                f"is 0): {_counted(survey.channels)}",
            )
        self._describe(log, survey)
        progress = Progress(self.output, f"{log.path.name}:", "steps", None)
        start_ms = monotonic_ms()
        try:
            verdict = judge(
                replay_scenario(log.path.name, survey.frames),
                self.device,
                progress.count(reference_steps(how.lines(log.frames()))),
                with_timeline=self.with_timeline,
            )
        finally:
            progress.finish()
        verdict = replace(verdict, seconds=(monotonic_ms() - start_ms) / 1000)
        if verdict.passed:
            return verdict
        return self.explain(
            verdict,
            list(how.lines(log.frames())),
            f"replay-{log.path.stem}-{fuzz.what_is_wrong(verdict)}",
            f"evtool verify --replay {log.path.name}",
        )

    def _describe(self, log: CanLog, survey: Survey) -> None:
        self.output.event(
            "log",
            file=str(log.path),
            frames=survey.frames,
            duration_ms=survey.end_ms,
            channels=dict(survey.channels),
            left_out=dict(survey.left_out),
        )
        left_out = f"; left out: {_counted(survey.left_out)}" if survey.left_out else ""
        self.output.say(
            f"{log.path}: {survey.frames} frames in {survey.end_ms / 1000:.3f} s, "
            f"channels: {_counted(survey.channels)}{left_out}"
        )

    def explain(self, wrong: Verdict, lines: Sequence[str], name: str, found_by: str) -> Verdict:
        """Shrink the lines that went wrong, save them, and say where."""
        progress = Progress(self.output, "shrinking:", "lines", None)
        end_ms = monotonic_ms() + SHRINK_S * 1000
        device = self.device
        if isinstance(device, HostProgram):
            device = device.hurried(_SEARCH_PATIENCE_S)
        try:
            finding = fuzz.narrow(
                lines, wrong, device, lambda: monotonic_ms() > end_ms, progress.tell
            )
        finally:
            progress.finish()
        path = self.save_to / f"{_file_name(name)}.toml"
        try:
            write_atomically(path, fuzz.render_finding(finding, f"{found_by}, on {device.name}"))
        except EvtoolError as error:  # what was found is worth more than its file
            self.output.event("not_saved", **error.as_dict())
            self.output.say(f"        not saved: {error.message}; give --save-to another folder")
            scenario = wrong.scenario
        else:
            scenario = replace(wrong.scenario, path=path)
            self.output.event(
                "saved", file=str(path), lines=len(finding.lines), of=finding.found_in
            )
            self.output.say(
                f"        {len(finding.lines)} of {finding.found_in} lines are enough: {path}"
            )
        shown = replace(finding.verdict, scenario=scenario, steps=wrong.steps)
        if not self.with_timeline:
            return shown
        steps = reference_steps(finding.lines)
        drawn = judge(scenario, self.device, steps, with_timeline=True)
        return replace(shown, timeline=drawn.timeline)


def play_scenario(scenario: Scenario, device: DeviceUnderTest, with_timeline: bool) -> Verdict:
    """One verdict, and how long it took."""
    start_ms = monotonic_ms()
    verdict = run_scenario(scenario, device, with_timeline=with_timeline)
    return replace(verdict, seconds=(monotonic_ms() - start_ms) / 1000)


def _first_wrong(
    device: DeviceUnderTest, pool: WorkerPool, chunks: Iterable[fuzz.Chunk], progress: Progress
) -> tuple[fuzz.Chunk, Verdict] | None:
    done = 0
    every = list(chunks)
    for chunk, verdict in zip(
        every, pool.map(partial(fuzz.run_chunk, device=device), every), strict=False
    ):
        if not verdict.passed:
            return chunk, verdict
        done += chunk.steps
        progress.tell(done)
    return None


def _counted(things: Mapping[str, int]) -> str:
    return ", ".join(f"{name or '(none)'} ({count})" for name, count in things.items())


def _file_name(text: str) -> str:
    return "-".join("".join(c if c.isalnum() or c == "_" else " " for c in text).split())


class Progress:
    """A line that is overwritten on a terminal; JSON lines with `--json`."""

    _EVERY_MS = 200
    _EVERY_JSON_MS = 2_000

    def __init__(self, output: Output, what: str, unit: str, of: int | None) -> None:
        self.what = what
        self._unit, self._of = unit, of
        self._output = output
        self._next_ms = monotonic_ms() + (self._EVERY_JSON_MS if output.as_json else 0)
        self._is_line_open = False
        self._show: Callable[[int], None] = lambda count: None
        if output.as_json:
            self._show = self._as_event
        elif sys.stderr.isatty():
            self._show = self._as_one_line

    def tell(self, count: int) -> None:
        """So many by now."""
        now_ms = monotonic_ms()
        if now_ms >= self._next_ms:
            self._next_ms = now_ms + (
                self._EVERY_JSON_MS if self._output.as_json else self._EVERY_MS
            )
            self._show(count)

    def count(self, steps: Iterable[Step]) -> Iterator[Step]:
        """The same steps, told every now and then."""
        for number, step in enumerate(steps, 1):
            yield step
            if number % 1000 == 0:
                self.tell(number)

    def finish(self) -> None:
        """Leave the terminal with an empty line to write on."""
        if self._is_line_open:
            click.echo("\r\x1b[K", nl=False, err=True)
            self._is_line_open = False

    def _as_event(self, count: int) -> None:
        of = {} if self._of is None else {"of": self._of}
        self._output.event("progress", what=self.what.rstrip(":"), **{self._unit: count}, **of)

    def _as_one_line(self, count: int) -> None:
        of = "" if self._of is None else f" of {self._of:,}"
        click.echo(f"\r\x1b[K  {self.what} {count:,}{of} {self._unit}", nl=False, err=True)
        self._is_line_open = True
