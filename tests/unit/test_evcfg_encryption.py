# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys a board's evcfg is encrypted with, and that none is ever lost or replaced unasked."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.errors import CheckFailed, ConfigError
from evtool.protocol.nvs import NvsEntry, parse_image
from evtool.protocol.nvs_encryption import NvsKeys, decode_keys, decrypt_image, encode_keys
from evtool.protocol.partition_table import Partition
from evtool.provision.evcfg_encryption import EvcfgBoard, EvcfgWrite, plan_evcfg

MAC = "24:0a:c4:00:00:01"
EVCFG = Partition("evcfg", 1, 2, 0x390000, 0x6000)
NVS_KEYS = Partition("nvs_keys", 1, 4, 0x396000, 0x1000, 1)
BLANK = b"\xff" * 0x1000
ENTRIES = [NvsEntry("evcfg", "cp_id", "str", "CP-0001")]
OURS, THEIRS, NEW = (NvsKeys(bytes([n]) * 32, bytes([n + 1]) * 32) for n in (1, 3, 5))
NO_CIPHER, CIPHER = False, True


class Kept:
    """Keys in memory, each one that was ever kept."""

    def __init__(self, keys: NvsKeys | None = None) -> None:
        self.all = [] if keys is None else [keys]

    def kept(self, mac: str) -> NvsKeys | None:
        assert mac == MAC
        return self.all[-1] if self.all else None

    def keep(self, mac: str, keys: NvsKeys) -> None:
        assert mac == MAC
        self.all.append(keys)


def board(nvs_keys: bytes | None, cipher: bool, evcfg: bytes | None = None) -> EvcfgBoard:
    partitions = (EVCFG,) if nvs_keys is None else (EVCFG, NVS_KEYS)
    return EvcfgBoard(MAC, partitions, cipher, nvs_keys, evcfg)


def plan(of: EvcfgBoard, kept: Kept, *, encrypt: bool = False, replace: bool = False) -> EvcfgWrite:
    return plan_evcfg(ENTRIES, of, kept, lambda: NEW, encrypt=encrypt, replace_keys=replace)


def opened(write: EvcfgWrite, keys: NvsKeys | None) -> None:
    image = write.evcfg.data if keys is None else decrypt_image(write.evcfg.data, keys)
    assert parse_image(image).entries == tuple(ENTRIES)
    assert not parse_image(image).problems
    assert write.encrypted is (keys is not None)
    assert write.evcfg.secret
    assert not write.evcfg.encrypt


@pytest.mark.parametrize("nvs_keys", [None, BLANK], ids=["no partition", "blank"])
def test_a_board_without_keys_and_cipher_gets_it_plain(nvs_keys: bytes | None) -> None:
    kept = Kept()
    write = plan(board(nvs_keys, NO_CIPHER), kept)
    opened(write, None)
    assert write.parts == (write.evcfg,)
    assert not write.notes
    assert not kept.all


def test_an_encrypted_flash_without_a_place_for_keys_is_told_of() -> None:
    write = plan(board(None, CIPHER), Kept())
    opened(write, None)
    assert "in clear" in write.notes[0]


@pytest.mark.parametrize("cipher", [NO_CIPHER, CIPHER])
def test_new_keys_are_kept_before_they_are_written(cipher: bool) -> None:
    kept = Kept()
    write = plan(board(BLANK, cipher), kept, encrypt=True)
    assert kept.all == [NEW]
    opened(write, NEW)
    assert write.nvs_keys is not None
    assert decode_keys(write.nvs_keys.data) == NEW
    assert write.nvs_keys.encrypt is cipher
    assert write.nvs_keys.secret
    assert write.parts == (write.nvs_keys, write.evcfg)
    assert any("same flash" in note for note in write.notes) is not cipher
    # Killed before the keys were in the board: the next run has the same.
    assert plan(board(BLANK, cipher), kept, encrypt=True) == write
    assert kept.all == [NEW]


def test_an_encrypted_flash_asks_for_keys_by_itself() -> None:
    kept = Kept()
    opened(plan(board(BLANK, CIPHER), kept), NEW)
    assert kept.all == [NEW]


@pytest.mark.parametrize("ours", [None, OURS, THEIRS])
@pytest.mark.parametrize("encrypt", [False, True])
def test_keys_that_can_be_read_stay_and_are_kept(ours: NvsKeys | None, encrypt: bool) -> None:
    kept = Kept(ours)
    write = plan(board(encode_keys(THEIRS), NO_CIPHER), kept, encrypt=encrypt)
    opened(write, THEIRS)
    assert write.nvs_keys is None
    assert kept.all[-1] == THEIRS
    assert len(kept.all) == len({id(each) for each in kept.all})
    assert ours is None or ours in kept.all


def test_keys_in_clear_in_an_encrypted_flash_are_written_again_through_the_cipher() -> None:
    write = plan(board(encode_keys(THEIRS), CIPHER), Kept())
    opened(write, THEIRS)
    assert write.nvs_keys is not None
    assert write.nvs_keys.encrypt


@pytest.mark.parametrize("cipher", [NO_CIPHER, CIPHER])
def test_keys_that_cannot_be_read_are_those_kept_or_it_is_refused(cipher: bool) -> None:
    unreadable = board(b"\xa5" * 0x1000, cipher)
    with pytest.raises(CheckFailed, match="no keys are kept for 24:0a:c4:00:00:01"):
        plan(unreadable, Kept())
    write = plan(unreadable, Kept(OURS))
    opened(write, OURS)
    assert write.nvs_keys is not None
    assert "written again" in write.notes[0]
    for ours in (None, OURS):
        kept = Kept(ours)
        write = plan(unreadable, kept, replace=True)
        opened(write, NEW)
        assert kept.all[-1] == NEW
        assert "take the place" in write.notes[0]


def test_what_is_already_right_behind_the_cipher_is_not_written_again() -> None:
    kept = Kept()
    first = plan(board(BLANK, CIPHER), kept)
    assert first.nvs_keys is not None
    ciphertext = first.nvs_keys.data[::-1]
    again = plan(board(ciphertext, CIPHER, first.evcfg.data), kept)
    assert again.parts == (first.evcfg,)
    # The power went before evcfg was written, or another's stands there.
    for evcfg in (b"\xff" * EVCFG.size, b"\x5a" * EVCFG.size):
        assert plan(board(ciphertext, CIPHER, evcfg), kept).parts == first.parts


def test_encryption_that_was_asked_for_needs_a_place_for_keys() -> None:
    with pytest.raises(ConfigError, match="no partition nvs_keys"):
        plan(board(None, NO_CIPHER), Kept(), encrypt=True)


def test_nothing_shows_a_key() -> None:
    of = dataclasses.replace(board(encode_keys(THEIRS), NO_CIPHER), evcfg=b"\x11" * 32)
    text = repr(of) + repr(plan(of, Kept()).notes)
    assert THEIRS.encryption.hex() not in text
    assert "\\x03" not in text
    assert "\\x11" not in text


@given(st.binary(max_size=80), st.booleans(), st.booleans(), st.booleans())
def test_no_content_of_the_partition_makes_it_fail_otherwise(
    begins: bytes, cipher: bool, encrypt: bool, replace: bool
) -> None:
    stored = begins.ljust(0x1000, b"\xff")
    try:
        write = plan(board(stored, cipher), Kept(), encrypt=encrypt, replace=replace)
    except CheckFailed:
        assert not replace
    else:
        assert write.encrypted is (write.nvs_keys is not None)
