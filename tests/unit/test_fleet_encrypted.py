# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet's run at boards with NVS keys, and at boards whose flash is encrypted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from secrets import token_bytes

import pytest
from fleet_rig import EVCFG, FleetRig, MemoryBoard, boot_line_of, make_rig, order_of

from evtool.cli.fleet_firmware import firmware_of
from evtool.cli.fleet_worker import mask_of, parts_work
from evtool.errors import ConfigError
from evtool.link.ledger_database import open_ledger
from evtool.protocol.board_flash import FLASH_ENCRYPTION
from evtool.protocol.flash_cipher import host_cipher
from evtool.protocol.nvs import NvsEntry, parse_image, render_image
from evtool.protocol.nvs_encryption import NvsKeys, decrypt_image, encode_keys, encrypt_image
from evtool.protocol.partition_table import encode, parse
from evtool.provision.ledger.unit_state import state
from evtool.provision.run.decommission import Leaving, erase, unit_to_leave
from evtool.provision.run.nvs_keys import SealedNvsKeys
from evtool.provision.run.rollback import RollbackTargets, chosen
from evtool.provision.run.verdict import UnitVerdict
from evtool.provision.security.kept_keys import SealedFlashKeys
from evtool.resources import firmware_dir

KEYS = NvsKeys(b"\x01" * 32, b"\x02" * 32)
NVS_KEYS = slice(0x396000, 0x397000)
BLANK = b"\xff" * 0x1000


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[FleetRig]:
    ledger = open_ledger(tmp_path / "ledger.db", "line-1")
    yield make_rig(tmp_path / "project", ledger, 2)
    ledger.close()


def board_with(nvs_keys: bytes, *, encrypted: bool = False) -> MemoryBoard:
    board = MemoryBoard(1)
    board.flash[NVS_KEYS] = nvs_keys
    # What this board says is what the keys make of its flash.
    board.says = lambda _: boot_line_of(str(identity_in(board)))
    if encrypted:
        board.facts = dataclasses.replace(board.facts, secured=(FLASH_ENCRYPTION,))
    return board


def identity_in(board: MemoryBoard) -> object:
    return identity_with(board, KEYS)


def identity_with(board: MemoryBoard, keys: NvsKeys) -> object:
    content = parse_image(decrypt_image(bytes(board.flash[EVCFG]), keys))
    return None if content.problems else content.get("evcfg", "cp_id")


def test_an_image_is_encrypted_with_the_keys_that_the_board_has(rig: FleetRig) -> None:
    board = board_with(encode_keys(KEYS))
    (result,) = rig.run(board)
    assert result.verdict is UnitVerdict.PROVISIONED, result.error
    assert (board.identity, identity_in(board)) == (None, "CP-001")
    assert SealedNvsKeys(rig.ledger, rig.sealed).kept(board.mac) == KEYS
    found = state(rig.ledger, "CP-001")
    assert found is not None
    assert found.written is not None
    assert found.written.fields["encrypted"] is True
    before = bytes(board.flash)
    assert rig.run(board)[0].verdict is UnitVerdict.UNCHANGED
    assert bytes(board.flash) == before

    rig.orders[0] = order_of(rig.project, 1, wifi_ssid="second")
    rig.run(board)
    targets = RollbackTargets(
        "CP-001",
        chosen(rig.ledger.history(unit="CP-001"), "CP-001"),
        rig.ledger,
        rig.sealed,
        rig.images().encryption,
        mask_of,
    )
    task = dataclasses.replace(rig.task(), targets=targets, event="rolled_back")
    assert rig.run(board, task=task)[0].verdict.good
    assert bytes(board.flash) == before


def test_an_encrypted_board_gets_its_identity_and_no_firmware_in_clear(rig: FleetRig) -> None:
    board = board_with(b"\x5a" * 0x1000, encrypted=True)  # keys as ciphertext
    SealedNvsKeys(rig.ledger, rig.sealed).keep(board.mac, KEYS)
    held = render_image([NvsEntry("evcfg", "cp_id", "str", "CP-OLD")], 0x6000)
    board.flash[EVCFG] = encrypt_image(held, KEYS)
    board.flash[0x10000:0x11000] = b"\xa5" * 0x1000  # the firmware as ciphertext
    rig.orders[0] = order_of(rig.project, 1, flash_encryption=True)
    (result,) = rig.run(board)
    assert result.verdict is UnitVerdict.PROVISIONED, result.error
    assert identity_in(board) == "CP-001"
    assert set(board.flash[0x10000:0x11000]) == {0xA5}
    assert set(board.flash[NVS_KEYS]) == {0x5A}

    rig.with_firmware = False  # its table is ciphertext too
    (result,) = rig.run(board)
    assert result.verdict is UnitVerdict.REFUSED
    assert "its partition table too" in str(result.error)
    found = unit_to_leave(rig.ledger, "CP-001", Leaving())
    with pytest.raises(ConfigError, match="its partition table too"):
        erase(board, board.facts, found, parts_work, lambda *_: None)
    assert erase(board, board.facts, found, parts_work, lambda *_: None, firmware_of(rig.plan))
    assert set(board.flash[EVCFG]) == {0xFF}


def secured(board: MemoryBoard, key: bytes, nvs_keys: bytes = BLANK) -> MemoryBoard:
    """As `evtool provision security apply` leaves it."""
    table = encode(parse((firmware_dir() / "partitions.csv").read_text()))
    cipher = host_cipher("esp32", key)
    board.flash[0x8000 : 0x8000 + len(table)] = cipher.encrypt(0x8000, table)
    board.flash[NVS_KEYS] = nvs_keys if nvs_keys == BLANK else cipher.encrypt(0x396000, nvs_keys)
    board.facts = dataclasses.replace(board.facts, secured=(FLASH_ENCRYPTION,))
    return board


@pytest.mark.parametrize("with_firmware", [True, False])
@pytest.mark.parametrize("nvs_keys", [BLANK, encode_keys(KEYS)], ids=["blank", "keys"])
def test_a_board_that_was_secured_here_gets_its_identity_through_the_keys_of_the_ledger(
    rig: FleetRig, with_firmware: bool, nvs_keys: bytes
) -> None:
    board = board_with(BLANK)
    key = SealedFlashKeys(rig.ledger, rig.sealed, token_bytes).make(board.mac)
    secured(board, key, nvs_keys)
    kept = SealedNvsKeys(rig.ledger, rig.sealed)
    board.says = lambda _: boot_line_of(str(identity_with(board, kept.kept(board.mac) or KEYS)))
    rig.with_firmware = with_firmware
    (result,) = rig.run(board)
    assert result.verdict is UnitVerdict.PROVISIONED, result.error
    ours = kept.kept(board.mac)
    assert ours is not None
    assert (ours == KEYS) is (nvs_keys != BLANK)
    clear = host_cipher("esp32", key).decrypt(0x396000, bytes(board.flash[NVS_KEYS]))
    assert clear == encode_keys(ours)
    before = bytes(board.flash)
    assert rig.run(board)[0].verdict is UnitVerdict.UNCHANGED
    assert bytes(board.flash) == before


@pytest.mark.parametrize("nvs_keys", [BLANK, b"\x5a" * 0x1000])
def test_keys_that_would_have_to_be_written_through_the_cipher_are_refused(
    rig: FleetRig, nvs_keys: bytes
) -> None:
    board = board_with(nvs_keys, encrypted=True)
    (result,) = rig.run(board)
    assert not result.verdict.good
    assert board.written == 0
    assert rig.ledger.claim_holder("identity", "CP-001") is None
