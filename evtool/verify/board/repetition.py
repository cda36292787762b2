# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a board says what it repeats: not too rarely, and not too often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from evtool.protocol.can_tables import (
    CapacityQuery,
    ChargeFeedback,
    DischargeQuery,
    TelemetryRequest,
)
from evtool.reference_impl import module_commands
from evtool.verify.board.course import Course, Sighting
from evtool.verify.board.live import LiveRun
from evtool.verify.board.seen import CURRENT, FLAGS, SWITCH, VOLTAGE

_RECORD_MS = 1_000
_TURN_MS = 300
"""Switch, voltage and current take turns of 100 ms."""
_SLACK = 5
_TRANSMITTING = ("running", "error_passive")

_DISCHARGE = "discharge_query"

Fault = tuple[int, str, str, str]
"""Time, field, what is right, what was seen."""


class Stream(NamedTuple):
    """Something that is repeated; `is_counted` where it can be too often, too."""

    field: str
    longest_gap_ms: int
    period_ms: int
    is_counted: bool = True


def gaps_and_rates(run: LiveRun, start_ms: int, end_ms: int) -> Iterator[Fault]:
    """What is repeated too rarely or too often between two times."""
    buses = run.reference.courses
    own_bus = "bus1" if run.setup.config.get("buses") == "2" else "bus0"
    for from_ms, to_ms in _transmitting(buses["bus0"], start_ms, end_ms):
        yield from _frames(run, _module_streams(run), from_ms, to_ms)
        yield from _questions(run, from_ms, to_ms)
    for from_ms, to_ms in _transmitting(buses[own_bus], start_ms, end_ms):
        yield from _frames(run, _bms_streams(run), from_ms, to_ms)
        yield from _foreign_query(run, from_ms)
    yield from _records(run, start_ms, end_ms)


def _transmitting(bus: Course, start_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
    """The stretches of time in which frames can go out, as the board says."""
    begin_ms: int | None = None
    for value, from_ms, to_ms, _ in bus.spans():
        if to_ms <= start_ms or from_ms >= end_ms:
            continue
        if value in _TRANSMITTING:
            begin_ms = max(from_ms, start_ms) if begin_ms is None else begin_ms
        elif begin_ms is not None:
            yield begin_ms, from_ms
            begin_ms = None
    if begin_ms is not None:
        yield begin_ms, end_ms


def _module_streams(run: LiveRun) -> list[Stream]:
    tolerances = run.setup.tolerances
    turn_gap_ms = tolerances.turn_gap_ms + tolerances.period_ms
    question_ms = TelemetryRequest.PERIOD_MS
    return [
        Stream(SWITCH, tolerances.switch_gap_ms, _TURN_MS),
        Stream(VOLTAGE, turn_gap_ms, _TURN_MS),
        Stream(CURRENT, turn_gap_ms, _TURN_MS),
        Stream("question", question_ms + tolerances.period_ms, question_ms, is_counted=False),
    ]


def _bms_streams(run: LiveRun) -> list[Stream]:
    periods_ms = {FLAGS: ChargeFeedback.PERIOD_MS, "capacity_query": CapacityQuery.PERIOD_MS}
    if _asks_discharge(run):
        periods_ms[_DISCHARGE] = DischargeQuery.PERIOD_MS
    late_ms = run.setup.tolerances.period_ms
    return [
        Stream(field, period_ms + late_ms, period_ms) for field, period_ms in periods_ms.items()
    ]


def _asks_discharge(run: LiveRun) -> bool:
    return run.setup.config["capacity_source"] == "charged_minus_discharged"


def _foreign_query(run: LiveRun, start_ms: int) -> Iterator[Fault]:
    seen = run.seen.last(_DISCHARGE)
    if seen is not None and seen.at_ms > start_ms and not _asks_discharge(run):
        yield seen.at_ms, f"{_DISCHARGE} (CAN)", "never, with this pack", "sent"


def _frames(run: LiveRun, streams: Sequence[Stream], start_ms: int, end_ms: int) -> Iterator[Fault]:
    base_ms = run.setup.tolerances.base_ms
    for field, longest_ms, period_ms, is_counted in streams:
        seen_all = run.seen.fields.get(field, [])
        yield from _gap(field, seen_all, longest_ms + base_ms, start_ms, end_ms)
        inside = [each for each in seen_all if start_ms < each.at_ms <= end_ms]
        changes = sum(a.value != b.value for a, b in pairwise(inside))
        # A change goes out at once, and its repetition keeps its turn.
        most = (end_ms - start_ms) * 5 // (4 * period_ms) + 2 * changes + _SLACK
        if is_counted and len(inside) > most:
            yield end_ms, f"{field} (CAN)", f"at most {most} times", f"{len(inside)} times"


def _questions(run: LiveRun, start_ms: int, end_ms: int) -> Iterator[Fault]:
    """Each telemetry question by itself."""
    tolerances = run.setup.tolerances
    round_ms = len(module_commands.TELEMETRY_TURNS) * TelemetryRequest.PERIOD_MS
    longest_ms = round_ms + tolerances.period_ms + tolerances.base_ms
    asked = run.seen.fields.get("question", [])
    for function in module_commands.TELEMETRY_TURNS:
        own = [each for each in asked if each.value == f"{function:02X}"]
        yield from _gap(f"question {function:02X}", own, longest_ms, start_ms, end_ms)


def _gap(
    field: str, seen: Sequence[Sighting], longest_ms: int, start_ms: int, end_ms: int
) -> Iterator[Fault]:
    """The first pause that is longer than it may be."""
    last_ms = start_ms
    for each in seen:
        if each.at_ms <= start_ms:
            continue
        if each.since_ms > end_ms:
            break
        if each.since_ms - last_ms > longest_ms:
            yield (
                last_ms + longest_ms,
                f"{field} (CAN)",
                f"again within {longest_ms} ms",
                (f"after {each.since_ms - last_ms} ms"),
            )
            return
        last_ms = each.at_ms
    if end_ms - last_ms > longest_ms:
        yield last_ms + longest_ms, f"{field} (CAN)", f"again within {longest_ms} ms", "(nothing)"


def _records(run: LiveRun, start_ms: int, end_ms: int) -> Iterator[Fault]:
    """A view prints its records at once and then once a second, and no others."""
    tolerances = run.setup.tolerances
    margin_ms = tolerances.record_ms + tolerances.base_ms
    longest_ms = _RECORD_MS + margin_ms
    for name in ("bms", "power_module", "output", "terminal"):
        seen = run.seen.fields.get(f"record.{name}", [])
        for view, from_ms, to_ms, _ in run.view.spans():
            if view not in (name, "all") or to_ms < start_ms:
                continue
            for at_ms, _, right, shown in _gap(
                name, seen, longest_ms, max(from_ms, start_ms), min(to_ms, end_ms)
            ):
                yield at_ms, f"[{name}] (console)", right, shown
                break
        for each in seen:
            views = run.view.within(each.since_ms - margin_ms, each.at_ms + margin_ms)
            inside = start_ms < each.at_ms <= end_ms
            if inside and not {name, "all"} & set(views):
                shown = "printed"
                yield each.at_ms, f"[{name}] (console)", f"nothing in view {views[-1]}", shown
                break
