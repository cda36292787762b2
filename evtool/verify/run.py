# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a scenario on the reference and, line for line, on the device under test.

The world (vehicle, power module, OCPP's word) reacts to the reference alone, so that both
controllers see the same inputs to the last byte; the device's answers only are compared.

The two work at the same time: while the device has one batch of lines, the reference computes
the next. A batch whose answers are the same text needs no closer look.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from evtool.errors import ConfigError
from evtool.reference_impl.lockstep import Lockstep
from evtool.reference_impl.random_inputs import random_lines
from evtool.verify.compare import Answer, differences, state_of
from evtool.verify.device_under_test import (
    DeviceUnderTest,
    Session,
    answer_text,
    split_answers,
)
from evtool.verify.expectations import Expectations
from evtool.verify.scenario import Event, Scenario
from evtool.verify.step import Step
from evtool.verify.timeline import TimelineRecorder
from evtool.verify.verdict import Difference, FailedExpectation, GaveUp, Verdict
from evtool.verify.world import World

HISTORY = 20
# The answers to so many lines fill the pipe that they wait in.
_BATCH = 1_000


class Recording:
    """A scenario as the reference plays it, a step at a time; `failed` fills as it goes."""

    def __init__(self, scenario: Scenario) -> None:
        self.failed: list[FailedExpectation] = []
        self._scenario = scenario
        self._reference = Lockstep()
        looks_back_ms = max((event.within_ms for event in scenario.events), default=0)
        self._expectations = Expectations(looks_back_ms)

    def steps(self) -> Iterator[Step]:
        """Every step, once.

        Raises:
            ConfigError: the reference refuses a line, because the scenario is wrong.
        """
        return self._lines() if self._scenario.lines else self._world()

    def _give(self, line: str, now_ms: int) -> Step:
        step = Step(now_ms, line, _answer(self._reference, line))
        self._expectations.see(step)
        return step

    def _lines(self) -> Iterator[Step]:
        pending = deque(self._scenario.events)
        for now_ms, line in timed(self._scenario.lines):
            while pending and pending[0].at_ms < now_ms:
                event = pending.popleft()
                self._check(event, event.at_ms)
            yield self._give(line, now_ms)
        for event in pending:
            self._check(event, event.at_ms)

    def _world(self) -> Iterator[Step]:
        scenario = self._scenario
        world = World(scenario.config)
        pending = deque(scenario.events)
        now_ms = told_ms = 0
        at_ms = tick_ms = 0  # the scenario's time, and when it ticks next
        skipped_ms = 0  # what `jump` events have added to the clock

        def give(command: str) -> Step:
            nonlocal told_ms
            told_ms = now_ms
            step = self._give(f"@{now_ms} {command}", now_ms)
            world.observe(step.answer, now_ms)
            return step

        for command in world.start():
            yield give(command)
        while at_ms <= scenario.duration_ms:
            now_ms = at_ms + skipped_ms
            while pending and pending[0].at_ms <= at_ms:
                event = pending.popleft()
                if event.action == "jump":
                    skipped_ms += event.parameters["by_ms"]
                    now_ms = at_ms + skipped_ms
                elif event.action is not None:
                    for command in world.act(event.action, event.parameters, now_ms):
                        yield give(command)
                if event.expects and told_ms < now_ms:
                    yield give("tick")  # the controller must know how late it is
                self._check(event, now_ms)
            for command in world.commands(now_ms):
                yield give(command)
            yield give("tick")
            tick_ms += scenario.tick_ms if at_ms == tick_ms else 0
            at_ms = min(tick_ms, pending[0].at_ms) if pending else tick_ms

    def _check(self, event: Event, now_ms: int) -> None:
        if event.expects:
            self.failed += self._expectations.judge(event, now_ms)


def run_scenario(
    scenario: Scenario, device: DeviceUnderTest, *, with_timeline: bool = False
) -> Verdict:
    """Play `scenario` on both and compare.

    Raises:
        ConfigError: the reference refuses what the scenario says.
    """
    recording = Recording(scenario)
    steps = recording.steps()
    verdict = judge(scenario, device, steps, with_timeline=with_timeline)
    # All of it, even where the device went wrong early: every expectation is to be checked.
    deque(steps, maxlen=0)
    return replace(verdict, failed=tuple(recording.failed))


def random_scenario(seed: int, count: int) -> Scenario:
    """The name under which `count` random lines of a seed are reported."""
    return Scenario(
        name=f"random, seed {seed}",
        title=f"{count} random inputs",
        rule="docs/controller.md, all of it",
        duration_ms=0,
        tick_ms=0,
        config={},
        events=(),
    )


def run_random(seed: int, count: int, device: DeviceUnderTest) -> Verdict:
    """Give both the same `count` random lines and compare; the same seed, the same lines."""
    return judge(random_scenario(seed, count), device, reference_steps(random_lines(seed, count)))


def reference_steps(lines: Iterable[str]) -> Iterator[Step]:
    """The reference's answers to `lines`, from a fresh start.

    Raises:
        ConfigError: it refuses a line.
    """
    reference = Lockstep()
    for now_ms, line in timed(lines):
        yield Step(now_ms, line, _answer(reference, line))


def timed(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Each line with its time in milliseconds; time does not go back."""
    latest = 0
    for line in lines:
        latest = max(latest, int(line[1 : line.index(" ")]))
        yield latest, line


def judge(
    scenario: Scenario,
    device: DeviceUnderTest,
    steps: Iterable[Step],
    *,
    with_timeline: bool = False,
) -> Verdict:
    """Give the steps' lines to `device` and compare its answers with the reference's.

    It stops at the first difference, unless a timeline is wanted: that shows what follows.
    """
    timeline = TimelineRecorder() if with_timeline else None
    session = device.start()
    try:
        comparison = _Comparison(session, timeline)
        comparison.run(steps)
    finally:
        session.close()
    return Verdict(
        scenario,
        device.name,
        comparison.count,
        comparison.difference,
        ended=comparison.ended,
        timeline=None if timeline is None else timeline.finish(),
    )


class _Comparison:
    """The steps so far, and the first of them that was not answered alike."""

    def __init__(self, session: Session, timeline: TimelineRecorder | None) -> None:
        self.count = 0
        self.difference: Difference | None = None
        self.ended: GaveUp | None = None
        self._session = session
        self._timeline = timeline
        self._told: deque[str] = deque(maxlen=HISTORY)

    def run(self, steps: Iterable[Step]) -> None:
        source = iter(steps)
        waiting: list[Step] = []
        while self._goes_on():
            batch = list(islice(source, _BATCH))
            if batch:
                self._session.give([step.line for step in batch])
            if waiting:
                self._take(waiting)
            if not batch:
                break
            waiting = batch

    def _goes_on(self) -> bool:
        wanted = self.difference is None or self._timeline is not None
        return wanted and self.ended is None

    def _take(self, batch: Sequence[Step]) -> None:
        text = self._session.answers(len(batch))
        if self._timeline is None and text == "".join(answer_text(step.answer) for step in batch):
            self.count += len(batch)
            # Ticks in which nothing happened say nothing to the reader.
            self._told += [step.line for step in batch[-10 * HISTORY :] if step.tells]
            return
        for step, answer in zip(batch, answers := split_answers(text), strict=False):
            if step.answer != answer and self.difference is None:
                self._explain(step, answer)
                if self._timeline is None:
                    return
            if self._timeline is not None:
                self._timeline.add(step, answer)
            if step.tells:
                self._told.append(step.line)
            self.count += 1
        if len(answers) < len(batch):
            last = batch[len(answers)]
            self.ended = GaveUp(
                self._session.ended(),
                last.now_ms,
                self.count,
                last.line,
                (*self._told, last.line)[-HISTORY:],
            )

    def _explain(self, step: Step, answer: Answer) -> None:
        self.difference = Difference(
            now_ms=step.now_ms,
            step=self.count,
            line=step.line,
            fields=tuple(differences(step.answer, answer)),
            history=(*self._told, step.line)[-HISTORY:],
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
