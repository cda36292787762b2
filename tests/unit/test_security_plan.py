# SPDX-License-Identifier: GPL-3.0-or-later
"""Which fuses are burned: nothing twice, nothing against what a chip has, in a safe order."""

from __future__ import annotations

import pytest
from fuse_model import ModelFuses, blank, changed
from hypothesis import given
from hypothesis import strategies as st

from evtool.errors import DeviceError
from evtool.protocol.board_flash import FLASH_ENCRYPTION, SECURE_BOOT
from evtool.protocol.chip_fuses import SECURITY_FUSES, Fuse, FuseState, secured
from evtool.provision.security.burn import Burn, Kind, SecurityWish, Stage
from evtool.provision.security.key_blocks import SecurityRefused
from evtool.provision.security.plan import CHIPS, SecurityPlan, plan_security
from evtool.provision.security.secure_unit import burn_one

KEY, DIGEST, OTHER = bytes(range(32)), bytes(range(100, 132)), bytes(range(200, 232))
ALL = SecurityWish(flash_encryption=True, digests=(DIGEST,), release=True)
chips = pytest.mark.parametrize("chip", CHIPS)
later_chips = pytest.mark.parametrize("chip", ["esp32s3", "esp32c3"])


def plan(
    state: FuseState, wish: SecurityWish = ALL, *, kept: bool = True, revision: int = 300
) -> SecurityPlan:
    return plan_security(state, wish, revision=revision, key=KEY if kept else None, kept=kept)


def refusal(state: FuseState, wish: SecurityWish = ALL, **rest: bool) -> str:
    with pytest.raises(SecurityRefused) as refused:
        plan(state, wish, **rest)
    return "\n".join(refused.value.problems)


def burned(fuses: ModelFuses, wish: SecurityWish) -> list[Burn]:
    """Every burn, each planned from what the chip is by then."""
    done = []
    while burns := plan(fuses.read(), wish).burns:
        burn_one(fuses, burns[0])
        done.append(burns[0])
        assert len(done) < 40
    return done


wishes = st.builds(
    SecurityWish,
    flash_encryption=st.booleans(),
    digests=st.sampled_from([(), (DIGEST,)]),
    release=st.booleans(),
    lock_loader=st.booleans(),
).filter(lambda wish: wish.flash_encryption or bool(wish.digests))


@given(st.sampled_from(CHIPS), wishes)
def test_what_is_burned_one_by_one_is_what_was_shown_at_the_start(
    chip: str, wish: SecurityWish
) -> None:
    fuses = ModelFuses(blank(chip))
    shown = plan(fuses.read(), wish).burns
    assert tuple(burned(fuses, wish)) == shown
    assert plan(fuses.read(), wish).burns == ()
    on = [(FLASH_ENCRYPTION, wish.flash_encryption), (SECURE_BOOT, bool(wish.digests))]
    assert secured(fuses.read())[: sum(is_on for _, is_on in on)] == tuple(
        name for name, is_on in on if is_on
    )
    stages = [list(Stage).index(burn.stage) for burn in shown]
    assert stages == sorted(stages)


@given(st.sampled_from(CHIPS), wishes, wishes)
def test_a_stricter_wish_adds_to_what_is_there(
    chip: str, first: SecurityWish, second: SecurityWish
) -> None:
    fuses = ModelFuses(blank(chip))
    burned(fuses, first)
    if first.release and first.digests and second.flash_encryption and not first.flash_encryption:
        # Secure boot for the field has locked the protection that a new key would need.
        assert "could not be hidden" in refusal(fuses.read(), second)
        return
    burned(fuses, second)
    assert plan(fuses.read(), second).burns == ()
    assert plan(fuses.read(), first).burns == ()


@chips
def test_the_keys_are_hidden_or_not_as_they_must_be(chip: str) -> None:
    fuses = ModelFuses(blank(chip))
    burns = burned(fuses, ALL)
    key, digest = (
        next(each for each in burns if each.kind is kind) for kind in (Kind.KEY, Kind.DIGEST)
    )
    assert (key.data, digest.data) == (KEY, DIGEST)
    assert not fuses.read()[key.fuse].readable
    assert fuses.read()[digest.fuse].data == DIGEST
    assert KEY.hex() not in str(key.as_dict()) + repr(key)
    assert [burn.fuse for burn in burns].index("RD_DIS") > burns.index(key)


@chips
def test_a_key_that_power_left_unprotected_is_protected(chip: str) -> None:
    block = "BLOCK1" if chip == "esp32" else "BLOCK_KEY2"
    half = changed(blank(chip), **{block: Fuse(0, KEY[::-1])})
    burns = plan(half).of(Stage.KEYS)
    assert [(burn.kind, burn.fuse) for burn in burns if burn.kind is Kind.KEY] == [
        (Kind.KEY, block)
    ]
    hidden = changed(blank(chip), **{block: Fuse(0, bytes(32), readable=False)})
    if chip != "esp32":
        hidden = changed(hidden, KEY_PURPOSE_2=4)
    burns = plan(hidden).of(Stage.KEYS)
    assert (burns[0].kind, burns[0].fuse) == (Kind.WRITE_PROTECT, block)


@chips
def test_what_cannot_be_compared_counts_only_where_a_key_is_kept(chip: str) -> None:
    fuses = ModelFuses(blank(chip))
    burned(fuses, ALL)
    assert "none is kept for this chip" in refusal(fuses.read(), kept=False)


@chips
def test_a_chip_that_has_something_else_is_refused_with_every_reason(chip: str) -> None:
    block = "BLOCK1" if chip == "esp32" else "BLOCK_KEY0"
    state = changed(blank(chip), **{block: Fuse(0, OTHER)}, RD_DIS=Fuse(0, writeable=False))
    if chip != "esp32":
        state = changed(state, KEY_PURPOSE_0=4, BLOCK_KEY4=Fuse(0, OTHER), KEY_PURPOSE_4=9)
    else:
        state = changed(state, BLOCK2=Fuse(0, OTHER))
    said = refusal(state)
    assert "something else than the key" in said
    assert "it trusts another key" in said


@chips
def test_a_switch_that_cannot_be_burned_any_more_is_refused(chip: str) -> None:
    name = SECURITY_FUSES[chip].secure_boot[-1]
    counter = SECURITY_FUSES[chip].cipher_count
    off = Fuse(0, writeable=False)
    said = refusal(changed(blank(chip), **{name: off, counter: off}))
    assert f"{name} is 0x0 and write-protected" in said
    assert f"{counter} is 0x0 and write-protected" in said


@given(st.sampled_from(CHIPS), st.integers(0, 127), st.booleans(), st.booleans())
def test_the_counter_ends_odd_and_in_the_field_full(
    chip: str, value: int, writeable: bool, release: bool
) -> None:
    every = 127 if chip == "esp32" else 7
    counter = SECURITY_FUSES[chip].cipher_count
    state = changed(blank(chip), **{counter: Fuse(value & every, writeable=writeable)})
    wish = SecurityWish(flash_encryption=True, release=release)
    try:
        burns = [burn for burn in plan(state, wish).burns if burn.fuse == counter]
    except SecurityRefused:
        assert not writeable
        assert (value & every).bit_count() % 2 == 0
        return
    after = burns[0].value if burns else value & every
    assert after & value & every == value & every
    assert after.bit_count() % 2 == 1
    assert not release or after == every or not writeable


def test_an_esp32_is_asked_for_its_revision_and_coding() -> None:
    state = blank("esp32")
    with pytest.raises(SecurityRefused, match=r"revision 3\.0"):
        plan(state, revision=100)
    assert "coding scheme" in refusal(changed(state, CODING_SCHEME=1))
    assert "version 1" in refusal(changed(state, ABS_DONE_0=1))
    assert "not several" in refusal(state, SecurityWish(digests=(DIGEST, OTHER)))


@later_chips
def test_later_chips_trust_up_to_three_keys(chip: str) -> None:
    third = bytes(32 * [7])
    wish = SecurityWish(flash_encryption=True, digests=(DIGEST, OTHER, third), release=True)
    fuses = ModelFuses(blank(chip))
    burns = burned(fuses, wish)
    assert [burn.purpose for burn in burns if burn.kind is Kind.DIGEST] == [
        f"SECURE_BOOT_DIGEST{number}" for number in range(3)
    ]
    assert not any(burn.fuse.startswith("SECURE_BOOT_KEY_REVOKE") for burn in burns)
    assert len({burn.fuse for burn in burns if burn.stage is Stage.KEYS}) == 4
    more = SecurityWish(digests=(*wish.digests, bytes(32 * [9])))
    assert "no room for another key" in refusal(fuses.read(), more)


@later_chips
def test_slots_that_are_revoked_and_blocks_that_are_taken_are_left_alone(chip: str) -> None:
    state = changed(
        blank(chip),
        SECURE_BOOT_KEY_REVOKE0=1,
        BLOCK_KEY0=Fuse(0, OTHER),
        BLOCK_KEY5=Fuse(0, OTHER),
    )
    burns = plan(state).of(Stage.KEYS)
    assert [(burn.fuse, burn.purpose) for burn in burns] == [
        ("BLOCK_KEY1", "XTS_AES_128_KEY"),
        ("BLOCK_KEY4", "SECURE_BOOT_DIGEST1"),
    ]
    taken = {f"BLOCK_KEY{number}": Fuse(0, OTHER) for number in range(5)}
    assert "none of its key blocks is free" in refusal(changed(blank(chip), **taken))
    taken |= {"BLOCK_KEY3": Fuse(0, bytes(32)), "BLOCK_KEY5": Fuse(0, OTHER)}
    one_free = changed(blank(chip), **taken)
    assert "no room for another key" in refusal(one_free)
    ours = changed(blank(chip), BLOCK_KEY4=Fuse(0, DIGEST), KEY_PURPOSE_4=9)
    assert "is revoked" in refusal(changed(ours, SECURE_BOOT_KEY_REVOKE0=1))
    assert "XTS-AES-256" in refusal(changed(blank(chip), KEY_PURPOSE_0=2))


def test_other_chips_and_empty_wishes_are_refused() -> None:
    with pytest.raises(DeviceError, match="not esp32c6"):
        plan(FuseState("esp32c6", "02:45:56:00:00:01", {}))
    assert "neither" in refusal(blank("esp32"), SecurityWish())
