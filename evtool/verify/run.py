# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a scenario on the reference and then, line for line, on the device under test.

The world (vehicle, power module, OCPP's word) reacts to the reference alone, so that both
controllers see the same inputs to the last byte; the device's answers only are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evtool.errors import ConfigError
from evtool.reference_impl.lockstep import Lockstep
from evtool.reference_impl.random_inputs import random_lines
from evtool.verify.compare import Answer, FieldDifference, differences, state_of
from evtool.verify.device_under_test import DeviceUnderTest
from evtool.verify.scenario import Event, Scenario
from evtool.verify.world import World

HISTORY = 20


@dataclass(frozen=True, slots=True)
class Step:
    """One input line with the reference's answer to it."""

    now_ms: int
    line: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class FailedExpectation:
    """A scenario's own expectation that the reference did not meet."""

    at_ms: int
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
class Verdict:
    """What came of one scenario.

    Attributes:
        ended: why the device gave up before the end; None if it did not.
    """

    scenario: Scenario
    device: str
    steps: int
    difference: Difference | None
    failed: tuple[FailedExpectation, ...]
    ended: str | None

    @property
    def passed(self) -> bool:
        """Whether there is nothing to complain of."""
        return self.difference is None and not self.failed and self.ended is None


@dataclass(frozen=True, slots=True)
class Recording:
    """Every step of the reference, and what the scenario expected in vain."""

    steps: list[Step]
    failed: tuple[FailedExpectation, ...]


def record(scenario: Scenario) -> Recording:
    """Play `scenario` on the reference, the world reacting to it."""
    reference = Lockstep()
    world = World(scenario.config)
    steps: list[Step] = []
    failed: list[FailedExpectation] = []

    def give(now_ms: int, command: str) -> None:
        line = f"@{now_ms} {command}"
        answer = _answer(reference, line)
        steps.append(Step(now_ms, line, answer))
        world.observe(answer, now_ms)

    for command in world.start():
        give(0, command)
    pending = list(scenario.events)
    now_ms = 0
    skipped_ms = 0  # what `jump` events have added to the clock
    while now_ms - skipped_ms <= scenario.duration_ms:
        while pending and pending[0].at_ms <= now_ms - skipped_ms:
            event = pending.pop(0)
            if event.action == "jump":
                skipped_ms += event.parameters["by_ms"]
                now_ms += event.parameters["by_ms"]
            elif event.action is not None:
                for command in world.act(event.action, event.parameters, now_ms):
                    give(now_ms, command)
            failed += _check(event, steps)
        for command in world.commands(now_ms):
            give(now_ms, command)
        give(now_ms, "tick")
        now_ms += scenario.tick_ms
    return Recording(steps, tuple(failed))


def _check(event: Event, steps: Sequence[Step]) -> Iterable[FailedExpectation]:
    if not event.expect:
        return []
    state = state_of(steps[-1].answer)
    return [
        FailedExpectation(
            event.at_ms, event.line, name, expected, state.get(name, "(no such field)")
        )
        for name, expected in event.expect.items()
        if state.get(name) != expected
    ]


def run_scenario(scenario: Scenario, device: DeviceUnderTest) -> Verdict:
    """Play `scenario` on both and compare.

    Raises:
        LinkTimeout: the device did not finish in time.
    """
    recording = record(scenario)
    return judge(scenario, device, recording.steps, recording.failed)


def run_random(seed: int, count: int, device: DeviceUnderTest) -> Verdict:
    """Give both the same `count` random lines and compare; the same seed, the same lines.

    Raises:
        LinkTimeout: the device did not finish in time.
    """
    scenario = Scenario(
        name=f"random, seed {seed}",
        title=f"{count} random inputs",
        rule="docs/controller.md, all of it",
        duration_ms=0,
        tick_ms=0,
        config={},
        events=(),
    )
    reference = Lockstep()
    steps = [
        Step(int(line[1:].split(" ", 1)[0]), line, _answer(reference, line))
        for line in random_lines(seed, count)
    ]
    return judge(scenario, device, steps)


def judge(
    scenario: Scenario,
    device: DeviceUnderTest,
    steps: Sequence[Step],
    failed: tuple[FailedExpectation, ...] = (),
) -> Verdict:
    """Give the recorded lines to `device` and compare its answers with the reference's."""
    result = device.run([step.line for step in steps])
    difference = None
    for index, (step, answer) in enumerate(zip(steps, result.answers, strict=False)):
        if step.answer != answer:
            difference = _explain(steps, index, answer)
            break
    return Verdict(scenario, device.name, len(steps), difference, failed, result.ended)


def _explain(steps: Sequence[Step], index: int, answer: Answer) -> Difference:
    step = steps[index]
    # Ticks in which nothing happened say nothing to the reader.
    told = [
        earlier.line
        for position, earlier in enumerate(steps[: index + 1])
        if position == index or not earlier.line.endswith(" tick") or len(earlier.answer) > 1
    ]
    return Difference(
        now_ms=step.now_ms,
        step=index,
        line=step.line,
        fields=tuple(differences(step.answer, answer)),
        history=tuple(told[-HISTORY:]),
        reference_state=state_of(step.answer),
        device_state=state_of(answer),
    )


def _answer(reference: Lockstep, line: str) -> Answer:
    """The reference's answer without its closing `ok`.

    Raises:
        ConfigError: the reference does not understand the line, because the scenario is wrong.
    """
    *answer, end = reference.answer(line)
    if end != "ok":
        raise ConfigError(
            f"the controller refuses `{line}`: {end}",
            fix="mend the scenario; docs/host-program.md lists the configuration's fields",
        )
    return tuple(answer)
