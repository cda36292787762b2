# SPDX-License-Identifier: GPL-3.0-or-later
"""A stretch of a log as a scenario: played on reference and device, judged, and saved."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evtool.reference_impl.controller_types import Config
from evtool.reference_impl.line_format import parse_command
from evtool.verify.device_under_test import DeviceUnderTest
from evtool.verify.from_log import RECKONED_MS, TOLERANCE_MS
from evtool.verify.from_log.claims import claims
from evtool.verify.from_log.figures import Figures
from evtool.verify.from_log.senses import Senses, sense
from evtool.verify.from_log.stretches import Stretch
from evtool.verify.raw_lines import render_lines_scenario
from evtool.verify.run import Recording, judge
from evtool.verify.scenario import Event, Scenario
from evtool.verify.verdict import Verdict

RULE = "docs/controller.md, as far as a console shows it (docs/verify.md)"

_NEVER_JUDGED = (
    "frames that the unit sent, and OCPP's own work: a console does not show them",
    "state of charge, heartbeat, metrics: the frames behind them are not shown",
    "what came and went between two prints of a view, one second apart",
)
_IN_THE_MIDST = (
    "what held before the log begins; answers to s and t: the log does not begin with a start"
)
_UNTIMED = "which of several reasons closed the gate: the log has no times"


@dataclass(frozen=True, slots=True)
class Case:
    """One stretch, ready to be played.

    Attributes:
        on_trust: what the scenario takes as the unit said it.
    """

    stretch: Stretch
    senses: Senses
    scenario: Scenario
    tolerance_ms: int
    reckoned: bool

    @property
    def not_judged(self) -> tuple[str, ...]:
        """What a reader must know of the verdict."""
        trusted = (f"taken on trust: {each}" for each in self.senses.on_trust)
        midst = () if self.stretch.booted else (_IN_THE_MIDST,)
        untimed = (_UNTIMED,) if self.reckoned else ()
        return (*_NEVER_JUDGED, *midst, *untimed, *trusted)


def make_case(
    stretch: Stretch, name: str, configuration: Mapping[str, str], *, reckoned: bool
) -> Case:
    """The scenario of a stretch.

    Args:
        name: under which it is reported.
        configuration: the controller's, as far as it differs from the default.
        reckoned: whether the log's times were counted by its views.
    """
    fields = {"id_tag": "" if _lacks_id_tag(stretch) else "LOCAL"} | dict(configuration)
    settings = " ".join(f"{key}={value}" for key, value in fields.items() if value != "")
    config = _config(settings)
    tolerance_ms = TOLERANCE_MS + RECKONED_MS * reckoned
    senses = sense(stretch, config, settings or "buses=1")
    seconds = (stretch.end_ms - stretch.begin_ms) / 1000
    begins = "from its start" if stretch.booted else "already running"
    scenario = Scenario(
        name=name,
        title=f"{seconds:.0f} s of a unit's console, {begins}",
        rule=RULE,
        duration_ms=senses.end_ms,
        tick_ms=0,
        config={},
        events=tuple(claims(stretch, senses, tolerance_ms, reckoned=reckoned)),
        lines=tuple(senses.lines),
    )
    return Case(stretch, senses, scenario, tolerance_ms, reckoned)


def _config(settings: str) -> Config:
    config = parse_command(f"config {settings}", Config()) if settings else Config()
    if isinstance(config, Config):
        return config
    # The values come from a project that was checked, or from a scenario that was.
    raise TypeError(f"not a configuration: {settings}")


def _lacks_id_tag(stretch: Stretch) -> bool:
    return any(each.word("reason") == "no_id_tag" for each in stretch.events("start"))


def play_case(case: Case, device: DeviceUnderTest, *, with_timeline: bool = False) -> Verdict:
    """Play it on both: the log against the reference, and the device against it, too."""
    recording = Recording(case.scenario)
    figures = Figures(case.stretch, case.senses)
    steps = figures.watch(recording.steps())
    verdict = judge(case.scenario, device, steps, with_timeline=with_timeline)
    deque(steps, maxlen=0)  # all of it, even where the device went wrong early
    failed = sorted((*recording.failed, *figures.failed), key=lambda each: each.at_ms)
    return replace(
        verdict,
        failed=tuple(failed),
        not_judged=case.not_judged,
        tolerances={"event_ms": case.tolerance_ms},
    )


def render_case(case: Case, log_name: str) -> str:
    """The scenario file: the unit's inputs, and what it said as expectations."""
    head = render_lines_scenario(
        case.scenario.title,
        case.scenario.rule,
        case.scenario.lines,
        (
            f"Made by: evtool verify --from-log {log_name} --save",
            f"Lines {case.stretch.entries[0].number} to {case.stretch.entries[-1].number} of it.",
            *(f"Not judged: {each}" for each in case.not_judged),
        ),
    )
    return head + "".join(_event_text(each) for each in case.scenario.events)


def _event_text(event: Event) -> str:
    lines = [f"\n# line {event.line} of the log", "[[event]]", f'at = "{event.at_ms}ms"']
    for key, patterns in (("output", event.output), ("absent", event.absent)):
        if patterns:
            lines.append(f"{key} = {_toml_list(patterns)}")
    lines.append(f'within = "{event.within_ms}ms"')
    return "\n".join(lines) + "\n"


def _toml_list(texts: Sequence[str]) -> str:
    # A basic string of TOML is a string of JSON where all of it is ASCII.
    return "[" + ", ".join(json.dumps(text) for text in texts) + "]"
