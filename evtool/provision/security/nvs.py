# SPDX-License-Identifier: GPL-3.0-or-later
"""A unit's NVS keys and evcfg, brought over into the encrypted flash.

The host knows the flash's key, so it can tell what stands in nvs_keys whether that is clear,
ciphertext of this chip, or blank. An evcfg in clear is encrypted on the way; its values stay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from evtool.errors import CheckFailed
from evtool.protocol.board_flash import FlashPart
from evtool.protocol.flash_cipher import FlashCipher
from evtool.protocol.nvs import is_sound, parse_image
from evtool.protocol.nvs_encryption import (
    NvsKeys,
    decode_keys,
    decrypt_image,
    encode_keys,
    encrypt_image,
)
from evtool.protocol.partition_table import Partition, find, find_nvs_keys
from evtool.provision.evcfg import PARTITION
from evtool.provision.evcfg_encryption import KeptNvsKeys

Read = Callable[[int, int], bytes]


class Generate(Protocol):
    """Makes NVS keys with the operating system's generator."""

    def __call__(self) -> NvsKeys:
        """New ones."""


def nvs_parts(
    mac: str,
    partitions: tuple[Partition, ...],
    read: Read,
    cipher: FlashCipher,
    kept: KeptNvsKeys,
    generate: Generate,
) -> tuple[FlashPart, ...]:
    """What to write so that the unit's identity is encrypted with keys that are ciphertext.

    Args:
        read: `size` bytes of the board's flash from `offset`, as they stand.
        cipher: of the board's flash.

    Returns:
        nvs_keys, and then evcfg where it was in clear; nothing where the table has no nvs_keys.

    Raises:
        CheckFailed: what stands in one of the two is neither ours nor blank.
    """
    place, evcfg = find_nvs_keys(partitions), find(partitions, PARTITION)
    if place is None:
        return ()
    keys = _keys(mac, read(place.offset, place.size), place, cipher, kept)
    if keys is None:
        keys = generate()
        kept.keep(mac, keys)
    image = encode_keys(keys, place.size)
    sealed = FlashPart(place.name, place.offset, cipher.encrypt(place.offset, image), secret=True)
    if evcfg is None:
        return (sealed,)
    stored = read(evcfg.offset, evcfg.size)
    if not stored.strip(b"\xff") or is_sound(decrypt_image(stored, keys)):
        return (sealed,)
    if not is_sound(stored) or not parse_image(stored).entries:
        raise CheckFailed(
            f"{mac}: evcfg is damaged, or encrypted with keys that nobody knows",
            fix="provision the unit first, or erase evcfg",
        )
    clear = FlashPart(evcfg.name, evcfg.offset, encrypt_image(stored, keys), secret=True)
    return (sealed, clear)


def _keys(
    mac: str, stored: bytes, place: Partition, cipher: FlashCipher, kept: KeptNvsKeys
) -> NvsKeys | None:
    """The keys in the board, else those kept for it."""
    ours = kept.kept(mac)
    if not stored.strip(b"\xff"):
        return ours
    for found in (decode_keys(stored), decode_keys(cipher.decrypt(place.offset, stored))):
        if isinstance(found, NvsKeys):
            if found != ours:
                kept.keep(mac, found)
            return found
    if ours is None:
        raise CheckFailed(
            f"{mac}: nvs_keys holds something that is no keys, and none are kept for it",
            fix="erase nvs_keys and evcfg, and provision the unit again",
        )
    return ours
