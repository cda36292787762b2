# SPDX-License-Identifier: GPL-3.0-or-later
"""Payloads made from the schemas of OCPP 1.6: good ones, and good ones with one thing spoilt."""

from __future__ import annotations

import json
import random
from functools import cache
from importlib.resources import files
from typing import Any

from hypothesis import strategies as st

from evtool.protocol.ocpp16_schema import ACTIONS

CASES = sorted((action, answer) for action in ACTIONS for answer in (False, True))

_DEEP: Any = []
for _ in range(5000):
    _DEEP = [_DEEP]
SPOILERS: list[Any] = [
    None, True, 0, -1, 10**30, -(10**400), 1.0, 0.3, 16.1, 16.100000000000005, 4.11, 1e14 + 0.2,
    1e40, 5e-324, -0.0, float("nan"), float("inf"), "", "A", "Accepted", "x" * 501, "\ud800",
    "\U0001f600" * 20, [], {}, [1], [{}], {"": 1}, {"\ud800": 1}, {5: 1}, (1,), _DEEP,
]  # fmt: skip


@cache
def schema(action: str, answer: bool) -> dict[str, Any]:
    """The schema as the `ocpp` package ships it."""
    name = action + ("Response" if answer else "")
    text = (files("ocpp") / "v16" / "schemas" / f"{name}.json").read_text("utf-8-sig")
    read: dict[str, Any] = json.loads(text)
    return read


@cache
def good(action: str, answer: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Payloads that conform."""
    root = schema(action, answer)
    return _conforming(root, root)


def _conforming(part: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "$ref" in part:
        return _conforming(root["definitions"][part["$ref"].rpartition("/")[2]], root)
    made: st.SearchStrategy[Any]
    match part:
        case {"enum": names}:
            made = st.sampled_from(names)
        case {"type": "string"}:
            made = st.text(max_size=min(part.get("maxLength", 30), 30))
        case {"type": "integer"}:
            made = st.integers(-(2**40), 2**40)
        case {"type": "number"}:
            made = st.integers(-(10**12), 10**12).map(lambda tenths: tenths / 10)
        case {"type": "boolean"}:
            made = st.booleans()
        case {"type": "array", "items": items}:
            made = st.lists(_conforming(items, root), min_size=part.get("minItems", 0), max_size=3)
        case {"type": "object"}:
            known = part.get("properties", {})
            fields = {name: _conforming(each, root) for name, each in known.items()}
            required = {name: fields.pop(name) for name in part.get("required", ())}
            made = st.fixed_dictionaries(required, optional=fields)
        case _:
            raise AssertionError(f"a schema of a kind that no payload is made for: {part}")
    return made


def spoil(payload: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """A copy of `payload` with something removed, added, replaced, emptied or repeated."""
    copy: dict[str, Any] = json.loads(json.dumps(payload))
    place = dice.choice([copy, *_containers(copy)])
    if isinstance(place, dict):
        key = dice.choice([*place, "unknown"])
        if key in place and dice.random() < 0.3:
            del place[key]
        else:
            place[key] = dice.choice(SPOILERS)
    elif dice.random() < 0.5:
        place.clear()
    else:
        place.append(dice.choice(SPOILERS))
    return copy


def _containers(value: Any) -> list[Any]:
    found = []
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, dict | list):
            found += [each, *_containers(each)]
    return found
