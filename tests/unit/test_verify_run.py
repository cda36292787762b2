# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison of two controllers, with devices that differ in one known way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from evtool.errors import ConfigError
from evtool.reference_impl.lockstep import Lockstep
from evtool.verify.compare import Answer, differences
from evtool.verify.device_under_test import Answers, split_answers
from evtool.verify.report import as_document, explanation, headline
from evtool.verify.run import run_scenario
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
    """The reference itself, with its answers changed on the way."""

    name = "twisted"

    def __init__(self, twist: Callable[[int, Answer], Answer | None]) -> None:
        self.twist = twist

    def run(self, lines: Sequence[str]) -> Answers:
        reference = Lockstep()
        answers: list[Answer] = []
        for index, line in enumerate(lines):
            answer = self.twist(index, tuple(reference.answer(line)[:-1]))
            if answer is None:
                return Answers(answers, "the program ended with code -11")
            answers.append(answer)
        return Answers(answers, None)


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


def test_an_expectation_that_the_reference_misses_fails() -> None:
    text = SCENARIO.replace("energised = 1", "energised = 0, nonsense = 3")
    verdict = run_scenario(scenario(text), Twisted(lambda _, answer: answer))
    assert [(missed.field, missed.actual) for missed in verdict.failed] == [
        ("energised", "1"),
        ("nonsense", "(no such field)"),
    ]
    assert "charge.toml:10" in explanation(verdict)


def test_a_configuration_that_the_controller_refuses_is_the_scenarios_fault() -> None:
    with pytest.raises(ConfigError, match="controller refuses"):
        run_scenario(
            scenario(SCENARIO.replace("[[event]]", "[config]\nspeed = 3\n[[event]]", 1)),
            Twisted(lambda _, answer: answer),
        )


def test_order_counts() -> None:
    found = differences(("can 0 AA", "console b"), ("console b", "can 0 AA"))
    assert found
    assert differences(("state a=1 b=2",), ("state a=1 b=2",)) == []


def test_half_an_answer_does_not_count() -> None:
    assert split_answers("state a=1\nok\nstate a=") == [("state a=1",)]
