# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool verify --from-log LOG`: what a unit saw and did, against the reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from evtool.cli.console_log_file import log_lines
from evtool.cli.output import Output
from evtool.errors import ConfigError
from evtool.link.clock import monotonic_ms
from evtool.link.files import write_atomically
from evtool.protocol.console_log import read_console_log
from evtool.verify.device_under_test import DeviceUnderTest
from evtool.verify.from_log.case import Case, make_case, play_case, render_case
from evtool.verify.from_log.stretches import Cut, cut_log
from evtool.verify.verdict import Verdict


@dataclass(frozen=True, slots=True)
class LogRuns:
    """How a log is played.

    Attributes:
        configuration: the controller's, by the project.
        save_to: the folder for the scenarios; None where they are not kept.
    """

    device: DeviceUnderTest
    output: Output
    configuration: Mapping[str, str]
    save_to: Path | None
    with_timeline: bool = False

    def verdicts(self, path: Path) -> Iterator[Verdict]:
        """One for each stretch of the log in which everything was on view.

        Raises:
            ConfigError: it cannot be read, or there is no such stretch.
            EvtoolError: a scenario cannot be saved.
        """
        try:
            with path.open("rb") as stream:
                log = read_console_log(log_lines(stream, path))
                cut = cut_log(log.lines)
        except OSError as error:
            raise ConfigError(
                f"{path}: cannot be read: {error.strerror or error}",
                fix="check the name, and that it is a file of yours",
            ) from error
        if not cut.stretches:
            raise ConfigError(
                f"{path}: there is nothing in it that could be judged",
                fix="it takes 5 s or more with all four views, once a second: "
                "`evtool monitor --view all --log FILE`",
            )
        self._describe(path, cut, reckoned=log.reckoned)
        for number, stretch in enumerate(cut.stretches, 1):
            name = f"{path.stem}-{number}" if len(cut.stretches) > 1 else path.stem
            case = make_case(stretch, name, self.configuration, reckoned=log.reckoned)
            self._save(case, path)
            start_ms = monotonic_ms()
            verdict = play_case(case, self.device, with_timeline=self.with_timeline)
            # What is said of a line is said of the log's: people have that before them.
            scenario = replace(verdict.scenario, path=path)
            yield replace(verdict, scenario=scenario, seconds=(monotonic_ms() - start_ms) / 1000)

    def _save(self, case: Case, log: Path) -> None:
        if self.save_to is None:
            return
        path = self.save_to / f"from-log-{case.scenario.name}.toml"
        write_atomically(path, render_case(case, log.name))
        self.output.event("saved", file=str(path), lines=len(case.scenario.lines))
        self.output.say(f"        saved: {path}")

    def _describe(self, path: Path, cut: Cut, *, reckoned: bool) -> None:
        judged_s = sum(each.end_ms - each.begin_ms for each in cut.stretches) / 1000
        self.output.event(
            "log",
            file=str(path),
            stretches=len(cut.stretches),
            judged_s=judged_s,
            left_out_s=cut.left_out_ms / 1000,
            reckoned=reckoned,
        )
        left_out = f", {cut.left_out_ms / 1000:.0f} s without all views left out"
        times = "; it has no times: each round of the views counts as a second" if reckoned else ""
        self.output.say(
            f"{path}: {judged_s:.0f} s in {_count(len(cut.stretches))}"
            f"{left_out if cut.left_out_ms >= 1000 else ''}{times}"
        )


def tell_not_judged(verdicts: list[Verdict], output: Output) -> None:
    """What no verdict says anything about, each once; a verdict that differs tells it itself."""
    agreeing = [verdict for verdict in verdicts if not verdict.wrong]
    for each in dict.fromkeys(text for verdict in agreeing for text in verdict.not_judged):
        output.say(f"  not judged: {each}")


def _count(stretches: int) -> str:
    return "one stretch" if stretches == 1 else f"{stretches} stretches"
