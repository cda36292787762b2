# SPDX-License-Identifier: GPL-3.0-or-later
"""NVS encryption: XTS-AES-256 over each 32-byte entry, and the partition nvs_keys.

The data unit is one entry; its tweak is the entry's byte offset from the start of the
partition, little-endian in 16 bytes. Page headers and bitmaps stay clear, and so do entries
that were never written. Source: ESP-IDF, docs `storage/nvs_encryption.rst`.

    nvs_keys    encryption key, 32 bytes · tweak key, 32 bytes · CRC32 of both · FF to its end
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from evtool.protocol.can_frame import Malformed
from evtool.protocol.nvs_page import (
    BLANK_ENTRY,
    ENTRY_COUNT,
    ENTRY_SIZE,
    PAGE_SIZE,
    EntryState,
    crc32,
    entry_offset,
    entry_state,
)

_KEY_SIZE = 32
KEYS_SIZE = 2 * _KEY_SIZE


@dataclass(frozen=True, slots=True)
class NvsKeys:
    """The two keys of a unit's encrypted NVS, 32 bytes each, never equal.

    Raises:
        ValueError: another length, or twice the same key.
    """

    encryption: bytes = field(repr=False)
    tweak: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.encryption) != _KEY_SIZE or len(self.tweak) != _KEY_SIZE:
            raise ValueError(f"the encryption key and the tweak key have {_KEY_SIZE} bytes each")
        if self.encryption == self.tweak:
            raise ValueError("the encryption key and the tweak key are the same")


def encode_keys(keys: NvsKeys, size: int = PAGE_SIZE) -> bytes:
    """The image of the partition nvs_keys, `size` bytes."""
    both = keys.encryption + keys.tweak
    return (both + struct.pack("<I", crc32(both))).ljust(size, b"\xff")


def decode_keys(data: bytes) -> NvsKeys | Malformed:
    """The keys in an image of the partition nvs_keys, or what is wrong with it."""
    if len(data) < PAGE_SIZE or len(data) % PAGE_SIZE:
        return Malformed(f"it has {len(data)} bytes; a partition nvs_keys has {PAGE_SIZE}")
    if not data.strip(b"\xff"):
        return Malformed("it is blank: it holds no keys yet")
    both, stored = data[:KEYS_SIZE], data[KEYS_SIZE : KEYS_SIZE + 4]
    if stored != struct.pack("<I", crc32(both)):
        return Malformed("its checksum is wrong: it is damaged, or encrypted by flash encryption")
    if data[KEYS_SIZE + 4 :].strip(b"\xff"):
        return Malformed("something stands behind its keys")
    try:
        return NvsKeys(both[:_KEY_SIZE], both[_KEY_SIZE:])
    except ValueError as error:
        return Malformed(str(error))


def encrypt_image(image: bytes, keys: NvsKeys) -> bytes:
    """A partition's image with every entry encrypted that holds, or held, something."""
    return _with_entries(image, keys, encrypt=True)


def decrypt_image(image: bytes, keys: NvsKeys) -> bytes:
    """The plain image; with the wrong keys no entry of it is sound."""
    return _with_entries(image, keys, encrypt=False)


def _with_entries(image: bytes, keys: NvsKeys, *, encrypt: bool) -> bytes:
    changed = bytearray(image)
    key = algorithms.AES(keys.encryption + keys.tweak)
    for start in range(0, len(image) - PAGE_SIZE + 1, PAGE_SIZE):
        page = image[start : start + PAGE_SIZE]
        for index in range(ENTRY_COUNT):
            at = entry_offset(index)
            entry = page[at : at + ENTRY_SIZE]
            # Data of 32 bytes FF is data all the same; only the bitmap tells it from nothing.
            if entry == BLANK_ENTRY and entry_state(page, index) == EntryState.EMPTY:
                continue
            offset = start + at
            cipher = Cipher(key, modes.XTS(offset.to_bytes(16, "little")))
            context = cipher.encryptor() if encrypt else cipher.decryptor()
            changed[offset : offset + ENTRY_SIZE] = context.update(entry)
    return bytes(changed)
