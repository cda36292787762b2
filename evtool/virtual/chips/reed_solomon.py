# SPDX-License-Identifier: GPL-3.0-or-later
"""The fuses that ESP32-S3 and ESP32-C3 share: eleven blocks, ten with Reed-Solomon codes."""

from __future__ import annotations

from evtool.virtual.chips.description import (
    Field,
    FuseBlock,
    FuseCoding,
    FuseLayout,
    SecurityFields,
    bits,
)

MAC_BLOCK = 1
_KEY_BLOCKS = 6
_FIRST_KEY_BLOCK = 4


def fuse_layout(
    base: int, own_protected_fields: tuple[tuple[int, int], ...], *, fail_shift: int
) -> FuseLayout:
    """The layout at `base`; what differs from chip to chip is given."""
    keys = tuple(
        FuseBlock(read=0x9C + 0x20 * index, words=8, write_protect=23 + index, read_protect=index)
        for index in range(_KEY_BLOCKS)
    )
    return FuseLayout(
        base=base,
        size=0x200,
        coding=FuseCoding.REED_SOLOMON,
        blocks=(
            FuseBlock(read=0x2C, words=6),
            FuseBlock(read=0x44, words=6, write_protect=20),
            FuseBlock(read=0x5C, words=8, write_protect=21),
            FuseBlock(read=0x7C, words=8, write_protect=22),
            *keys,
            FuseBlock(read=0x15C, words=8, write_protect=29, read_protect=6),
        ),
        protected_fields=(
            (0, bits((32, 7))),
            (1, bits((39, 1))),
            (4, bits((82, 3))),
            *((5 + index, bits((85 + index, 1))) for index in range(3)),
            *((8 + index, bits((88 + 4 * index, 4))) for index in range(_KEY_BLOCKS)),
            (15, bits((116, 1))),
            (16, bits((117, 1))),
            (18, bits((124, 34))),
            (19, bits((159, 3))),
            (30, bits((53, 8))),
            (31, bits((48, 3))),
            *own_protected_fields,
        ),
        hidden_fields=(),
        wr_dis=Field(0, 32),
        rd_dis=Field(32, 7),
        configuration=0x1CC,
        command=0x1D4,
        block_errors=(0x1C0, 0x1C4),
        fail_shift=fail_shift,
    )


def security_fields(no_usb: Field) -> SecurityFields:
    """The fuses that decide; `no_usb` switches the chip's own USB off."""
    return SecurityFields(
        flash_encryption=Field(82, 3),
        no_download=Field(128),
        no_manual_encryption=Field(52),
        secure_boot=Field(116),
        secure_download=Field(133),
        revoked=tuple(Field(85 + index) for index in range(3)),
        key_purposes=tuple(Field(88 + 4 * index, 4) for index in range(_KEY_BLOCKS)),
        first_key_block=_FIRST_KEY_BLOCK,
        flags=(
            (Field(116), 0),
            (Field(117), 1),
            (Field(133), 2),
            *((Field(85 + index), 3 + index) for index in range(3)),
            (Field(48, 3), 6),
            (Field(51), 7),
            (no_usb, 8),
            (Field(42), 10),
        ),
    )
