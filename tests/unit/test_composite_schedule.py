# SPDX-License-Identifier: GPL-3.0-or-later
"""The composite schedule against the pointwise limit, computed a second time in another way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import floor
from typing import Any

from charging_profiles import moment, payload
from hypothesis import given
from hypothesis import strategies as st

from evtool.reference_impl.charge_point.smart_charging import (
    Profile,
    ProfileStore,
    Supply,
    read_profile,
)

NOW = 1_714_564_800_000  # 2024-05-01T12:00:00Z
AC = Supply(48_000, 230_000, 3)
LAST = 172_799
"""The last second of the composite."""


# The pointwise limit again, from the payloads and with the calendar, to hold against the store.

S = 1000
DAY = timedelta(days=1)


def moment_of(unix_ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=unix_ms)


def allowed(value: dict[str, Any], at: datetime, started: datetime | None) -> Any:
    """(limit, phases) that one payload names at a moment, or None."""
    if "validFrom" in value and at < datetime.fromisoformat(value["validFrom"]):
        return None
    if "validTo" in value and at >= datetime.fromisoformat(value["validTo"]):
        return None
    schedule = value["chargingSchedule"]
    begin = started
    if value["chargingProfileKind"] != "Relative" and "startSchedule" in schedule:
        begin = datetime.fromisoformat(schedule["startSchedule"])
    if begin is None or at < begin:
        return None
    if value["chargingProfileKind"] == "Recurring":
        cycle = DAY if value["recurrencyKind"] == "Daily" else 7 * DAY
        while begin + cycle <= at:
            begin += cycle
    if "duration" in schedule and at >= begin + timedelta(seconds=schedule["duration"]):
        return None
    current = None
    for period in schedule["chargingSchedulePeriod"]:
        if begin + timedelta(seconds=period["startPeriod"]) <= at:
            current = period
    return None if current is None else (current["limit"], current.get("numberPhases", 3))


def pointwise(installed: list[tuple[int, dict[str, Any]]], at_ms: int, start_ms: int) -> Fraction:
    """Amperes of connector 1 on three phases at 230 V, at most 48."""
    at, started = moment_of(at_ms), moment_of(start_ms)

    def first(ranked: list[tuple[int, dict[str, Any]]]) -> Any:
        for _, value in ranked:
            found = allowed(value, at, started)
            if found is not None:
                return (*found, value["chargingSchedule"]["chargingRateUnit"])
        return None

    def of(purpose: str) -> list[tuple[int, dict[str, Any]]]:
        chosen = [entry for entry in installed if entry[1]["chargingProfilePurpose"] == purpose]
        return sorted(chosen, key=lambda entry: (-entry[1]["stackLevel"], -entry[0]))

    limits = [
        found
        for found in (
            first(of("ChargePointMaxProfile")),
            first(of("TxProfile")) or first(of("TxDefaultProfile")),
        )
        if found is not None
    ]
    phases = min((count for _, count, _ in limits), default=3)
    amperes = [
        Fraction(str(limit)) / (1 if unit == "A" else 230 * phases) for limit, _, unit in limits
    ]
    return min([Fraction(48), *amperes])


ratios = st.integers(0, 500).map(lambda tenths: tenths / 10)


@st.composite
def installations(draw: st.DrawFn) -> tuple[int, dict[str, Any]]:
    purpose = draw(st.sampled_from(["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"]))
    connector = {"ChargePointMaxProfile": 0, "TxProfile": 1}.get(purpose)
    if connector is None:
        connector = draw(st.sampled_from([0, 1]))
    kinds = ["Absolute", "Recurring", "Relative"][: 2 if purpose == "ChargePointMaxProfile" else 3]
    kind = draw(st.sampled_from(kinds))
    starts = draw(st.sets(st.integers(1, 100_000), max_size=3))
    unit = draw(st.sampled_from("AW"))
    scale = 230 if unit == "W" else 1
    periods = [
        (start, draw(ratios) * scale, *([phases] if (phases := draw(st.integers(0, 3))) else []))
        for start in [0, *sorted(starts)]
    ]
    more: dict[str, Any] = {}
    offsets = st.integers(-20 * 86_400 * S, 2 * 86_400 * S)
    if kind != "Relative":
        more["startSchedule"] = moment(NOW + draw(offsets))
    if kind == "Recurring":
        more["recurrencyKind"] = draw(st.sampled_from(["Daily", "Weekly"]))
    if draw(st.booleans()):
        more["duration"] = draw(st.integers(1, 200_000))
    if draw(st.booleans()):
        more["validFrom"] = moment(NOW + draw(offsets))
    if draw(st.booleans()):
        more["validTo"] = moment(NOW + 3 * 86_400 * S + draw(st.integers(0, 86_400 * S)))
    return connector, payload(purpose, periods, kind=kind, unit=unit, **more)


@given(
    st.lists(installations(), max_size=6),
    st.lists(st.integers(0, LAST) | st.just(LAST), min_size=1, max_size=8),
    st.integers(0, 86_400 * S),
    st.data(),
)
def test_the_composite_is_the_pointwise_limit(
    chosen: list[tuple[int, dict[str, Any]]],
    offsets: list[int],
    since: int,
    data: st.DataObject,
) -> None:
    made, installed = ProfileStore(), []
    for number, (connector, value) in enumerate(chosen):
        entry = value | {"chargingProfileId": number, "stackLevel": number}
        read = read_profile(connector, entry, NOW)
        assert isinstance(read, Profile), read
        assert made.install(read)
        installed.append((connector, entry))
    start = NOW - since
    composite = made.composite(1, NOW, 172_800, start, AC, "A")
    assert composite is not None
    begins = [offset for offset, _, _ in composite.periods]
    assert begins[0] == 0
    assert begins == sorted(set(begins))
    changed = zip(composite.periods, composite.periods[1:], strict=False)
    assert all(one[1:] != other[1:] for one, other in changed), "equal neighbours are merged"
    near = [begin + step for begin in begins for step in (-1, 0) if begin + step >= 0]
    for offset in [*offsets, data.draw(st.sampled_from(near))]:
        told = next(limit for begin, limit, _ in reversed(composite.periods) if begin <= offset)
        moment = NOW + offset * S + (999 if offset == LAST else 0)
        expected = floor(pointwise(installed, moment, start) * 1000)
        assert told == expected, offset
        limit = made.limit_ma(moment, start, 1, AC)
        assert min(limit if limit is not None else 48_000, 48_000) == told
