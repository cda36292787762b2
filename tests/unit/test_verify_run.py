# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison of two controllers, with devices that differ in one known way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from evtool.reference_impl.lockstep import Lockstep
from evtool.reference_impl.random_inputs import random_lines
from evtool.verify.compare import Answer, differences
from evtool.verify.device_under_test import Reference, answer_text, split_answers
from evtool.verify.report import as_document, explanation, headline
from evtool.verify.run import HISTORY, run_random, run_scenario
from evtool.verify.scenario import Scenario, parse_scenario

SCENARIO = """\
title = "A charge"
rule = "docs/controller.md, The gate"
duration = "6s"
[[event]]
at = "1s"
do = "plug_in"
[[event]]
at = "2s"
do = "remote_start"
[[event]]
at = "5s"
expect = { energised = 1 }
"""


def scenario(text: str = SCENARIO) -> Scenario:
    return parse_scenario(text, Path("charge.toml"))


class Twisted:
    """The reference itself, with its answers changed on the way; None is where it dies."""

    name = "twisted"

    def __init__(self, twist: Callable[[int, Answer], Answer | None]) -> None:
        self.twist = twist

    def start(self) -> TwistedSession:
        return TwistedSession(self.twist)


class TwistedSession:
    def __init__(self, twist: Callable[[int, Answer], Answer | None]) -> None:
        self._twist = twist
        self._reference = Lockstep()
        self._given = 0
        self._text = ""
        self._dead = False

    def give(self, lines: Sequence[str]) -> None:
        for line in lines:
            answer = self._twist(self._given, tuple(self._reference.answer(line)[:-1]))
            self._given += 1
            self._dead = self._dead or answer is None
            if answer is not None and not self._dead:
                self._text += answer_text(answer)

    def answers(self, count: int) -> str:
        text = ""
        for _ in range(count):
            answer, ok, self._text = self._text.partition("ok\n")
            text += answer + ok
        return text

    def ended(self) -> str:
        return "the program ended with code -11"

    def close(self) -> None:
        pass


def test_equal_controllers_agree() -> None:
    verdict = run_scenario(scenario(), Twisted(lambda _, answer: answer))
    assert verdict.passed
    assert verdict.steps > 300
    assert headline(verdict).strip().startswith("ok")


def test_the_first_difference_is_named_with_time_field_and_both_values() -> None:
    def twist(_: int, answer: Answer) -> Answer:
        return tuple(line.replace("energised=1", "energised=0") for line in answer)

    verdict = run_scenario(scenario(), Twisted(twist))
    assert verdict.difference is not None
    first = verdict.difference.fields[0]
    assert (first.field, first.reference, first.device) == ("energised", "1", "0")
    assert 2_000 <= verdict.difference.now_ms <= 3_100
    text = explanation(verdict)
    assert "charge: A charge" in text
    assert "energised: reference 1, device 0" in text
    assert "ocpp connected=1 transaction=1" in text, "the inputs before it are shown"
    assert f"at {verdict.difference.now_ms // 1000}." in headline(verdict)
    document = as_document(verdict)
    assert document["passed"] is False


def test_a_missing_frame_is_named() -> None:
    def twist(_: int, answer: Answer) -> Answer:
        return tuple(line for line in answer if "18FF50E5" not in line)

    verdict = run_scenario(scenario(), Twisted(twist))
    assert verdict.difference is not None
    first = verdict.difference.fields[0]
    assert first.field == "CAN frame 0x18FF50E5 charge_feedback on bus 0"
    assert first.device == "(nothing)"


def test_a_device_that_dies_is_told_from_one_that_differs() -> None:
    verdict = run_scenario(scenario(), Twisted(lambda n, a: a if n < 100 else None))
    assert not verdict.passed
    assert verdict.difference is None
    assert "code -11" in headline(verdict)
    assert verdict.ended is not None
    assert verdict.at_step == verdict.ended.step == 100
    assert verdict.ended.history[-1] == verdict.ended.line
    assert verdict.ended.line in explanation(verdict)


@pytest.mark.parametrize("step", [0, 999, 1000, 1001, 2500])
def test_a_difference_is_found_at_its_step_whatever_the_batch(step: int) -> None:
    def twist(index: int, answer: Answer) -> Answer:
        return answer if index < step else (*answer, "recover 0")

    verdict = run_random(5, 3000, Twisted(twist))
    assert verdict.at_step == step
    assert verdict.difference is not None
    lines = list(random_lines(5, 3000))
    assert verdict.difference.line == lines[step]
    told = [line for line in lines[: step + 1] if not line.endswith(" tick")]
    expected = [line for line in verdict.difference.history if not line.endswith(" tick")]
    assert told[len(told) - len(expected) :] == expected
    assert len(verdict.difference.history) == min(HISTORY, step + 1)


def test_the_reference_agrees_with_itself_and_checks_expectations() -> None:
    assert run_scenario(scenario(), Reference()).passed
    assert run_random(1, 2500, Reference()).steps == 2500
    wrong = run_scenario(scenario(SCENARIO.replace("energised = 1", "energised = 0")), Reference())
    assert [missed.field for missed in wrong.failed] == ["energised"]


def test_an_expectation_that_the_reference_misses_fails() -> None:
    text = SCENARIO.replace("energised = 1", "energised = 0, faults = 3")
    verdict = run_scenario(scenario(text), Twisted(lambda _, answer: answer))
    assert [(missed.field, missed.actual) for missed in verdict.failed] == [
        ("energised", "1"),
        ("faults", "-"),
    ]
    assert "charge.toml:10" in explanation(verdict)


def test_steps_are_not_kept_and_expectations_are_all_checked() -> None:
    """The device goes wrong at once; the scenario's last event is judged all the same."""
    text = SCENARIO.replace("energised = 1", "energised = 0")
    verdict = run_scenario(scenario(text), Twisted(lambda _, answer: (*answer, "console odd")))
    assert verdict.difference is not None
    assert verdict.steps < 5
    assert [missed.field for missed in verdict.failed] == ["energised"]


def test_order_counts() -> None:
    found = differences(("can 0 AA", "console b"), ("console b", "can 0 AA"))
    assert found
    assert differences(("state a=1 b=2",), ("state a=1 b=2",)) == []


def test_half_an_answer_does_not_count() -> None:
    assert split_answers("state a=1\nok\nstate a=") == [("state a=1",)]
