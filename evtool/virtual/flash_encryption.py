# SPDX-License-Identifier: GPL-3.0-or-later
"""The cipher that a chip's fuses give it."""

from __future__ import annotations

from evtool.protocol.flash_cipher import Esp32Cipher, FlashCipher, XtsCipher
from evtool.virtual.chips.description import Chip
from evtool.virtual.fuses import Fuses

_KEY_BYTES = 32
_PURPOSE_256_FIRST, _PURPOSE_256_SECOND, _PURPOSE_128 = 2, 3, 4


def flash_cipher(chip: Chip, fuses: Fuses) -> FlashCipher | None:
    """The cipher with the chip's key, or None: the chip has no key for it."""
    security = chip.security
    if not chip.encryption_key_bytes:
        return Esp32Cipher(fuses.key(1), fuses.field(security.encryption_config))
    by_purpose = {
        fuses.field(field): security.first_key_block + index
        for index, field in reversed(tuple(enumerate(security.key_purposes)))
    }
    if _PURPOSE_128 in by_purpose:
        return XtsCipher(fuses.key(by_purpose[_PURPOSE_128])[::-1])
    if (
        2 * _KEY_BYTES in chip.encryption_key_bytes
        and {
            _PURPOSE_256_FIRST,
            _PURPOSE_256_SECOND,
        }
        <= by_purpose.keys()
    ):
        halves = (by_purpose[_PURPOSE_256_FIRST], by_purpose[_PURPOSE_256_SECOND])
        key = b"".join(fuses.key(block)[::-1] for block in halves)
        # Two equal halves are no key for XTS; hardware would not mind, nobody should.
        return XtsCipher(key) if key[:_KEY_BYTES] != key[_KEY_BYTES:] else None
    return None
