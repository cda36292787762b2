# SPDX-License-Identifier: GPL-3.0-or-later
"""The compiled validator says what `jsonschema` says, of any payload and for every action."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from random import Random
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ocpp_payloads import CASES, good, schema, spoil

from evtool.protocol import ocpp16_schema
from evtool.protocol.ocpp16_schema import find_violation

FORMATION = {"type", "required", "additionalProperties"}
OCCURRENCE = {"minItems", "maxItems"}


def judged_by_jsonschema(action: str, answer: bool, payload: dict[str, Any]) -> str | None:
    """The code that a payload earns, by the plain package on decimal numbers."""
    rules = json.loads(json.dumps(schema(action, answer)), parse_float=Decimal)
    try:
        exact = json.loads(json.dumps(payload, allow_nan=False), parse_float=Decimal)
        faults = list(jsonschema.Draft4Validator(rules).iter_errors(exact))
    except (ValueError, TypeError, RecursionError):
        return "FormationViolation"
    except ArithmeticError:
        return "PropertyConstraintViolation"
    if not faults:
        return None
    keyword = str(faults[0].validator)
    if keyword in FORMATION:
        return "FormationViolation"
    is_count = keyword in OCCURRENCE
    return "OccurenceConstraintViolation" if is_count else "PropertyConstraintViolation"


def code(action: str, answer: bool, payload: dict[str, Any]) -> str | None:
    violation = find_violation(action, payload, answer=answer)
    return None if violation is None else violation.code


@pytest.mark.parametrize(("action", "answer"), CASES)
def test_good_and_spoilt_payloads_are_judged_as_jsonschema_judges_them(
    action: str, answer: bool
) -> None:
    @settings(deadline=None, max_examples=10)
    @given(good(action, answer), st.randoms())
    def check(payload: dict[str, Any], dice: Random) -> None:
        assert code(action, answer, payload) is None
        for _ in range(6):
            spoilt = spoil(payload, dice)
            expected = judged_by_jsonschema(action, answer, spoilt)
            assert code(action, answer, spoilt) == expected, spoilt

    check()


@pytest.mark.parametrize(("action", "answer"), CASES)
def test_a_good_payload_never_costs_the_slow_answer(
    action: str, answer: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explained(*_: object) -> None:
        raise AssertionError("jsonschema was asked")

    monkeypatch.setattr(ocpp16_schema, "_explain", explained)

    @settings(deadline=None, max_examples=10)
    @given(good(action, answer))
    def check(payload: dict[str, Any]) -> None:
        assert find_violation(action, payload, answer=answer) is None

    check()


def schedule(limit: object) -> dict[str, Any]:
    periods = [{"startPeriod": 0, "limit": limit}]
    return {
        "status": "Accepted",
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": periods},
    }


@settings(deadline=None, max_examples=500)
@given(st.integers(-(10**17), 10**17), st.integers(1, 40), st.sampled_from([-math.inf, math.inf]))
def test_tenths_and_their_neighbours_are_judged_exactly(
    tenths: int, steps: int, towards: float
) -> None:
    limit = tenths / 10
    neighbour = math.nextafter(limit, towards)
    for number in (limit, neighbour, tenths / 100, tenths / 10**steps, tenths**steps):
        payload = schedule(number)
        expected = judged_by_jsonschema("GetCompositeSchedule", True, payload)
        assert code("GetCompositeSchedule", True, payload) == expected, number


def test_the_numbers_of_the_field_are_tenths() -> None:
    for number in (16.1, 0.3, 21.4, 32, 32.0, 6.6, 1e22, -0.1):
        assert find_violation("GetCompositeSchedule", schedule(number), answer=True) is None
    for number in (4.11, 16.100000000000005, 0.30000000000000004, 1e40, 10**400):
        assert code("GetCompositeSchedule", True, schedule(number)) == "PropertyConstraintViolation"
    for nothing in (math.nan, math.inf, "16.1", True, None):
        assert code("GetCompositeSchedule", True, schedule(nothing)) == "FormationViolation"
