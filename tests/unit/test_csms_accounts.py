# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is admitted, with which security profile."""

from __future__ import annotations

import copy

import pytest
from csms_rig import KEY, basic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evtool.virtual.csms.accounts import (
    MAX_NEXT_KEYS,
    Account,
    Admitted,
    Knock,
    Refused,
    judge,
)
from evtool.virtual.csms.records import StoredStation

# A busy machine is no fault.
SLOWLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NEXT = b"another-key-of-20-by"


def knock(key: bytes | None = KEY, *, tls: bool = False, cn: str | None = None) -> Knock:
    header = None if key is None else basic("CP", key)
    return Knock("/CP", header, tls, cn, "Operator" if cn else None)


def verdict(account: Account | None, request: Knock, cpo: str | None = None) -> object:
    found = judge(account, "CP", request, cpo, False)
    return found.profile if isinstance(found, Admitted) else found.status


@pytest.mark.parametrize(
    ("lowest", "request_", "expected"),
    [
        (0, knock(), 1),
        (1, knock(), 1),
        (1, knock(None), 401),
        (1, knock(tls=True), 2),
        (2, knock(), 403),
        (2, knock(tls=True), 2),
        (2, knock(NEXT, tls=True), 401),
        (2, knock(tls=True, cn="somebody else"), 2),
        (2, knock(None, tls=True, cn="CP"), 3),
        (3, knock(tls=True), 403),
        (3, knock(None, tls=True), 401),
        (3, knock(None, tls=True, cn="CP"), 3),
        (3, knock(None, tls=True, cn="CP-2"), 401),
    ],
)
def test_profiles(lowest: int, request_: Knock, expected: int) -> None:
    assert verdict(Account("CP", KEY, profile=lowest), request_) == expected


def test_unknown_keyless_and_foreign_stations() -> None:
    assert verdict(None, knock()) == 404
    assert verdict(Account("CP"), knock(None)) == 0
    assert verdict(Account("CP", profile=1), knock()) == 401, "no key is known"
    with_serial = Account("CP", profile=3, serial="SN-7")
    assert verdict(with_serial, knock(None, tls=True, cn="SN-7")) == 3
    assert verdict(with_serial, knock(None, tls=True, cn="CP")) == 401
    assert verdict(with_serial, knock(None, tls=True, cn="SN-7"), cpo="Operator") == 3
    assert verdict(with_serial, knock(None, tls=True, cn="SN-7"), cpo="Another") == 401


def test_a_certificate_without_tls_counts_for_nothing() -> None:
    assert verdict(Account("CP", profile=3), Knock("/CP", None, False, "CP")) == 401


def test_the_old_key_holds_until_the_new_one_has_come() -> None:
    account = Account("CP", KEY, next_keys=[NEXT])
    assert verdict(account, knock()) == 1
    assert account.next_keys == [NEXT]
    came = judge(account, "CP", knock(NEXT), None, False)
    assert isinstance(came, Admitted)
    assert came.changed
    assert account.stored() == StoredStation("CP", NEXT, (), 0, None)
    assert verdict(account, knock()) == 401, "the old one is gone"


def test_a_key_that_was_taken_holds_when_another_one_follows() -> None:
    account = Account("CP", KEY)
    account.offer(NEXT)
    account.offer(b"third-key-of-20-char")
    assert verdict(account, knock()) == 1, "nothing was taken yet"
    account.offer(NEXT)
    account.take(NEXT)
    assert account.next_keys == [NEXT], "what was ordered before is out of use"
    account.offer(b"third-key-of-20-char")
    assert verdict(account, knock(NEXT)) == 1
    assert verdict(account, knock(b"third-key-of-20-char")) == 1
    assert verdict(account, knock(NEXT)) == 401


@pytest.mark.parametrize("comes_with", range(3))
def test_each_key_that_it_may_have_taken_holds_until_it_comes(comes_with: int) -> None:
    third = b"third-key-of-20-char"
    account = Account("CP", KEY)
    account.offer(NEXT)  # the answer was lost
    account.offer(third)  # and this one's
    key = (KEY, NEXT, third)[comes_with]
    assert verdict(account, knock(key)) == 1
    good = [
        each for each in (KEY, NEXT, third) if verdict(copy.deepcopy(account), knock(each)) == 1
    ]
    assert good == [[KEY, NEXT, third], [NEXT, third], [third]][comes_with]


def test_a_key_that_it_declines_is_forgotten_unless_it_may_have_taken_it_before() -> None:
    account = Account("CP", KEY)
    account.offer(NEXT)
    account.offer(NEXT)
    account.decline(NEXT)
    assert verdict(copy.deepcopy(account), knock(NEXT)) == 1
    account.decline(NEXT)
    assert verdict(account, knock(NEXT)) == 401
    account.decline(NEXT)
    account.take(NEXT)
    assert account.next_keys == []


def test_keys_without_an_answer_are_bounded() -> None:
    account = Account("CP", KEY)
    for number in range(MAX_NEXT_KEYS):
        account.offer(b"%020d" % number)
    with pytest.raises(ValueError, match="without an answer"):
        account.offer(NEXT)
    account.replace(NEXT)
    account.offer(KEY)
    assert (account.key, account.next_keys) == (NEXT, [KEY])


def test_guessing_is_held_back_and_the_right_key_is_not() -> None:
    account = Account("CP", KEY)
    holds = []
    for _ in range(20):
        assert verdict(account, knock(NEXT)) == 401
        holds.append(account.hold_s)
    assert holds[:3] == [0, 0, 0], "slips"
    assert holds == sorted(holds)
    assert holds[-1] == 5
    assert verdict(account, Knock("/CP")) == 401, "no password is no guess"
    assert account.wrong_passwords == 20
    assert verdict(account, knock()) == 1
    assert account.hold_s == 0


def test_the_higher_profile_holds_once_it_has_come() -> None:
    account = Account("CP", KEY, profile=1, next_profile=2)
    assert verdict(account, knock()) == 1
    assert verdict(account, knock(tls=True)) == 2
    assert (account.profile, account.next_profile) == (2, None)
    assert verdict(account, knock()) == 403


@pytest.mark.parametrize(
    ("configured", "stored", "profile", "next_profile"),
    [(1, (1, None), 1, None), (1, (2, 3), 2, 3), (3, (1, 2), 3, None), (2, (1, 3), 2, 3)],
)
def test_no_restart_lowers_a_profile(
    configured: int, stored: tuple[int, int | None], profile: int, next_profile: int | None
) -> None:
    account = Account("CP", KEY, profile=configured)
    account.restore(StoredStation("CP", NEXT, (), *stored))
    assert (account.profile, account.next_profile) == (profile, next_profile)
    assert account.key == NEXT


def test_hex_digits_pass_only_where_they_may() -> None:
    account = Account("CP", KEY)
    as_hex = knock(KEY.hex().upper().encode())
    assert isinstance(judge(account, "CP", as_hex, None, False), Refused)
    assert isinstance(judge(account, "CP", as_hex, None, True), Admitted)


@SLOWLY
@given(st.binary(max_size=40), st.booleans(), st.sampled_from([None, "CP", "x"]))
def test_no_other_key_gets_in(key: bytes, tls: bool, cn: str | None) -> None:
    account = Account("CP", KEY, profile=1)
    found = judge(account, "CP", knock(key, tls=tls, cn=cn), None, True)
    allowed = key in (KEY, KEY.hex().encode()) or (tls and cn == "CP")
    assert isinstance(found, Admitted) is allowed
    assert KEY.decode() not in repr(account)
