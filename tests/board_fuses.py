# SPDX-License-Identifier: GPL-3.0-or-later
"""Chips with burned fuses, for tests of the virtual board."""

from __future__ import annotations

from machine_bench import MAC

from evtool.virtual.chips import Chip
from evtool.virtual.chips.description import Field, FuseCoding
from evtool.virtual.fuse_coding import encode_reed_solomon
from evtool.virtual.fuses import Fuses, factory_bits

KEY = bytes(range(7, 39))


def fuses_of(chip: Chip, *bits: tuple[Field | None, int], **keys: bytes) -> Fuses:
    """Fuses with fields of block 0 burned, and keys by block (`block4=...`)."""
    fuses = Fuses(chip, factory_bits(chip, MAC))
    for name, key in keys.items():
        coded = chip.fuses.coding is FuseCoding.REED_SOLOMON
        fuses.burn(int(name.removeprefix("block")), encode_reed_solomon(key) if coded else key)
    for field, value in bits:
        assert field is not None
        fuses.burn(0, (value << field.start).to_bytes(32, "little"))
    return fuses


def encrypting(chip: Chip) -> Fuses:
    """A chip with flash encryption switched on."""
    security = chip.security
    on = (security.flash_encryption, 1)
    if not security.key_purposes:
        return fuses_of(chip, on, (security.encryption_config, 0xF), block1=KEY)
    return fuses_of(chip, on, (security.key_purposes[0], 4), block4=KEY)
