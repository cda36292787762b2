# SPDX-License-Identifier: GPL-3.0-or-later
"""A board's run as a verdict, told like any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from evtool.reference_impl.controller_types import Config
from evtool.verify.board.expect import judge_expectations
from evtool.verify.board.judge import Finding, count_judged, findings
from evtool.verify.board.live import LiveRun, history
from evtool.verify.board.seen import (
    CLOSED,
    CURRENT,
    FAULT,
    FLAGS,
    GATE,
    SWITCH,
    VOLTAGE,
)
from evtool.verify.compare import FieldDifference
from evtool.verify.scenario import Scenario
from evtool.verify.timeline import FIELDS, Timeline
from evtool.verify.verdict import Difference, GaveUp, Verdict

DEVICE = "board"
_HISTORY = 20
_SHOWN = 8
# Where the board shows a field of the state.
_SEEN_AS: Mapping[str, str] = {
    "requested_mv": "bms.voltage_mv", "requested_ma": "bms.current_ma",
    "soc_permille": "bms.soc_permille", "module": "power_module.state",
    "temperature_mdegc": "output.temperature_mdegc", "measured_mv": "terminal.voltage_mv",
    "measured_ma": "terminal.current_ma", "power_mw": "terminal.power_mw",
    "energy_mwh": "terminal.energy_mwh", "session_mwh": "terminal.session_mwh",
    **{name: name for name in (
        "plugged", "transaction", "permitted", "connected", SWITCH, GATE, VOLTAGE, CURRENT, FLAGS,
    )},
}  # fmt: skip


def not_run(scenario: Scenario, reason: str) -> Verdict:
    """Nothing was played."""
    return Verdict(scenario, DEVICE, 0, not_run=reason)


def gave_up(scenario: Scenario, run: LiveRun, reason: str, now_ms: int) -> Verdict:
    """The board, or what leads to it, did not last to the end."""
    start_ms = run.begun_ms if run.start_ms is None else run.start_ms
    told = history(run.log, now_ms, start_ms, _HISTORY)
    ended = GaveUp(
        reason,
        max(0, now_ms - start_ms),
        count_judged(run, start_ms, now_ms),
        told[-1] if told else "",
        tuple(told),
    )
    tolerances = run.setup.tolerances.as_document()
    return Verdict(scenario, DEVICE, ended.step, ended=ended, tolerances=tolerances)


def judged(scenario: Scenario, run: LiveRun, end_ms: int, *, with_timeline: bool) -> Verdict:
    """A scenario that was played to its end."""
    start_ms = run.begun_ms if run.start_ms is None else run.start_ms
    found = findings(run, start_ms, end_ms)
    expected = judge_expectations(
        run, scenario.events, start_ms, own_config=is_own_config(scenario, run.setup.config)
    )
    not_judged = expected.not_judged
    if (found or expected.failed) and run.busy_ms > run.setup.tolerances.base_ms // 2:
        # What it looked at late it blames on nobody; but a board that runs on it was late too.
        not_judged.append(
            f"whether this computer made it so: it was busy, up to {run.busy_ms} ms at a time"
        )
    return Verdict(
        scenario,
        DEVICE,
        count_judged(run, start_ms, end_ms),
        difference=_difference(run, found, start_ms) if found else None,
        failed=tuple(expected.failed),
        seconds=(end_ms - start_ms) / 1000,
        timeline=_timeline(run, start_ms, end_ms) if with_timeline else None,
        not_judged=tuple(not_judged),
        tolerances=run.setup.tolerances.as_document(),
    )


def is_own_config(scenario: Scenario, config: Mapping[str, str]) -> bool:
    """Whether the board is configured as the scenario takes it to be."""
    wanted = default_config() | {"id_tag": config.get("id_tag", "-")} | dict(scenario.config)
    return all(config.get(name) == value for name, value in wanted.items())


def default_config() -> dict[str, str]:
    """Every field of the controller's configuration with its default, as lines spell it."""
    return {
        name: str(getattr(value, "value", value)) or "-" for name, value in asdict(Config()).items()
    }


def _difference(run: LiveRun, found: list[Finding], start_ms: int) -> Difference:
    first = found[0]
    told = history(run.log, first.at_ms, start_ms, _HISTORY)
    return Difference(
        now_ms=first.at_ms - start_ms,
        step=count_judged(run, start_ms, first.at_ms),
        line=told[-1] if told else "",
        fields=tuple(
            FieldDifference(each.field, each.reference, each.device) for each in found[:_SHOWN]
        ),
        history=tuple(told),
        reference_state=_reference_state(run, first.at_ms),
        device_state=_device_state(run, first.at_ms),
    )


def _reference_state(run: LiveRun, now_ms: int) -> dict[str, str]:
    """The fields that a board shows."""
    state = {}
    for name in (*_SEEN_AS, "faults"):
        value = run.reference.was(name, now_ms)
        if value is not None and (name == "faults" or run.seen.at(_SEEN_AS[name], now_ms)):
            state[name] = value
    return state


def _device_state(run: LiveRun, now_ms: int) -> dict[str, str]:
    """As far as it was seen by then."""
    state = {}
    for name, field in _SEEN_AS.items():
        value = run.seen.at(field, now_ms)
        if value is not None:
            state[name] = value
    state["faults"] = _faults_at(run, now_ms)
    return state


def _faults_at(run: LiveRun, now_ms: int) -> str:
    return ",".join(
        field.removeprefix(FAULT)
        for field in sorted(run.seen.fields)
        if field.startswith(FAULT) and run.seen.at(field, now_ms) == "1"
    ) or "-"  # fmt: skip


def _timeline(run: LiveRun, start_ms: int, end_ms: int) -> Timeline:
    reference = {}
    for name in FIELDS:
        course = run.reference.courses.get(name)
        if course is not None:
            points = course.points(start_ms, end_ms)
            reference[name] = [(at_ms - start_ms, value) for at_ms, value in points]
    device = {}
    for name in FIELDS:
        field = _SEEN_AS.get(name, name)
        seen = run.seen.fields.get(field, [])
        if seen:
            first = CLOSED if name == GATE else "-"
            points = [(start_ms, run.seen.at(field, start_ms) or first)]
            points += [(s.at_ms, s.value) for s in seen if start_ms < s.at_ms <= end_ms]
            device[name] = _changes([(at_ms - start_ms, value) for at_ms, value in points])
    times = sorted(
        {start_ms}
        | {
            each.at_ms
            for field, seen in run.seen.fields.items()
            if field.startswith(FAULT)
            for each in seen
            if start_ms < each.at_ms <= end_ms
        }
    )
    device["faults"] = _changes([(at_ms - start_ms, _faults_at(run, at_ms)) for at_ms in times])
    return Timeline(end_ms - start_ms, reference, device, ())


def _changes(points: list[tuple[int, str]]) -> list[tuple[int, str]]:
    return [
        point for n, point in enumerate(points) if n == 0 or point[1] != points[n - 1][1]
    ]  # fmt: skip
