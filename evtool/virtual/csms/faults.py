# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong on demand, for which station, action and direction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evtool.protocol import ocpp16

ANSWER = "answer"
CALL = "call"
RECEIVED = "received"
CONNECT = "connect"

ANY = "*"

_SECONDS = "seconds"
_MILLISECONDS = "milliseconds"
_CODE = "a CallError code"
_STATUS = "an HTTP status"

KINDS: Mapping[str, tuple[frozenset[str], str | None]] = {
    "drop": (frozenset({ANSWER, CALL, RECEIVED}), None),
    "delay": (frozenset({ANSWER, CALL, RECEIVED}), _SECONDS),
    "error": (frozenset({ANSWER}), _CODE),
    "malformed": (frozenset({ANSWER, CALL}), None),
    "wrong_id": (frozenset({ANSWER}), None),
    "duplicate": (frozenset({ANSWER, CALL}), None),
    "slow": (frozenset({ANSWER, CALL}), _MILLISECONDS),
    "close": (frozenset({ANSWER, CALL, RECEIVED}), None),
    "half_open": (frozenset({ANSWER, CALL, RECEIVED}), None),
    "refuse": (frozenset({CONNECT}), _STATUS),
}
"""Each kind with the directions it is for, and what its value is."""

_DEFAULTS = {_SECONDS: "5", _MILLISECONDS: "50", _CODE: "InternalError", _STATUS: "503"}
_LONGEST_S = 3600.0


@dataclass(slots=True)
class Fault:
    """One fault; `left` is how many more times it happens, None for always."""

    station: str
    action: str
    direction: str
    kind: str
    value: str = ""
    left: int | None = None

    @property
    def seconds(self) -> float:
        """The value of `delay`, or of `slow` (after each byte)."""
        return float(self.value) / (1000 if self.kind == "slow" else 1)

    def describe(self) -> dict[str, object]:
        """The fault as JSON."""
        return {
            "station": self.station,
            "action": self.action,
            "direction": self.direction,
            "kind": self.kind,
            "value": self.value,
            "left": self.left,
        }

    def fits(self, station: str, direction: str, action: str) -> bool:
        """Whether it is for this."""
        return (
            self.direction == direction
            and self.station in (ANY, station)
            and self.action in (ANY, action)
        )


def parse_fault(words: list[str]) -> Fault:
    """`STATION ACTION DIRECTION KIND [VALUE] [xTIMES]`, or `STATION connect refuse [STATUS]`.

    Raises:
        ValueError: it is none; the message says what is allowed there.
    """
    words = list(words)
    left = None
    if words and words[-1][:1] == "x" and words[-1][1:].isascii() and words[-1][1:].isdigit():
        left = int(words.pop()[1:])
    if len(words) >= 2 and words[1] == CONNECT:
        words.insert(1, ANY)
    if not 4 <= len(words) <= 5:
        raise ValueError("fault STATION|* ACTION|* answer|call|received KIND [VALUE] [xTIMES]")
    station, action, direction, kind, *rest = words
    if action != ANY and action not in ocpp16.ACTIONS:
        raise ValueError(f"{action} is no action of OCPP 1.6 (* is all)")
    if kind not in KINDS:
        raise ValueError("the faults are: " + ", ".join(KINDS))
    directions, meaning = KINDS[kind]
    if direction not in directions:
        raise ValueError(f"{kind} is for: " + ", ".join(sorted(directions)))
    if rest and meaning is None:
        raise ValueError(f"{kind} has no value")
    value = "" if meaning is None else _checked(rest[0] if rest else _DEFAULTS[meaning], meaning)
    return Fault(station, action, direction, kind, value, left)


def _checked(value: str, meaning: str) -> str:
    if meaning == _CODE:
        if value not in ocpp16.CALL_ERROR_CODES:
            raise ValueError("the codes are: " + ", ".join(sorted(ocpp16.CALL_ERROR_CODES)))
        return value
    if meaning == _STATUS:
        if not (value.isascii() and value.isdigit() and 400 <= int(value) <= 599):
            raise ValueError("an HTTP status from 400 to 599")
        return value
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= _LONGEST_S * (1000 if meaning == _MILLISECONDS else 1):
        raise ValueError(f"{value}: expected {meaning}, at most an hour")
    return value


class Faults:
    """All faults that are set; the one set last comes first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._faults)

    def add(self, fault: Fault) -> None:
        """Let it happen from now on."""
        self._faults.insert(0, fault)

    def clear(self, station: str | None = None) -> int:
        """Take back those of a station, or all; returns how many."""
        kept = [each for each in self._faults if station is not None and each.station != station]
        removed = len(self._faults) - len(kept)
        self._faults = kept
        return removed

    def take(self, station: str, direction: str, action: str) -> Fault | None:
        """The fault that happens to this message, if any; counts it."""
        for fault in self._faults:
            if fault.fits(station, direction, action):
                if fault.left is not None:
                    fault.left -= 1
                    if fault.left <= 0:
                        self._faults.remove(fault)
                return fault
        return None

    def describe(self) -> list[dict[str, object]]:
        """All of them as JSON."""
        return [fault.describe() for fault in self._faults]
