# SPDX-License-Identifier: GPL-3.0-or-later
"""A new key or a higher profile is tried, and taken back where nothing connects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.reference_impl.charge_point.security.connection_change import (
    KEY,
    ConnectionChange,
    ConnectionSettings,
    may_raise,
)
from evtool.reference_impl.charge_point.values import Persist

OLD = ConnectionSettings(0, "a" * 32)


@pytest.mark.parametrize(
    ("current", "wanted", "has", "allowed"),
    [
        (0, 1, "key", True),
        (0, 1, "", False),
        (0, 2, "key root", True),
        (0, 2, "key", False),
        (1, 3, "root certificate", True),
        (1, 3, "root", False),
        (2, 1, "key root certificate", False),
        (2, 2, "key root", False),
        (0, 4, "key root certificate", False),
    ],
)
def test_a_profile_only_rises(current: int, wanted: int, has: str, *, allowed: bool) -> None:
    names = has.split()
    assert allowed == may_raise(
        current,
        wanted,
        has_key="key" in names,
        has_root="root" in names,
        has_certificate="certificate" in names,
    )


def test_new_settings_that_connect_stay() -> None:
    change = ConnectionChange()
    (kept,) = change.begin(OLD)
    assert OLD.authorization_key not in repr(kept) + repr(OLD)
    assert change.on_failure(OLD) is None
    assert change.begin(ConnectionSettings(1, "b" * 32)) == [], "the first is what works"
    (forgotten,) = change.on_open()
    assert (forgotten.key, forgotten.value) == (KEY, None)
    assert not change.on_trial
    assert change.on_failure(OLD) is None


NEW = ConnectionSettings(1, "b" * 32)


def test_settings_that_do_not_connect_take_turns_until_one_does() -> None:
    change = ConnectionChange()
    change.begin(OLD)
    for current, other in ((NEW, OLD), (OLD, NEW), (NEW, OLD)):
        assert [change.on_failure(current) for _ in range(2)] == [None, None]
        turned = change.on_failure(current)
        assert turned is not None
        assert turned[0] == other
        assert ConnectionChange({KEY: turned[1].value or ""}).on_trial
    assert change.on_open() == [Persist(KEY, None)]
    assert not change.on_trial
    assert change.on_failure(OLD) is None


def test_a_cut_during_the_trial() -> None:
    (kept,) = ConnectionChange().begin(OLD)
    again = ConnectionChange({kept.key: kept.value or ""}, attempts=1)
    assert again.on_trial
    turned = again.on_failure(NEW)
    assert turned is not None
    assert turned[0] == OLD


@given(st.text(max_size=60))
def test_hostile_storage(text: str) -> None:
    assert not ConnectionChange({KEY: text}).on_trial


@pytest.mark.parametrize(("key", "is_kept"), [("a" * 32, True), ("", True), ("short", False)])
def test_a_kept_key_that_is_none_does_not_come_back(key: str, *, is_kept: bool) -> None:
    (kept,) = ConnectionChange().begin(ConnectionSettings(0, key))
    assert ConnectionChange({kept.key: kept.value or ""}).on_trial == is_kept
