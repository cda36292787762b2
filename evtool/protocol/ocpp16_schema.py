# SPDX-License-Identifier: GPL-3.0-or-later
"""Payloads of OCPP 1.6 against their JSON schemas, which are those of the `ocpp` package.

Whether a payload conforms is asked at every message, so a compiled validator (`jsonschema-rs`)
answers that, a hundred times faster than `jsonschema`. Why it does not is asked rarely:
`jsonschema` itself says so, on decimal numbers. It also has the last word where the compiled
one cannot tell: numbers so large that no double holds their tenths, lone surrogates, keys that
are no text.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

import jsonschema_rs
from ocpp.messages import MessageType, get_validator
from ocpp.v16.enums import Action

ACTIONS = frozenset(action.value for action in Action)

Payload = dict[str, Any]  # JSON values; their types are the schema's business

_EXACT_BELOW = 10**14
"""Up to here a double tells a tenth from its neighbours; beyond, decimals must."""

_CODES = {
    "type": "FormationViolation",
    "required": "FormationViolation",
    "additionalProperties": "FormationViolation",
    "maxItems": "OccurenceConstraintViolation",
    "minItems": "OccurenceConstraintViolation",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """A payload that its schema refuses: the CallError code, and why."""

    code: str
    description: str


def find_violation(action: str, payload: Payload, *, answer: bool = False) -> Violation | None:
    """Check `payload` against the schema of the action's request, or of its answer.

    Returns:
        None where it conforms, else what to say in a CallError. As the field does, a field
        that is missing, unknown or of the wrong type is a FormationViolation, a value out of
        range a PropertyConstraintViolation.
    """
    if action not in ACTIONS:
        return Violation("NotImplemented", f"no action {action}"[:100])
    try:
        conforms = _conforms(action, answer)(payload)
    except Exception:  # noqa: BLE001 - what it cannot read, whatever it raises, the other judges
        conforms = False
    return None if conforms else _explain(action, payload, answer)


@cache
def _conforms(action: str, answer: bool) -> Callable[[Payload], bool]:
    """Whether a payload conforms for certain; may raise."""
    schema = _exact_validator(action, answer).schema
    plain = json.loads(json.dumps(schema, default=float), object_hook=_without_tenths)
    # Dates are not checked, as `jsonschema` does not: what a charge point makes of one is its
    # own business (`parse_timestamp`).
    is_valid = jsonschema_rs.Draft4Validator(plain, validate_formats=False).is_valid
    if plain == json.loads(json.dumps(schema, default=float)):
        return is_valid
    return lambda payload: is_valid(payload) and _are_tenths(payload)


def _without_tenths(part: dict[str, Any]) -> dict[str, Any]:
    """A schema that does not ask for multiples of 0.1: `_are_tenths` is faster by far."""
    if part.get("multipleOf") == 0.1:
        del part["multipleOf"]
    return part


def _are_tenths(container: dict[str, Any] | list[Any]) -> bool:
    """Whether all numbers in it are tenths for certain, and no larger than a double can tell.

    Division rounds to the nearest double, so `tenths / 10` is the double that is written as
    that tenth: any other is none. In the schemas that ask for tenths the other numbers are
    integers.
    """
    for value in container.values() if isinstance(container, dict) else container:
        kind = type(value)
        if kind is float:
            if not abs(value) < _EXACT_BELOW or round(value * 10) / 10 != value:
                return False
        elif kind is int:
            if not abs(value) < _EXACT_BELOW:
                return False
        elif kind is dict or kind is list:
            if not _are_tenths(value):
                return False
        elif kind is not str and kind is not bool:
            return False  # something of somebody's own
    return True


def _exact_validator(action: str, answer: bool) -> Any:
    kind = MessageType.CallResult if answer else MessageType.Call
    # Decimal: the schemas ask for multiples of 0.1, which no float is.
    return get_validator(kind, action, "1.6", parse_float=Decimal)


def _explain(action: str, payload: Payload, answer: bool) -> Violation | None:
    """The first fault that `jsonschema` finds, or None where there is none after all."""
    try:
        exact = json.loads(json.dumps(payload, allow_nan=False), parse_float=Decimal)
    except (ValueError, TypeError, RecursionError) as error:
        return Violation("FormationViolation", f"not JSON: {error}")
    try:
        fault = next(iter(_exact_validator(action, answer).iter_errors(exact)), None)
    except ArithmeticError:
        # "multiple of 0.1" of a number beyond Decimal's precision, such as 1e40
        return Violation("PropertyConstraintViolation", "a number beyond all limits")
    if fault is None:
        return None
    path = ".".join(str(part) for part in fault.absolute_path)
    code = _CODES.get(str(fault.validator), "PropertyConstraintViolation")
    return Violation(code, f"{path or action}: {fault.validator}"[:200])
