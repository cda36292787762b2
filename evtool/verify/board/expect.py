# SPDX-License-Identifier: GPL-3.0-or-later
"""A scenario's own expectations, as far as they can be seen on a board."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from evtool.reference_impl.numbers import current_setpoint_to_milli, current_setpoint_to_raw
from evtool.verify.board.course import Sighting
from evtool.verify.board.live import LiveRun
from evtool.verify.board.seen import (
    CLOSED,
    CONNECTED,
    CURRENT,
    FAULT,
    FLAGS,
    GATE,
    PERMIT,
    PLUG,
    SWITCH,
    TRANSACTION,
    VOLTAGE,
)
from evtool.verify.expectations import first_missing, matches
from evtool.verify.scenario import Event
from evtool.verify.verdict import FailedExpectation

# The state's fields that hold until they are said anew.
_HELD: Mapping[str, str] = {
    "energised": SWITCH, "plugged": PLUG, "bms_alive": PLUG, "transaction": TRANSACTION,
    "permitted": PERMIT, "connected": CONNECTED, "gate": GATE,
}  # fmt: skip
# Those that a frame or a record shows: where, and how coarsely.
_SHOWN: Mapping[str, tuple[str, int]] = {
    "setpoint_mv": (VOLTAGE, 1),
    "setpoint_ma": (CURRENT, 1),
    "flags": (FLAGS, 1),
    "requested_mv": ("bms.voltage_mv", 10),
    "requested_ma": ("bms.current_ma", 10),
    "soc_permille": ("bms.soc_permille", 1),
    "module": ("power_module.state", 1),
    "temperature_mdegc": ("output.temperature_mdegc", 100),
    "measured_mv": ("terminal.voltage_mv", 10),
    "measured_ma": ("terminal.current_ma", 10),
    "power_mw": ("terminal.power_mw", 100),
}
_EVENT_KINDS = ("plug", "transaction", "permit", "gate", "fault", "start", "stop")
_FAULTS = "faults"


@dataclass(slots=True)
class Expected:
    """What came of a scenario's expectations.

    Attributes:
        failed: in the order of the scenario.
        not_judged: each once, with the reason.
    """

    failed: list[FailedExpectation]
    not_judged: list[str]


def judge_expectations(
    run: LiveRun, events: Iterable[Event], start_ms: int, *, own_config: bool
) -> Expected:
    """Judge every expectation, within `expect_ms` of its time.

    Args:
        own_config: whether the board is configured just as the scenario says; otherwise what
            the reference misses as well proves nothing.
    """
    judge = _Judge(run, start_ms, own_config)
    failed: list[FailedExpectation] = []
    for event in events:
        for field, expected, actual in judge.event(event):
            at_ms = event.at_ms
            failed.append(
                FailedExpectation(at_ms, at_ms, event.line, field, expected, actual, "board")
            )
    return Expected(failed, sorted(set(judge.not_judged)))


class _Judge:
    def __init__(self, run: LiveRun, start_ms: int, own_config: bool) -> None:
        self._run = run
        self._start_ms = start_ms
        self._own_config = own_config
        self._margin_ms = run.setup.tolerances.expect_ms + run.setup.tolerances.base_ms
        self.not_judged: list[str] = []

    def event(self, event: Event) -> Iterator[tuple[str, str, str]]:
        """(field, expected, seen) for all that was expected in vain."""
        now_ms = self._start_ms + event.at_ms
        for name, expected in event.expect.items():
            values = self._values(name, now_ms)
            if values is None:
                self.not_judged.append(f"{name}: a board does not show it")
            elif not values:
                self.not_judged.append(f"{name}: the board was not showing it (line {event.line})")
            elif not any(_fits(name, expected, value) for value in values):
                if self._own_config or self._reference_meets(name, expected, now_ms):
                    yield name, expected, " then ".join(dict.fromkeys(values))
                else:
                    self.not_judged.append(f"{name}: the board's configuration is another")
        yield from self._lines(event, now_ms)

    def _values(self, name: str, now_ms: int) -> list[str] | None:
        """What was seen of a state's field around a time; None for one that is never seen."""
        if name == _FAULTS:
            return self._faults(now_ms)
        if name in _HELD:
            first = CLOSED if name == GATE else "0"
            if name == "connected" and self._run.expected is not None:
                first = self._run.expected.courses[CONNECTED].at(self._start_ms) or first
            return self._held(_HELD[name], first, now_ms)
        if name in _SHOWN:
            field, _ = _SHOWN[name]
            return [each.value for each in self._around(field, now_ms)]
        return None

    def _held(self, field: str, first: str, now_ms: int) -> list[str]:
        before = self._run.seen.at(field, now_ms - self._margin_ms) or first
        return [before, *(each.value for each in self._around(field, now_ms))]

    def _around(self, field: str, now_ms: int) -> list[Sighting]:
        low, high = now_ms - self._margin_ms, now_ms + self._margin_ms
        seen = self._run.seen.fields.get(field, [])
        return [each for each in seen if low < each.at_ms <= high]

    def _faults(self, now_ms: int) -> list[str]:
        """Every set of active faults that held around a time, named as in the state line."""
        fields = [field for field in self._run.seen.fields if field.startswith(FAULT)]
        low = now_ms - self._margin_ms
        active = {field for field in fields if self._run.seen.at(field, low) == "1"}
        found = [_named(active)]
        changes = [(each.at_ms, field, each) for field in fields for each in self._around(
            field, now_ms
        )]  # fmt: skip
        for _, field, each in sorted(changes, key=lambda change: change[0]):
            active = active | {field} if each.value == "1" else active - {field}
            found.append(_named(active))
        return found

    def _reference_meets(self, name: str, expected: str, now_ms: int) -> bool:
        course = self._run.reference.courses.get(name)
        had = [] if course is None else course.within(
            now_ms - self._margin_ms, now_ms + self._margin_ms
        )  # fmt: skip
        return any(_fits(name, expected, value) for value in had)

    def _lines(self, event: Event, now_ms: int) -> Iterator[tuple[str, str, str]]:
        since_ms = now_ms - event.within_ms
        for medium in ("can ", "console "):
            output = self._visible(event.output, medium)
            wide = self._between(medium, since_ms - self._margin_ms, now_ms + self._margin_ms)
            missing = first_missing(output, wide)
            if missing is not None:
                yield "output", missing, "(nothing)"
            absent = self._visible(event.absent, medium)
            low, high = since_ms + self._margin_ms, now_ms - self._margin_ms
            if absent and low >= high:
                self.not_judged.append(f"absent: looks back too short a time (line {event.line})")
                continue
            for pattern in absent:
                narrow = self._between(medium, low, high)
                found = next((each for each in narrow if matches(pattern, each)), None)
                if found is not None:
                    yield "absent", f"no {pattern}", found
        if event.first_frame is not None:
            self.not_judged.append("first_frame: the order within a millisecond is not seen")

    def _visible(self, patterns: Sequence[str], medium: str) -> list[str]:
        """The patterns that frames, or events in a scenario's time, can be held against."""
        visible = []
        for pattern in patterns:
            kind = pattern.removeprefix("console [event] ").split(" ", 1)[0]
            is_event = pattern.startswith("console [event] ") and kind in _EVENT_KINDS
            if pattern.startswith(medium) and (medium == "can " or is_event):
                visible.append(pattern)
            elif not (pattern.startswith("can ") or is_event):
                self.not_judged.append(f"line `{pattern}`: not to be seen in a scenario's time")
        return visible

    def _between(self, medium: str, low: int, high: int) -> list[str]:
        return [
            each.value
            for each in self._run.lines
            if low < each.at_ms <= high and each.value.startswith(medium)
        ]


def _fits(name: str, expected: str, value: str) -> bool:
    if name == GATE:
        # The reason is printed when the gate closes; that it has become another is not.
        return (expected == "open") == (value == "open")
    if name == CURRENT and expected.isdigit():
        expected = str(current_setpoint_to_milli(current_setpoint_to_raw(int(expected))))
    coarse = _SHOWN.get(name, ("", 1))[1]
    if coarse > 1 and _is_number(expected) and _is_number(value):
        return abs(int(expected) - int(value)) <= coarse // 2
    return expected == value


def _is_number(text: str) -> bool:
    return text.lstrip("-").isdigit()


def _named(active: Iterable[str]) -> str:
    order = ("over_temperature", "over_voltage", "over_current", "module_disobeys", "bus_off")
    names = {field.removeprefix(FAULT) for field in active}
    return ",".join(name for name in order if name in names) or "-"
