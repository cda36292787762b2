# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes of a run: the first difference, a device that gave up, expectations not met."""

from __future__ import annotations

from dataclasses import dataclass

from evtool.verify.compare import FieldDifference
from evtool.verify.scenario import Scenario
from evtool.verify.timeline import Timeline


@dataclass(frozen=True, slots=True)
class FailedExpectation:
    """A scenario's own expectation that the reference did not meet.

    Attributes:
        at_ms: as the scenario says it, without its jumps.
        now_ms: on the controller's clock.
    """

    at_ms: int
    now_ms: int
    line: int
    field: str
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, reference {self.actual}"


@dataclass(frozen=True, slots=True)
class Difference:
    """The first step at which the two differ."""

    now_ms: int
    step: int
    line: str
    fields: tuple[FieldDifference, ...]
    history: tuple[str, ...]
    reference_state: dict[str, str]
    device_state: dict[str, str]


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The device crashed, hung or refused: why, at which step, and what came before."""

    reason: str
    now_ms: int
    step: int
    line: str
    history: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one scenario.

    Attributes:
        ended: the device gave up before the end; None if it did not.
        seconds: how long it took, where somebody measured.
        timeline: both courses, where somebody asked for them.
    """

    scenario: Scenario
    device: str
    steps: int
    difference: Difference | None = None
    failed: tuple[FailedExpectation, ...] = ()
    ended: GaveUp | None = None
    seconds: float = 0.0
    timeline: Timeline | None = None

    @property
    def passed(self) -> bool:
        """Whether there is nothing to complain of."""
        return self.difference is None and not self.failed and self.ended is None

    @property
    def at_step(self) -> int | None:
        """The step at which the device went wrong; None if it did not."""
        wrong = self.difference or self.ended
        return None if wrong is None else wrong.step
