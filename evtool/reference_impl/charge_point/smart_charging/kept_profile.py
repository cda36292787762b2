# SPDX-License-Identifier: GPL-3.0-or-later
"""A charging profile as the storage keeps it. What is not one of ours reads as None."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from evtool.reference_impl.charge_point.smart_charging.profile import (
    MAXIMUM,
    RECURRENCE_MS,
    TX,
    TX_DEFAULT,
    Profile,
)
from evtool.reference_impl.charge_point.smart_charging.rules import Rules

VERSION = 1
_OPTIONAL = frozenset(
    {
        "transaction_id",
        "recurrence_ms",
        "start_unix_ms",
        "duration_ms",
        "valid_from_unix_ms",
        "valid_to_unix_ms",
    }
)
_NUMBERS = frozenset({"profile_id", "connector_id", "stack_level", "minimum"})
_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "purpose": (MAXIMUM, TX_DEFAULT, TX),
        "kind": ("Absolute", "Relative", "Recurring"),
        "unit": ("A", "W"),
    }
)


def read_kept_profile(text: str, rules: Rules) -> Profile | None:
    """The profile in a stored text; None for a text that is none under `rules`."""
    try:
        document = json.loads(text)
        if not isinstance(document, dict) or document.pop("version", None) != VERSION:
            return None
        periods = tuple(
            (_number(start), _number(value), _number(phases, optional=True))
            for start, value, phases in document.pop("periods")
        )
        for name, value in document.items():
            if name in _WORDS:
                if value not in _WORDS[name]:
                    return None
            elif name in _NUMBERS or name in _OPTIONAL:
                _number(value, optional=name in _OPTIONAL)
        profile = Profile(periods=periods, **document)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return profile if _is_sound(profile, rules) else None


def _number(value: object, *, optional: bool = False) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        if value is None and optional:
            return value  # type: ignore[return-value]  # the field's own type says int or None
        raise TypeError("not a number")
    return value


def _is_sound(profile: Profile, rules: Rules) -> bool:
    starts = [start for start, _, _ in profile.periods]
    return (
        0 < len(starts) <= rules.max_periods
        and starts[0] == 0
        and starts == sorted(set(starts))
        and all(value >= 0 and phases in (None, 1, 2, 3) for _, value, phases in profile.periods)
        and 0 <= profile.stack_level <= rules.max_stack_level
        and profile.connector_id >= 0
        and profile.minimum >= 0
        and (profile.purpose != MAXIMUM or profile.connector_id == 0)
        and (profile.purpose != TX or profile.connector_id > 0)
        and (profile.recurrence_ms is None or profile.recurrence_ms in RECURRENCE_MS.values())
        and (profile.duration_ms is None or profile.duration_ms > 0)
        and (profile.kind == "Recurring") == (profile.recurrence_ms is not None)
    )
