# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes of a run: the first difference, a device that gave up, expectations not met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evtool.verify.compare import FieldDifference
from evtool.verify.ocpp.outcome import WireOutcome
from evtool.verify.scenario import Scenario
from evtool.verify.timeline import Timeline


@dataclass(frozen=True, slots=True)
class FailedExpectation:
    """A scenario's own expectation that the reference did not meet, or a board.

    Attributes:
        at_ms: as the scenario says it, without its jumps.
        now_ms: on the controller's clock.
        who: `reference` or `board`.
    """

    at_ms: int
    now_ms: int
    line: int
    field: str
    expected: str
    actual: str
    who: str = "reference"

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, {self.who} {self.actual}"


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
        not_run: why nothing was played; empty where it was.
        not_judged: what the scenario expects that cannot be seen on the device.
        tolerances: what was allowed, by name; None where nothing was.
        wire: what came of a scenario with both sides of the wire; None for any other. Steps are
            then messages of the reference.
    """

    scenario: Scenario
    device: str
    steps: int
    difference: Difference | None = None
    failed: tuple[FailedExpectation, ...] = ()
    ended: GaveUp | None = None
    seconds: float = 0.0
    timeline: Timeline | None = None
    not_run: str = ""
    not_judged: tuple[str, ...] = ()
    tolerances: Mapping[str, int] | None = None
    wire: WireOutcome | None = None

    @property
    def passed(self) -> bool:
        """Whether it was played, and there is nothing to complain of."""
        return not self.not_run and not self.wrong

    @property
    def wrong(self) -> bool:
        """Whether it was played, and there is something to complain of."""
        differs = self.difference is not None or (
            self.wire is not None and bool(self.wire.unexplained)
        )
        return differs or bool(self.failed) or self.ended is not None

    @property
    def at_step(self) -> int | None:
        """The step at which the device went wrong; None if it did not."""
        wrong = self.difference or self.ended
        return None if wrong is None else wrong.step
