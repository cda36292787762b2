# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration keys that the CSMS reads and changes (OCPP 1.6, paragraph 9)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.configuration_keys import (
    BY_LOWER_CASE,
    KEYS,
    MAX_VALUE,
    Key,
    Kind,
)
from evtool.reference_impl.charge_point.metering import MEASURANDS
from evtool.reference_impl.charge_point.mode import STRICT, Mode
from evtool.reference_impl.charge_point.smart_charging import Rules

_ROTATION = re.compile(
    r"(\d{1,4}\.)?(NotApplicable|Unknown|RST|RTS|SRT|STR|TRS|TSR)"
    r"(,(\d{1,4}\.)?(NotApplicable|Unknown|RST|RTS|SRT|STR|TRS|TSR))*\Z"
)


class Configuration:
    """The values of `KEYS`; names are compared as CiStrings, without regard to case.

    Args:
        stored: what was changed in earlier runs; what is unknown or out of range by now is
            passed over.
        mode: its absent keys do not exist, its defaults come before the standard ones.
        presets: come before the defaults, read-only keys too.
        fixed: values that hold whatever is stored or preset, such as NumberOfConnectors.

    Raises:
        ValueError: a preset that is no key, or not allowed for it; the text names it.
    """

    __slots__ = ("_absent", "_base", "_changed", "_fixed", "_profiles")

    def __init__(
        self,
        stored: Mapping[str, str],
        mode: Mode = STRICT,
        presets: Mapping[str, str] | None = None,
        fixed: Mapping[str, str] | None = None,
    ) -> None:
        self._absent = mode.absent_keys
        self._fixed = mode.fixed_keys
        self._base = {**mode.defaults, **read_presets(presets or {}), **(fixed or {})}
        # Only what differs from the defaults: there may be thousands of charge points.
        self._changed = {
            name: value
            for name, value in stored.items()
            if name in KEYS and not KEYS[name].read_only and allowed(KEYS[name], value)
        }
        self._profiles = _items(self.text("SupportedFeatureProfiles"))

    def has_profile(self, profile: str) -> bool:
        """Whether a feature profile is offered."""
        return profile in self._profiles

    def text(self, name: str) -> str:
        """The value as the wire has it."""
        value = self._changed.get(name)
        if value is None:
            value = self._base.get(name)
        return KEYS[name].default if value is None else value

    def integer(self, name: str) -> int:
        """The value of an integer key."""
        return int(self.text(name))

    def boolean(self, name: str) -> bool:
        """The value of a boolean key."""
        return self.text(name) == "true"

    def measurands(self, name: str) -> tuple[str, ...]:
        """The measurands that a list names."""
        return tuple(filter(None, self.text(name).split(",")))

    def set_integer(self, name: str, value: int) -> None:
        """Overrule a value from within: the boot interval becomes HeartbeatInterval."""
        self._changed[name] = str(value)

    def set_text(self, name: str, value: str) -> None:
        """The same for any key: connection settings that are taken back."""
        self._changed[name] = value

    def smart_charging_rules(self, rules: Rules) -> Rules:
        """`rules` with the limits that the keys state."""
        return _with_limits(
            rules,
            self.integer("ChargeProfileMaxStackLevel"),
            self.integer("ChargingScheduleMaxPeriods"),
            self.integer("MaxChargingProfilesInstalled"),
        )

    def find(self, name: str) -> str | None:
        """The key's own spelling; None where there is no such key here."""
        known = BY_LOWER_CASE.get(name.lower())
        if known is None or known in self._absent:
            return None
        profile = KEYS[known].profile
        return known if not profile or profile in self._profiles else None

    def change(self, name: str, value: str) -> tuple[str, str | None]:
        """Change a key for the CSMS.

        Returns:
            The status of ChangeConfiguration.conf, and the key's own spelling if it changed.
        """
        known = self.find(name)
        if known is None:
            return "NotSupported", None
        key = KEYS[known]
        value = _normal(key, value)
        fits = allowed(key, value) and not self._is_too_long(known, value)
        if self._is_read_only(known) or not fits:
            return "Rejected", None
        self._changed[known] = value
        return ("RebootRequired" if key.restarts else "Accepted"), known

    def _is_too_long(self, name: str, value: str) -> bool:
        """Whether a list holds more than the key that limits it says."""
        limit = name + "MaxLength"
        if limit not in KEYS or limit in self._absent:
            return False
        return len(value.split(",")) > self.integer(limit)

    def describe(self, names: list[str] | None) -> ocpp16.Payload:
        """The payload of GetConfiguration.conf; no names stand for all."""
        entries, unknown = [], []
        for name in names or self._listed():
            known = self.find(name)
            if known is None or KEYS[known].write_only:
                unknown.append(name)
                continue
            read_only = self._is_read_only(known)
            entries.append({"key": known, "readonly": read_only, "value": self.text(known)})
        answer: ocpp16.Payload = {"configurationKey": entries}
        return answer | ({"unknownKey": unknown} if unknown else {})

    def _is_read_only(self, name: str) -> bool:
        return KEYS[name].read_only or name in self._fixed

    def _listed(self) -> Iterable[str]:
        return (
            name for name, key in KEYS.items() if not key.write_only and self.find(name) is not None
        )


@cache
def _items(text: str) -> frozenset[str]:
    """The items of a list; one set for all charge points that have the same."""
    return frozenset(text.split(","))


@cache  # thousands of charge points share a few
def _with_limits(rules: Rules, max_stack_level: int, max_periods: int, max_profiles: int) -> Rules:
    return replace(
        rules,
        max_stack_level=max_stack_level,
        max_periods=max_periods,
        max_profiles=max_profiles,
    )


def read_presets(presets: Mapping[str, str]) -> dict[str, str]:
    """Presets under the keys' own spelling.

    Raises:
        ValueError: no such key, or a value that is not allowed for it; the text names the key,
            and never the value of an AuthorizationKey.
    """
    values = {}
    for name, value in presets.items():
        known = BY_LOWER_CASE.get(name.lower())
        if known is None:
            raise ValueError(f"{name} is no configuration key of OCPP 1.6")
        key = KEYS[known]
        normal = _normal(key, value)
        if not allowed(key, normal):
            shown = "this value" if key.write_only else repr(value[:40])
            raise ValueError(f"{known}: {shown} is no {describe_kind(key)}")
        values[known] = normal
    return values


def describe_kind(key: Key) -> str:
    """What a value of this key may be, for a message."""
    if key.kind is Kind.INTEGER:
        return f"integer from {key.minimum} to {key.maximum}"
    if key.kind is Kind.MEASURANDS:
        return "list of " + ",".join(MEASURANDS)
    return "true or false" if key.kind is Kind.BOOLEAN else str(key.kind.value)


def allowed(key: Key, value: str) -> bool:
    """Whether `value` may stand under `key`, read-only or not."""
    return len(value) <= MAX_VALUE and _RULES[key.kind](key, value)


def _normal(key: Key, value: str) -> str:
    return value.lower() if key.kind is Kind.BOOLEAN else value


def _is_integer(key: Key, value: str) -> bool:
    digits = value.isascii() and value.isdigit() and len(value) <= 9
    return digits and key.minimum <= int(value) <= key.maximum


def _is_authorization_key(_: Key, value: str) -> bool:
    try:
        ocpp16.decode_authorization_key(value)
    except ValueError:
        return False
    return True


_RULES: Mapping[Kind, Callable[[Key, str], bool]] = MappingProxyType(
    {
        Kind.INTEGER: _is_integer,
        Kind.BOOLEAN: lambda _, value: value in ("true", "false"),
        Kind.MEASURANDS: lambda _, value: (
            value == "" or all(name in MEASURANDS for name in value.split(","))
        ),
        Kind.PHASE_ROTATION: lambda _, value: value == "" or _ROTATION.match(value) is not None,
        Kind.AUTHORIZATION_KEY: _is_authorization_key,
        Kind.TEXT: lambda key, value: len(value) <= key.maximum,
    }
)
