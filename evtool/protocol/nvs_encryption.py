# SPDX-License-Identifier: GPL-3.0-or-later
"""NVS encryption: XTS-AES-256 over each 32-byte entry, and the partition nvs_keys.

The data unit is one entry; its tweak is the entry's byte offset from the start of the
partition, little-endian in 16 bytes. Page headers and bitmaps stay clear, and so do entries
that were never written. Source: ESP-IDF, docs `storage/nvs_encryption.rst`.

    nvs_keys    encryption key, 32 bytes · tweak key, 32 bytes · CRC32 of both · FF to its end

Later chips than the first ESP32 can do without that partition: both keys are the HMAC of a
constant each, with a key of 32 bytes in an eFuse that nobody can read (purpose HMAC_UP).
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from evtool.protocol.can_frame import Malformed
from evtool.protocol.nvs_page import (
    BITMAP,
    BLANK_ENTRY,
    ENTRY_COUNT,
    ENTRY_SIZE,
    FIRST_ENTRY,
    PAGE_SIZE,
    EntryState,
    crc32,
    entry_offset,
    entry_state,
)

_KEY_SIZE = 32
_BLOCK = 16
_BLOCK_MASK = (1 << 128) - 1
KEYS_SIZE = 2 * _KEY_SIZE
HMAC_KEY_SIZE = 32
_ENCRYPTION_SEED = bytes.fromhex("5a5abeae") * 8
_TWEAK_SEED = bytes.fromhex("a5a5dece") * 8
KEY_RECORD = KEYS_SIZE + 4
"""Both keys and their CRC-32: what the firmware reads of the partition."""


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


def derive_keys(hmac_key: bytes) -> NvsKeys:
    """The keys that a chip with `hmac_key` in its eFuse works out (nvs_encryption.rst, HMAC).

    Raises:
        ValueError: it has not 32 bytes.
    """
    if len(hmac_key) != HMAC_KEY_SIZE:
        raise ValueError(f"an HMAC key has {HMAC_KEY_SIZE} bytes")
    return NvsKeys(
        hmac.digest(hmac_key, _ENCRYPTION_SEED, hashlib.sha256),
        hmac.digest(hmac_key, _TWEAK_SEED, hashlib.sha256),
    )


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
    keys = decode_key_record(data[:KEY_RECORD])
    if isinstance(keys, NvsKeys) and data[KEY_RECORD:].strip(b"\xff"):
        return Malformed("something stands behind its keys")
    return keys


def decode_key_record(data: bytes) -> NvsKeys | Malformed:
    """The keys in the first `KEY_RECORD` bytes of the partition, or what is wrong with them."""
    both, stored = data[:KEYS_SIZE], data[KEYS_SIZE:KEY_RECORD]
    if stored != struct.pack("<I", crc32(both)):
        return Malformed("its checksum is wrong: it is damaged, or encrypted by flash encryption")
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
    offsets = [
        start + entry_offset(index)
        for start in range(0, len(image) - PAGE_SIZE + 1, PAGE_SIZE)
        for index in _entries_in_use(image[start : start + PAGE_SIZE])
    ]
    entries = b"".join(image[at : at + ENTRY_SIZE] for at in offsets)
    done = _xts(entries, offsets, keys, encrypt=encrypt)
    changed = bytearray(image)
    for number, at in enumerate(offsets):
        changed[at : at + ENTRY_SIZE] = done[number * ENTRY_SIZE : (number + 1) * ENTRY_SIZE]
    return bytes(changed)


def _entries_in_use(page: bytes) -> list[int]:
    # Data of 32 bytes FF is data all the same; only the bitmap tells it from nothing.
    marked = 4 * len(page[BITMAP:FIRST_ENTRY].rstrip(b"\xff"))
    filled = -(-len(page[FIRST_ENTRY:].rstrip(b"\xff")) // ENTRY_SIZE)
    return [
        index
        for index in range(min(max(marked, filled), ENTRY_COUNT))
        if entry_state(page, index) != EntryState.EMPTY
        or page[entry_offset(index) : entry_offset(index) + ENTRY_SIZE] != BLANK_ENTRY
    ]


def _xts(entries: bytes, offsets: list[int], keys: NvsKeys, *, encrypt: bool) -> bytes:
    """XTS (IEEE 1619) over entries of two blocks each, all with one call of AES.

    A cipher object of its own for each tweak, as a library's XTS needs, takes ten times as
    long, which is most of the time of a unit's image.
    """
    tweaks = b"".join(offset.to_bytes(16, "little") for offset in offsets)
    firsts = _aes(keys.tweak).encryptor().update(tweaks)
    masks = bytearray()
    for at in range(0, len(firsts), _BLOCK):
        first = firsts[at : at + _BLOCK]
        doubled = int.from_bytes(first, "little") << 1  # times alpha in GF(2^128)
        if doubled >> 128:
            doubled = doubled & _BLOCK_MASK ^ 0x87
        masks += first + doubled.to_bytes(_BLOCK, "little")
    aes = _aes(keys.encryption)
    context = aes.encryptor() if encrypt else aes.decryptor()
    return _xor(context.update(_xor(entries, bytes(masks))), bytes(masks))


def _aes(key: bytes) -> Cipher[modes.ECB]:
    # Block by block is what XTS is made of; no block goes out without its mask.
    return Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305


def _xor(one: bytes, other: bytes) -> bytes:
    both = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return both.to_bytes(len(one), "little")
