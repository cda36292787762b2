# SPDX-License-Identifier: GPL-3.0-or-later
"""Charging profiles: what is accepted, which limit holds when, what survives a restart."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from charging_profiles import moment, payload
from hypothesis import given
from hypothesis import strategies as st

from evtool.protocol.ocpp16 import Violation, find_violation
from evtool.reference_impl.charge_point.smart_charging import (
    MICROOCPP_RULES,
    STRICT_RULES,
    Limit,
    Profile,
    ProfileStore,
    Rules,
    Supply,
    read_profile,
)
from evtool.reference_impl.charge_point.smart_charging.kept_profile import read_kept_profile

NOW = 1_714_564_800_000  # 2024-05-01T12:00:00Z, a Wednesday
AC = Supply(48_000, 230_000, 3, 2)
DC = Supply(300_000)


def profile(connector: int = 1, *args: Any, rules: Rules = STRICT_RULES, **more: Any) -> Profile:
    value = payload(*args, **more)
    request = {"connectorId": connector, "csChargingProfiles": value}
    assert find_violation("SetChargingProfile", request) is None
    read = read_profile(connector, value, NOW, rules)
    assert isinstance(read, Profile), read
    return read


def store(*profiles: Profile, rules: Rules = STRICT_RULES) -> ProfileStore:
    made = ProfileStore(rules)
    for one in profiles:
        assert made.install(one)
    return made


def update(kept: dict[str, str], made: ProfileStore) -> dict[str, str]:
    """Keep what `made` wants to be kept."""
    for key, value in made.take_changes().items():
        kept.pop(key, None)
        if value is not None:
            kept[key] = value
    return kept


def steps(
    made: ProfileStore,
    duration: int,
    *,
    connector: int = 1,
    start: int | None = NOW,
    supply: Supply = AC,
    unit: str | None = None,
) -> list[tuple[int, float, int | None]]:
    composite = made.composite(connector, NOW, duration, start, supply, unit)
    assert composite is not None
    schedule = composite.payload()
    answer = {
        "status": "Accepted",
        "connectorId": connector,
        "scheduleStart": "2024-05-01T12:00:00Z",
        "chargingSchedule": schedule,
    }
    assert find_violation("GetCompositeSchedule", answer, answer=True) is None
    return [
        (period["startPeriod"], period["limit"], period.get("numberPhases"))
        for period in schedule["chargingSchedulePeriod"]
    ]


def test_three_purposes_together() -> None:
    """Maximum 10 A; the default's steps; a TxProfile over them for four minutes."""
    at: dict[str, Any] = {
        "startSchedule": moment(NOW),
        "validFrom": moment(NOW),
        "validTo": moment(NOW + 86_400_000),
    }
    made = store(
        profile(0, "ChargePointMaxProfile", [(0, 10)], duration=86_400, **at),
        profile(
            1,
            "TxDefaultProfile",
            [(0, 6), (60, 10), (120, 8), (180, 25), (260, 8)],
            number=2,
            duration=300,
            **at,
        ),
        profile(
            1,
            "TxProfile",
            [(0, 8), (50, 11), (140, 16), (200, 6), (240, 12)],
            number=3,
            duration=240,
            transactionId=1,
            **at,
        ),
    )
    assert steps(made, 400) == [
        (0, 8.0, 3),
        (50, 10.0, 3),
        (200, 6.0, 3),
        (240, 10.0, 3),
        (260, 8.0, 3),
        (300, 10.0, 3),
    ]
    made.end_transaction(1)
    assert steps(made, 100, start=None)[:2] == [(0, 6.0, 3), (60, 10.0, 3)]


def test_the_higher_level_counts_while_it_says_something() -> None:
    made = store(
        profile(periods=[(0, 6), (50, 5), (100, 8), (200, 10)], duration=400),
        profile(periods=[(0, 7), (100, 9)], duration=150, number=2, level=1),
    )
    assert steps(made, 550) == [
        (0, 7.0, 3),
        (100, 9.0, 3),
        (150, 8.0, 3),
        (200, 10.0, 3),
        (400, 48.0, 3),
    ]


def test_defaults_of_connector_zero_are_in_the_same_stack() -> None:
    own = profile(1, periods=[(0, 16), (100, 20)], kind="Relative")
    general = profile(
        0, periods=[(0, 10), (50, 6)], kind="Relative", number=2, level=1, duration=200
    )
    assert steps(store(own, general), 300) == [(0, 10.0, 3), (50, 6.0, 3), (200, 20.0, 3)]
    assert steps(store(own, general), 300, connector=2)[-1] == (200, 48.0, 3)
    same_level = profile(0, periods=[(0, 1)], number=3)
    assert steps(store(own, same_level), 60) == [(0, 16.0, 3)]
    theirs = store(own, general, rules=MICROOCPP_RULES)
    assert theirs.limit_ma(NOW, NOW) == 16_000, "MicroOcpp: the connector's own at any level"


def test_daily_and_weekly() -> None:
    daily = [
        profile(
            periods=[(0, 14), (5000, 16), (15000, 20)],
            kind="Recurring",
            recurrencyKind="Daily",
            startSchedule=moment(NOW),
        ),
        profile(
            periods=[(0, 10), (10000, 22), (20000, 6)],
            number=2,
            level=1,
            kind="Recurring",
            recurrencyKind="Daily",
            startSchedule=moment(NOW),
            duration=86_400,
        ),
    ]
    assert steps(store(*daily), 172_800) == [
        (0, 10.0, 3),
        (10_000, 22.0, 3),
        (20_000, 6.0, 3),
        (86_400, 10.0, 3),
        (96_400, 22.0, 3),
        (106_400, 6.0, 3),
    ]
    weekly = profile(
        periods=[(0, 10), (20_000, 6)],
        number=2,
        level=1,
        kind="Recurring",
        recurrencyKind="Weekly",
        startSchedule=moment(NOW),
        duration=86_400,
    )
    assert steps(store(daily[0], weekly), 100_000) == [
        (0, 10.0, 3),
        (20_000, 6.0, 3),
        (86_400, 14.0, 3),
        (91_400, 16.0, 3),
    ]


def test_a_recurring_schedule_longer_than_its_cycle_starts_again() -> None:
    made = store(
        profile(
            periods=[(0, 10), (80_000, 8), (90_000, 1)],
            kind="Recurring",
            recurrencyKind="Daily",
            startSchedule=moment(NOW - 7 * 86_400_000),
            duration=200_000,
        )
    )
    assert steps(made, 172_800) == [(0, 10.0, 3), (80_000, 8.0, 3), (86_400, 10.0, 3),
                                    (166_400, 8.0, 3)]  # fmt: skip


def test_a_recurring_schedule_waits_for_its_first_day() -> None:
    made = store(
        profile(
            kind="Recurring",
            recurrencyKind="Daily",
            startSchedule=moment(NOW + 60_000),
            duration=30,
        )
    )
    assert steps(made, 90_000) == [(0, 48.0, 3), (60, 16.0, 3), (90, 48.0, 3),
                                   (86_460, 16.0, 3), (86_490, 48.0, 3)]  # fmt: skip


def test_validity_and_absolute_without_start() -> None:
    made = store(
        profile(
            periods=[(0, 16), (30, 10)],
            validFrom=moment(NOW + 10_000),
            validTo=moment(NOW + 60_000),
        )
    )
    # Without startSchedule it counts from the start of the transaction.
    assert steps(made, 100, start=NOW - 5_000) == [
        (0, 48.0, 3),
        (10, 16.0, 3),
        (25, 10.0, 3),
        (60, 48.0, 3),
    ]


@pytest.mark.parametrize(("rules", "last"), [(STRICT_RULES, False), (MICROOCPP_RULES, True)])
def test_the_library_counts_the_second_of_the_end(rules: Rules, last: bool) -> None:
    made = store(profile(validTo=moment(NOW + 60_000), rules=rules), rules=rules)
    limits = [made.limit_ma(NOW + at_ms, NOW - 5_000) for at_ms in (59_000, 60_000, 61_000)]
    assert limits == [16_000, 16_000 if last else None, None]


def test_a_maximum_without_start_counts_from_its_arrival() -> None:
    made = store(profile(0, "ChargePointMaxProfile", [(0, 10), (60, 5)]))
    assert made.limit_ma(NOW + 59_999, None) == 10_000
    assert made.limit_ma(NOW + 60_000, None) == 5_000
    assert made.limit_ma(NOW + 60_000, None, 0) == 5_000


def test_units_are_converted_and_both_limits_hold() -> None:
    made = store(
        profile(0, "ChargePointMaxProfile", [(0, 10), (80, 20, 1), (100, 20, 3)], duration=200),
        profile(
            1,
            "TxDefaultProfile",
            [(0, 11_000, 3), (60, 6_900, 1), (120, 5_520), (180, 17_250), (260, 5_520)],
            unit="W",
            number=2,
            duration=300,
        ),
    )
    assert steps(made, 400, unit="W") == [
        (0, 6_900.0, 3),  # 10 A on three phases
        (60, 2_300.0, 1),  # 10 A, and one phase
        (80, 4_600.0, 1),  # 20 A on one phase
        (120, 5_520.0, 3),
        (180, 13_800.0, 3),  # 20 A on three phases
        (200, 17_250.0, 3),
        (260, 5_520.0, 3),
        (300, 33_120.0, 3),  # what the hardware gives
    ]
    assert steps(made, 400, unit="A") == [
        (0, 10.0, 3),
        (60, 10.0, 1),
        (80, 20.0, 1),
        (120, 8.0, 3),
        (180, 20.0, 3),
        (200, 25.0, 3),
        (260, 8.0, 3),
        (300, 48.0, 3),
    ]
    assert made.limit_ma(NOW + 120_000, NOW, supply=AC) == 8_000
    assert made.limit_ma(NOW + 210_000, NOW, supply=DC) == 0, "unknown voltage: no current"


def test_the_unit_follows_the_profiles() -> None:
    power = profile(periods=[(0, 11_000)], unit="W")
    current = profile(periods=[(0, 32)], number=2, level=1)
    assert store(power).composite(1, NOW, 60, NOW, AC).unit == "W"  # type: ignore[union-attr]
    assert store(current).composite(1, NOW, 60, NOW, AC).unit == "A"  # type: ignore[union-attr]
    both = store(power, current)
    assert both.composite(1, NOW, 60, NOW, AC).unit == "A"  # type: ignore[union-attr]
    assert ProfileStore().composite(1, NOW, 60, NOW, AC).unit == "A"  # type: ignore[union-attr]
    assert store(current).composite(1, NOW, 60, NOW, DC, "W") is None


def test_direct_current_has_no_phases_and_one_phase_has_one() -> None:
    made = store(profile(periods=[(0, 16), (10, 32, 3)]))
    assert steps(made, 60, supply=DC) == [(0, 16.0, None), (10, 32.0, 3)]
    assert steps(made, 60, supply=Supply(32_000, 230_000, 1)) == [(0, 16.0, 1), (10, 32.0, 1)]
    assert steps(ProfileStore(), 60, supply=DC) == [(0, 300.0, None)]
    assert steps(ProfileStore(), 60, connector=0) == [(0, 96.0, 3)]


def test_the_composite_of_microocpp() -> None:
    made = store(
        profile(0, "ChargePointMaxProfile", [(0, 10), (60, 10)], rules=MICROOCPP_RULES),
        profile(1, periods=[(0, 6)], number=2, level=8, rules=MICROOCPP_RULES),
        rules=MICROOCPP_RULES,
    )
    assert steps(made, 100, start=None) == [(0, 10.0, 3), (60, 10.0, 3)]
    assert steps(made, 100) == [(0, 6.0, 3), (60, 6.0, 3)]
    assert steps(made, 100, unit="W") == [(0, -1, 3), (60, -1, 3)]
    assert steps(ProfileStore(MICROOCPP_RULES), 100) == [(0, -1, -1)]


def test_the_composite_of_the_adapter() -> None:
    rules = replace(MICROOCPP_RULES, mends_composites=True)
    supply = Supply(50_000, 400_000)
    assert steps(ProfileStore(rules), 100, supply=supply) == [(0, 50.0, 3)]
    made = store(
        profile(periods=[(0, 10), (20, 10), (40, 12, 1)], duration=60, rules=rules,
                startSchedule=moment(NOW)),
        rules=rules,
    )  # fmt: skip
    assert steps(made, 100, supply=supply) == [(0, 10.0, 3), (40, 12.0, 1), (60, 50.0, 3)]
    in_watt = [(0, 4000.0, 3), (40, 4800.0, 1), (60, 20_000.0, 3)]
    assert steps(made, 100, supply=supply, unit="W") == in_watt
    composite = made.composite(1, NOW, 100, NOW, supply)
    assert composite is not None
    assert composite.payload()["startSchedule"] == "2024-05-01T12:00:00Z"


def test_d43_the_composite_overlooks_what_ceases_to_be_valid() -> None:
    def periods(rules: Rules) -> list[tuple[int, float, int | None]]:
        made = store(
            profile(periods=[(0, 16), (80, 9)], startSchedule=moment(NOW), rules=rules),
            profile(periods=[(0, 30)], number=2, level=1, validTo=moment(NOW + 20_000), rules=rules,
                    startSchedule=moment(NOW)),
            profile(periods=[(0, 6)], number=3, level=2, validFrom=moment(NOW + 40_000),
                    rules=rules, startSchedule=moment(NOW)),
            rules=rules,
        )  # fmt: skip
        return [(start, limit, 3) for start, limit, _ in steps(made, 100)]

    assert periods(STRICT_RULES) == [(0, 30.0, 3), (20, 16.0, 3), (40, 6.0, 3)]
    assert periods(MICROOCPP_RULES) == [(0, 30.0, 3), (40, 6.0, 3)]


def test_the_minimum_rate() -> None:
    low: dict[str, Any] = {"periods": [(0, 4)], "minChargingRate": 6}
    assert store(profile(**low)).limit(NOW, NOW) == Limit(4_000, minimum_ma=6_000)
    theirs = store(profile(rules=MICROOCPP_RULES, **low), rules=MICROOCPP_RULES)
    assert theirs.limit_ma(NOW, NOW) == 6_000


def test_a_schedule_too_long_is_cut() -> None:
    made = store(
        profile(
            periods=[(number * 60, 10 + number % 2) for number in range(24)],
            kind="Recurring",
            recurrencyKind="Daily",
            startSchedule=moment(NOW),
        ),
        *(
            profile(
                periods=[(number * 60, 10 + number % 3) for number in range(24)],
                kind="Recurring",
                recurrencyKind="Daily",
                startSchedule=moment(NOW + level * 3_600_000),
                number=level + 1,
                level=level,
                duration=1440,
            )
            for level in range(1, 7)
        ),
    )
    composite = made.composite(1, NOW, 10**9, NOW, AC)
    assert composite is not None
    assert len(composite.periods) == 1000
    assert composite.periods[-1][0] < composite.duration_s < 31 * 86_400


@pytest.mark.parametrize(
    ("connector", "value"),
    [
        (1, payload("ChargePointMaxProfile")),
        (0, payload("TxProfile")),
        (0, payload("ChargePointMaxProfile", kind="Relative")),
        (1, payload(level=8)),
        (1, payload(level=-1)),
        (1, payload(periods=[(0, -1)])),
        (1, payload(periods=[])),
        (1, payload(periods=[(5, 1)])),
        (1, payload(periods=[(0, 1), (9, 2), (9, 3)])),
        (1, payload(periods=[(0, 1), (9, 2), (8, 3)])),
        (1, payload(periods=[(number, 1) for number in range(25)])),
        (1, payload(periods=[(0, 1, 4)])),
        (1, payload(periods=[(0, 1, 0)])),
        (1, payload(duration=-1)),
        (1, payload(minChargingRate=-1)),
        (1, payload(validFrom="soon")),
        (1, payload(validFrom=moment(NOW), validTo=moment(NOW))),
        (1, payload(kind="Recurring", startSchedule=moment(NOW))),
        (1, payload(kind="Recurring", recurrencyKind="Daily")),
        (1, payload(unit="W")),
    ],
)
def test_profiles_that_make_no_sense(connector: int, value: dict[str, Any]) -> None:
    assert isinstance(read_profile(connector, value, NOW, units=("A",)), Violation)


def test_replacing_and_clearing() -> None:
    made = store(profile(number=1), profile(number=2, level=1))
    assert made.install(profile(number=3, level=1)), "the same slot"
    assert sorted(one.profile_id for one in made) == [1, 3]
    assert made.install(profile(2, number=3)), "the same id elsewhere"
    assert sorted(one.slot for one in made) == [
        (1, "TxDefaultProfile", 0),
        (2, "TxDefaultProfile", 0),
    ]
    assert not made.clear(3, 1)
    assert not made.clear(connector_id=2, stack_level=1)
    assert made.clear(connector_id=2, stack_level=0, purpose="TxDefaultProfile")
    assert made.clear()
    assert not made.clear()


@pytest.mark.parametrize("rules", [STRICT_RULES, MICROOCPP_RULES])
def test_a_full_store(rules: Rules) -> None:
    made = store(*(profile(number, number=number) for number in range(1, 11)), rules=rules)
    assert not made.install(profile(11, number=11))
    assert made.install(profile(5, number=5)) is rules.replaces_when_full
    assert len(made) == 10


def test_transaction_profiles() -> None:
    made = store(
        profile(1, "TxProfile", [(0, 7)], transactionId=4),
        profile(2, "TxProfile", [(0, 8)], number=2),
    )
    made.bind(1, 5)
    assert [one.profile_id for one in made] == [2]
    made.end_transaction(1)
    assert len(made) == 1
    made.end_transaction(2)
    assert len(made) == 0


def test_profiles_survive_a_restart() -> None:
    kept: dict[str, str] = {"other": "x"}
    made = store(
        profile(0, "ChargePointMaxProfile", [(0, 10), (60, 5, 1)], minChargingRate=1.5, level=7),
        profile(1, number=2, kind="Recurring", recurrencyKind="Weekly", startSchedule=moment(NOW)),
        profile(2, "TxProfile", number=3, transactionId=9, unit="W", validTo=moment(NOW + 9)),
    )
    update(kept, made)
    assert not made.take_changes()
    again = ProfileStore(stored=kept)
    assert list(again) == list(made)
    again.clear(profile_id=2)
    update(kept, again)
    assert len(ProfileStore(stored=kept)) == 2
    theirs = store(profile(level=8, rules=MICROOCPP_RULES), rules=MICROOCPP_RULES)
    level_8 = update({}, theirs)
    assert len(ProfileStore(MICROOCPP_RULES, level_8)) == 1, "D28 is no departure of ours"
    strict = ProfileStore(stored=level_8)
    assert (len(strict), strict.dropped) == (0, tuple(level_8))
    assert strict.take_changes() == dict.fromkeys(level_8)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.text(max_size=30) | st.just("[" * 5000), st.data())
def test_hostile_storage(garbage: str, data: st.DataObject) -> None:
    whole = next(iter(update({}, store(profile())).values()))
    document = json.loads(whole)
    field = data.draw(st.sampled_from(sorted(document)))
    document[field] = data.draw(anything)
    for read in (read_kept_profile(garbage, STRICT_RULES),
                 read_kept_profile(json.dumps(document), STRICT_RULES)):  # fmt: skip
        if read is not None:
            made = store(read)
            made.limit(NOW, NOW)
            made.composite(1, NOW, 3600, NOW, AC)
    made = ProfileStore(stored={"profile.1.TxDefaultProfile.0": garbage})
    assert len(made) == 0


def test_a_kept_cycle_is_a_day_or_a_week() -> None:
    """A month of milliseconds would hold up a composite schedule for ever."""
    kept = update(
        {}, store(profile(kind="Recurring", recurrencyKind="Daily", startSchedule=moment(NOW)))
    )
    document = json.loads(next(iter(kept.values())))
    for cycle_ms, is_kept in [(86_400_000, True), (1, False)]:
        changed = json.dumps(document | {"recurrence_ms": cycle_ms})
        assert (read_kept_profile(changed, STRICT_RULES) is not None) == is_kept
