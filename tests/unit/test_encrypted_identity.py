# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual board whose evcfg is encrypted: it reads it as the firmware does, or not at all."""

from __future__ import annotations

import pytest
from board_fuses import encrypting
from board_images import EVCFG, EVCFG_SIZE, PARTITIONS, flash_image, identity, parts
from machine_bench import Bench

from evtool.protocol.nvs_encryption import NvsKeys, encode_keys, encrypt_image
from evtool.protocol.partition_table import TABLE_OFFSET, Partition, encode
from evtool.virtual.chips import CHIPS, ESP32, Chip
from evtool.virtual.flash_encryption import flash_cipher

NVS_KEYS = 0xF6000
KEYS = NvsKeys(b"\x01" * 32, b"\x02" * 32)
TABLE = (*PARTITIONS, Partition("keys", 1, 4, NVS_KEYS, 0x1000, 1))
chips = pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)


def contents(chip: Chip, nvs_keys: bytes, evcfg: bytes) -> dict[int, bytes]:
    own = {TABLE_OFFSET: encode(TABLE), NVS_KEYS: nvs_keys, EVCFG: evcfg}
    return parts(chip=chip) | own


def told(bench: Bench) -> tuple[object, str]:
    """What is reported of evcfg, and the identity that the application was given."""
    (app,) = bench.apps()
    return bench.reports("app")[-1].get("evcfg"), str(app.identity.get("cp_id"))


def test_it_is_read_through_the_keys_beside_it() -> None:
    encrypted = encrypt_image(identity(), KEYS)
    for nvs_keys, evcfg, means in (
        (encode_keys(KEYS), encrypted, ("encrypted", "CP-0001")),
        (b"\xff" * 0x1000, identity(), (None, "CP-0001")),
        (encode_keys(KEYS), identity(), ("unreadable", "None")),
        (b"\xff" * 0x1000, encrypted, ("unreadable", "None")),
        (b"\x00" * 0x1000, encrypted, ("unreadable", "None")),
        (encode_keys(KEYS), b"\xff" * EVCFG_SIZE, ("encrypted", "None")),
    ):
        image = flash_image(contents(ESP32, nvs_keys, evcfg))
        assert told(Bench(image).start()) == means


@chips
def test_behind_flash_encryption_the_keys_are_ciphertext_and_evcfg_is_not(chip: Chip) -> None:
    encrypted = encrypt_image(identity(), KEYS)
    clear = contents(chip, encode_keys(KEYS), encrypted)
    cipher = flash_cipher(chip, encrypting(chip))
    assert cipher is not None
    whole = {
        at: data if at == EVCFG else cipher.encrypt(at, data + bytes(-len(data) % cipher.alignment))
        for at, data in clear.items()
    }
    assert told(Bench(flash_image(whole), chip, encrypting(chip)).start()) == (
        "encrypted",
        "CP-0001",
    )
    # Keys in clear are read through the cipher all the same.
    wrong = whole | {NVS_KEYS: encode_keys(KEYS)}
    assert told(Bench(flash_image(wrong), chip, encrypting(chip)).start()) == (
        "unreadable",
        "None",
    )
    # Blank counts as it stands.
    blank = whole | {NVS_KEYS: b"\xff" * 0x1000, EVCFG: identity()}
    assert told(Bench(flash_image(blank), chip, encrypting(chip)).start()) == (None, "CP-0001")
