# SPDX-License-Identifier: GPL-3.0-or-later
"""What was seen of a board against what the reference had, each within its tolerance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from evtool.verify.board.course import FOREVER_MS, Course, Sighting, first_stray
from evtool.verify.board.live import ENERGY, LiveRun
from evtool.verify.board.repetition import gaps_and_rates
from evtool.verify.board.seen import (
    CLOSED,
    CONNECTED,
    CURRENT,
    FAULT,
    FEEDBACK_CURRENT,
    FEEDBACK_VOLTAGE,
    FLAGS,
    GATE,
    PERMIT,
    PLUG,
    SWITCH,
    TRANSACTION,
    VOLTAGE,
)
from evtool.verify.board.tolerances import Tolerances

_RECORDS = ("bms.", "power_module.", "output.", "terminal.")
_SESSION = "terminal.session_mwh"
_NO_BYTES = "00" * 8
_AGE = ".age_ms"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in which the board left the reference."""

    at_ms: int
    field: str
    reference: str
    device: str


def findings(run: LiveRun, start_ms: int, end_ms: int) -> list[Finding]:
    """Everything in which the board left the reference between two times, in order of time."""
    judge = _Judge(run, start_ms, end_ms)
    found = [
        *judge.held(),
        *judge.shown(),
        *judge.keys(),
        *judge.refused(),
        *(Finding(*each) for each in gaps_and_rates(run, start_ms, end_ms)),
    ]
    return sorted(found, key=lambda each: each.at_ms)


def count_judged(run: LiveRun, start_ms: int, until_ms: int) -> int:
    """How much was seen from `start_ms` to `until_ms`: values, each compared once."""
    return sum(
        start_ms < each.at_ms <= until_ms
        for sightings in run.seen.fields.values()
        for each in sightings
    )


class _Judge:
    def __init__(self, run: LiveRun, start_ms: int, end_ms: int) -> None:
        self._run = run
        self._start_ms = start_ms
        self._end_ms = end_ms
        self._tolerances = run.setup.tolerances

    def held(self) -> Iterator[Finding]:
        """Fields that hold until they are said anew: the switch, and the console's events."""
        run, tolerances = self._run, self._tolerances
        base = tolerances.base_ms
        event = tolerances.event_ms + base
        ocpp = tolerances.ocpp_ms + base
        courses = run.reference.courses
        yield from self._held(
            SWITCH, courses[SWITCH], base, lambda to: _switch_ms(tolerances, to), "0", "CAN"
        )
        yield from self._held(GATE, courses[GATE], event, lambda _: event, CLOSED)
        yield from self._held(PLUG, courses[PLUG], event, lambda _: event, "0")
        faults = {field for field in (*courses, *run.seen.fields) if field.startswith(FAULT)}
        late = tolerances.fault_ms + base
        for field in sorted(faults):
            course = courses.get(field, Course("0", run.begun_ms))
            yield from self._held(field, course, late, lambda _: late, "0")
        if run.expected is None:
            return
        # Without evtool's CSMS nobody orders anything: then none may run.
        expected = run.expected.courses
        for field in (TRANSACTION, PERMIT):
            yield from self._held(field, expected[field], ocpp, lambda _: ocpp, "0")
        if not run.setup.csms:
            return
        back = tolerances.reconnect_ms + base
        yield from self._held(
            CONNECTED,
            expected[CONNECTED],
            ocpp,
            lambda to: back if to == "1" else ocpp,
            expected[CONNECTED].at(self._start_ms) or "0",
        )

    def _held(
        self,
        field: str,
        course: Course,
        early_ms: int,
        late_ms: Callable[[str], int],
        first: str,
        source: str = "console event",
    ) -> Iterator[Finding]:
        sightings = self._run.seen.fields.get(field, [])
        before = [each.value for each in sightings if each.at_ms <= self._start_ms]
        held = Sighting(before[-1] if before else first, self._start_ms, self._start_ms)
        seen = [held, *self._inside(sightings)]
        stray = first_stray(seen, _whole(course, first), self._end_ms, early_ms, late_ms, _same)
        if stray is not None:
            yield Finding(stray[0], f"{field} ({source})", stray[1], stray[2])

    def shown(self) -> Iterator[Finding]:
        """Fields that say something about the moment at which they are sent or printed."""
        tolerances = self._tolerances
        base = tolerances.base_ms
        courses = self._run.reference.courses
        for field, late in (
            (VOLTAGE, tolerances.setpoint_ms),
            (CURRENT, tolerances.setpoint_ms),
            (FLAGS, tolerances.fault_ms),
            (FEEDBACK_VOLTAGE, tolerances.feedback_ms),
            (FEEDBACK_CURRENT, tolerances.feedback_ms),
        ):
            yield from self._shown(field, courses[field], late + base, "CAN")
        for field in ("question", "capacity_query", "discharge_query"):
            for each in self._inside(self._run.seen.fields.get(field, [])):
                if each.value.startswith("unknown") or (
                    field != "question" and each.value != _NO_BYTES
                ):
                    yield Finding(each.at_ms, f"{field} (CAN)", "a known question", each.value)
                    break
        for field in sorted(self._run.seen.fields):
            if field.startswith(_RECORDS):
                course = courses.get(field, Course())
                yield from self._shown(field, course, tolerances.record_ms + base, "console")

    def _shown(self, field: str, course: Course, late_ms: int, source: str) -> Iterator[Finding]:
        accepts = _acceptance(field, self._run)
        from_ms = self._session_ms() if field == _SESSION else self._start_ms
        for each in self._inside(self._run.seen.fields.get(field, [])):
            if each.since_ms - late_ms <= from_ms and field == _SESSION:
                continue
            had = course.within(each.since_ms - late_ms, each.at_ms + late_ms)
            if not accepts(each.value, had):
                yield Finding(
                    each.at_ms, f"{field} ({source})", course.at(each.at_ms) or "-", each.value
                )
                return

    def _session_ms(self) -> int:
        """When the first session began that the reference knows as the board does."""
        course = self._run.reference.courses.get(TRANSACTION, Course())
        starts = (at_ms for value, at_ms, _, _ in course.spans() if value == "1")
        return next((at_ms for at_ms in starts if at_ms > self._start_ms), FOREVER_MS)

    def keys(self) -> Iterator[Finding]:
        """`start` and `stop`: one for one, in their order."""
        limit = self._tolerances.event_ms + self._tolerances.base_ms
        ours = [each for each in self._run.reference.events if each[0] > self._start_ms]
        theirs = self._inside(self._run.key_events)
        for (at_ms, text), seen in zip(ours, theirs, strict=False):
            late = seen.since_ms > at_ms + limit or seen.at_ms < at_ms - limit
            if text != seen.value or late:
                shown = f"{seen.value} {seen.at_ms - at_ms} ms later" if late else seen.value
                yield Finding(min(at_ms, seen.at_ms), "console event", text, shown)
                return
        for at_ms, text in ours[len(theirs) :]:
            if at_ms + limit < self._end_ms:
                yield Finding(at_ms + limit, "console event", text, "(nothing)")
                return
        for seen in theirs[len(ours) :]:
            yield Finding(seen.at_ms, "console event", "(nothing)", seen.value)
            return

    def refused(self) -> Iterator[Finding]:
        """What the board's OCPP client would not do."""
        expected = self._run.expected
        for at_ms, order, answer in self._run.refused:
            running = expected is not None and expected.courses[TRANSACTION].at(at_ms) == "1"
            if running == (order == "remote_start"):
                continue  # a second start, or the end of nothing: it may refuse those
            yield Finding(at_ms, f"{order} (OCPP)", "Accepted", answer)

    def _inside(self, sightings: Sequence[Sighting]) -> list[Sighting]:
        return [each for each in sightings if self._start_ms < each.at_ms <= self._end_ms]


def _switch_ms(tolerances: Tolerances, to: str) -> int:
    return (tolerances.off_ms if to == "0" else tolerances.on_ms) + tolerances.base_ms


def _same(reference: str, device: str) -> bool:
    """Equal, or closed for a reason that one of them has not said."""
    return reference == device or (CLOSED in (reference, device) and "open" not in (
        reference, device
    ))  # fmt: skip


def _whole(course: Course, first: str) -> Course:
    """A course that has a value from the beginning of time on."""
    whole = Course(first, 0)
    for value, from_ms, _, _ in course.spans():
        whole.note(value, from_ms)
    return whole


def _acceptance(field: str, run: LiveRun) -> Callable[[str, list[str]], bool]:
    """Whether a value of the board is one of those that the reference had, or near one."""
    tolerances = run.setup.tolerances
    if field.endswith(_AGE):
        return lambda value, had: _near(value, had, tolerances.age_ms + tolerances.base_ms)
    if field in (ENERGY, _SESSION):
        shift = run.energy_shift_mwh if field == ENERGY else 0
        return lambda value, had: _near(value, had, tolerances.energy_mwh, shift)
    return lambda value, had: value in had


def _near(value: str, had: list[str], tolerance: int, shift: int = 0) -> bool:
    """Numbers within `tolerance`. What the reference has not known since its start proves
    nothing: the board may have heard of it before."""
    if not had or "-" in had:
        return True
    if not value.isdigit():
        return False
    return any(abs(int(value) - shift - int(each)) <= tolerance for each in had)
