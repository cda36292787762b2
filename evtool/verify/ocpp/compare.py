# SPDX-License-Identifier: GPL-3.0-or-later
"""The streams of two charge points, compared within the tolerances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from evtool.protocol import ocpp16
from evtool.verify.ocpp.csms import NOON_MS
from evtool.verify.ocpp.record import Record
from evtool.verify.ocpp.streams import Item, Streams, streams_of
from evtool.verify.ocpp.tolerances import Tolerances

NOTHING = "(nothing)"
_TIMES = ("timestamp", "startSchedule", "validFrom", "validTo", "currentTime", "expiryDate")
_SECONDS = ("startPeriod", "scheduleStart")
# What the controller says, and what one unit of the sample is in it.
_OF_STATE = {
    "Power.Active.Import": ("power_mw", 1000),
    "Voltage": ("measured_mv", 1000),
    "Current.Import": ("measured_ma", 1000),
    "Current.Offered": ("offered_ma", 1000),
    "Temperature": ("temperature_mdegc", 1000),
    "SoC": ("soc_permille", 10),
}
_TURNS_S = 0.3  # what the turns of one may make longer than those of the other
_ENERGY = "Energy.Active.Import.Register"


@dataclass(frozen=True, slots=True)
class WireDifference:
    """One thing in which the two differ.

    Attributes:
        field: a name, or empty where one of the two has nothing there at all.
        reference, device: what each of them has.
        reference_at, device_at: where in the stream.
    """

    stream: str
    field: str
    reference: str
    device: str
    at_ms: int
    reference_at: int
    device_at: int
    what: str

    def __str__(self) -> str:
        name = f" {self.field}" if self.field else ""
        return f"{self.stream}: {self.what}{name}: reference {self.reference}, device {self.device}"


@dataclass(frozen=True, slots=True)
class Compared:
    """Everything in which two lives differ, in the order of time."""

    reference: Streams
    device: Streams
    differences: tuple[WireDifference, ...]


def compare(reference: Record, device: Record, tolerances: Tolerances) -> Compared:
    """Compare two lives, stream by stream."""
    ours, theirs = streams_of(reference), streams_of(device)
    names = [*ours.items, *(name for name in theirs.items if name not in ours.items)]
    same = _Same(tolerances, reference)
    found: list[WireDifference] = []
    for name in names:
        a, b = ours.items.get(name, []), theirs.items.get(name, [])
        if name == "word" or name.startswith("status "):
            a, b = _without_fleeting(name, a, b, tolerances)
            ours.items[name], theirs.items[name] = a, b
        found += _in_stream(name, a, b, same)
    found += _untrue_registers(device, theirs, tolerances)
    found.sort(key=lambda each: each.at_ms)
    return Compared(ours, theirs, tuple(found))


def _untrue_registers(
    device: Record, streams: Streams, tolerances: Tolerances
) -> Iterator[WireDifference]:
    """Registers that the device tells and its own controller had not stored, to the Wh."""
    for name, items in streams.items.items():
        if not name.startswith(("transaction ", "metering ", "triggered")):
            continue
        for position, item in enumerate(items):
            for field, timestamp in _registers(item):
                told = ocpp16.parse_timestamp(item.fields.get(timestamp))
                if told is None:
                    continue
                stored = _values_about(
                    device.states, "stored_mwh", told - NOON_MS, tolerances.sample_ms
                )
                wanted = sorted({value // 1000 for value in stored})
                if wanted and str(item.fields[field]) not in map(str, wanted):
                    known = "its controller " + " or ".join(map(str, wanted))
                    value = str(item.fields[field])
                    yield WireDifference(
                        name, field, known, value, item.at_ms, position, position, item.what
                    )


def _registers(item: Item) -> Iterator[tuple[str, str]]:
    """The fields of an item that tell the register, each with the field of its time."""
    for field in item.fields:
        if field in ("meterStart", "meterStop"):
            yield field, "timestamp"
        elif field.endswith(f"{_ENERGY}.value"):
            yield field, f"{field.partition('.sampledValue.')[0]}.timestamp"


def _in_stream(
    name: str, ours: Sequence[Item], theirs: Sequence[Item], same: _Same
) -> list[WireDifference]:
    found: list[WireDifference] = []
    for tag, i1, i2, j1, j2 in _aligned(name, ours, theirs):
        if tag == "equal":
            for i, j in zip(range(i1, i2), range(j1, j2), strict=True):
                found += _in_item(name, ours[i], theirs[j], (i, j), same)
            continue
        for i, j in zip(range(i1, i2), range(j1, j2), strict=False):
            found.append(
                WireDifference(
                    name, "", ours[i].what, theirs[j].what, ours[i].at_ms, i, j, "instead"
                )
            )
        paired = min(i2 - i1, j2 - j1)
        for i in range(i1 + paired, i2):
            what = ours[i].what
            found.append(WireDifference(name, "", "yes", NOTHING, ours[i].at_ms, i, j2, what))
        for j in range(j1 + paired, j2):
            what = theirs[j].what
            found.append(WireDifference(name, "", NOTHING, "yes", theirs[j].at_ms, i2, j, what))
    return found


def _without_fleeting(
    name: str, ours: list[Item], theirs: list[Item], tolerances: Tolerances
) -> tuple[list[Item], list[Item]]:
    """Both without what did not last; what lasted just so long on one side, and a little longer
    on the other, did not last on either."""
    without = _held if name == "word" else _lasting
    margins_s = (0.0, _TURNS_S)
    kept = [without(ours, tolerances.fleeting_s + margin_s) for margin_s in margins_s]
    theirs_kept = [without(theirs, tolerances.fleeting_s + margin_s) for margin_s in margins_s]
    for a in kept:
        for b in theirs_kept:
            if [each.what for each in a] == [each.what for each in b]:
                return a, b
    return kept[0], theirs_kept[0]


def _lasting(items: Sequence[Item], fleeting_s: float) -> list[Item]:
    """Without the statuses that did not last: which of two turns sees them is open."""
    kept: list[Item] = []
    for item, after in zip_longest(items, items[1:]):
        changed = after is not None and after.what != item.what
        lasted_s = _seconds_between(item, after) if after is not None and changed else None
        if lasted_s is not None and lasted_s <= fleeting_s:
            continue
        if not kept or kept[-1].what != item.what:
            kept.append(item)
    return kept


def _held(items: Sequence[Item], fleeting_s: float) -> list[Item]:
    """Without what OCPP said and took back at once."""
    kept: list[Item] = []
    for item in items:
        of = item.what.split()[0]
        before = next(
            (n for n in reversed(range(len(kept))) if kept[n].what.split()[0] == of), None
        )
        if before is not None and item.at_ms - kept[before].at_ms <= fleeting_s * 1000:
            del kept[before]
        else:
            kept.append(item)
    return kept


def _seconds_between(item: Item, after: Item) -> float | None:
    since = ocpp16.parse_timestamp(item.fields.get("timestamp"))
    until = ocpp16.parse_timestamp(after.fields.get("timestamp"))
    return None if since is None or until is None else (until - since) / 1000


def _aligned(
    name: str, ours: Sequence[Item], theirs: Sequence[Item]
) -> list[tuple[str, int, int, int, int]]:
    """Which items stand for the same thing; as difflib says it."""
    if name == "answers" and len(ours) == len(theirs):  # to the same calls, one by one
        return [
            ("equal" if a.what == b.what else "replace", n, n + 1, n, n + 1)
            for n, (a, b) in enumerate(zip(ours, theirs, strict=True))
        ]
    whats = [each.what for each in ours], [each.what for each in theirs]
    return list(SequenceMatcher(None, *whats, autojunk=False).get_opcodes())


def _in_item(
    name: str, ours: Item, theirs: Item, at: tuple[int, int], same: _Same
) -> list[WireDifference]:
    found = []

    def differs(field: str, reference: object, device: object) -> None:
        found.append(
            WireDifference(
                name, field, str(reference), str(device), ours.at_ms, at[0], at[1], ours.what
            )
        )

    if name != "keys" and not same.sent(ours.at_ms, theirs.at_ms):
        differs("sent", f"at {ours.at_ms} ms", f"at {theirs.at_ms} ms")
    for field in [*ours.fields, *(each for each in theirs.fields if each not in ours.fields)]:
        a, b = ours.fields.get(field, NOTHING), theirs.fields.get(field, NOTHING)
        if a != b and not same.field(field, a, b, theirs.fields):
            differs(field, a, b)
    return found


class _Same:
    """Whether two values count as the same."""

    def __init__(self, tolerances: Tolerances, reference: Record) -> None:
        self._tolerances = tolerances
        self._states = reference.states

    def sent(self, ours_ms: int, theirs_ms: int) -> bool:
        return abs(ours_ms - theirs_ms) <= self._tolerances.sent_ms

    def field(self, name: str, ours: Any, theirs: Any, whole: Mapping[str, Any]) -> bool:
        *_, last = name.split(".")
        if last in _TIMES:
            return self._times(ours, theirs)
        if last in _SECONDS:
            return _near(ours, theirs, self._tolerances.timestamp_s)
        if last in ("meterStart", "meterStop") or name.endswith(f"{_ENERGY}.value"):
            return _near(ours, theirs, self._tolerances.energy_wh)
        if last == "value" and "sampledValue" in name:
            return self._sample(name, theirs, whole)
        return False

    def _times(self, ours: Any, theirs: Any) -> bool:
        a, b = ocpp16.parse_timestamp(ours), ocpp16.parse_timestamp(theirs)
        within = self._tolerances.timestamp_s * 1000
        return a is not None and b is not None and abs(a - b) <= within

    def _sample(self, name: str, theirs: Any, whole: Mapping[str, Any]) -> bool:
        """Whether the device's value is one that the reference's controller had about then."""
        path, _, rest = name.partition(".sampledValue.")
        measurand = rest.removesuffix(".value")
        told = ocpp16.parse_timestamp(whole.get(f"{path}.timestamp"))
        field, unit = _OF_STATE.get(measurand, ("", 1))
        if told is None or not field:
            return False
        at_ms = told - NOON_MS
        values = _values_about(self._states, field, at_ms, self._tolerances.sample_ms)
        try:
            value = float(theirs) * unit
        except (TypeError, ValueError):
            return False
        spare = 1 + max((abs(each) for each in values), default=0) * (
            self._tolerances.sample_percent / 100
        )
        return bool(values) and min(values) - spare <= value <= max(values) + spare


def _values_about(
    states: Sequence[tuple[int, Mapping[str, str]]], field: str, at_ms: int, within_ms: int
) -> list[int]:
    """Every value that `field` had from `at_ms - within_ms` to `at_ms + within_ms`."""
    values: list[int] = []
    before: str | None = None
    for seen_ms, state in states:
        if seen_ms > at_ms + within_ms:
            break
        if seen_ms >= at_ms - within_ms:
            if before is not None and not values and before.lstrip("-").isdigit():
                values.append(int(before))
            if state[field].lstrip("-").isdigit() and state[field] != "-":
                values.append(int(state[field]))
        before = state[field]
    if not values and before is not None and before != "-":
        values.append(int(before))
    return values


def _near(ours: Any, theirs: Any, within: float) -> bool:
    try:
        return abs(float(ours) - float(theirs)) <= within
    except (TypeError, ValueError):
        return False
