# SPDX-License-Identifier: GPL-3.0-or-later
"""The course of a run: what the plotted fields were, on both sides, where they changed."""

from __future__ import annotations

from dataclasses import dataclass, field

from evtool.verify.compare import Answer, state_of
from evtool.verify.step import Step

FIELDS = (
    "requested_mv",
    "setpoint_mv",
    "measured_mv",
    "requested_ma",
    "setpoint_ma",
    "measured_ma",
    "temperature_mdegc",
    "plugged",
    "transaction",
    "permitted",
    "energised",
    "gate",
    "faults",
)
"""The fields of the state line that a timeline shows."""

Course = dict[str, list[tuple[int, str]]]
"""For each field the times (ms) at which it took a value, and the value."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Both courses.

    Attributes:
        device: the fields in which it left the reference's; None where there is none.
        gaps: stretches of time (from, to; ms) in which nothing happened at all.
    """

    end_ms: int
    reference: Course
    device: Course | None
    gaps: tuple[tuple[int, int], ...]


LONG_GAP_MS = 10_000


@dataclass(slots=True)
class TimelineRecorder:
    """Takes the steps in their order."""

    _reference: Course = field(default_factory=dict)
    _device: Course = field(default_factory=dict)
    _gaps: list[tuple[int, int]] = field(default_factory=list)
    _now_ms: int = 0
    _differing: set[str] = field(default_factory=set)

    def add(self, step: Step, answer: Answer) -> None:
        """Take one step and the device's answer to it."""
        if step.now_ms - self._now_ms > LONG_GAP_MS:
            self._gaps.append((self._now_ms, step.now_ms))
        self._now_ms = max(self._now_ms, step.now_ms)
        ours = state_of(step.answer)
        _note(self._reference, ours, step.now_ms)
        if step.answer == answer:
            _note(self._device, ours, step.now_ms)
            return
        theirs = state_of(answer)
        _note(self._device, theirs, step.now_ms)
        self._differing.update(name for name in FIELDS if ours.get(name) != theirs.get(name))

    def finish(self) -> Timeline:
        """What has been taken."""
        return Timeline(
            self._now_ms,
            self._reference,
            {name: self._device.get(name, []) for name in FIELDS if name in self._differing}
            or None,
            tuple(self._gaps),
        )


def _note(course: Course, state: dict[str, str], now_ms: int) -> None:
    for name in FIELDS:
        if name in state:
            points = course.setdefault(name, [])
            if not points or points[-1][1] != state[name]:
                points.append((now_ms, state[name]))
