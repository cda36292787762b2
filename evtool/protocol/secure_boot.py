# SPDX-License-Identifier: GPL-3.0-or-later
"""Secure boot, version 2, with RSA-3072: the signature behind an image, the digest in the fuses.

Behind the image, padded to a sector, stands a sector with up to three blocks of 1216 bytes::

    E7 02 00 00 · SHA-256 of the padded image · n, e, R^2 mod n, -1/n mod 2^32 · signature
    (RSA-PSS, SHA-256, salt of 32 bytes, least byte first) · CRC-32 · zeros

A chip trusts a key whose SHA-256 (over n to -1/n) is burned. Source: ESP-IDF, "Secure Boot V2".
"""

from __future__ import annotations

import hashlib
import struct
import zlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from evtool.protocol.board_flash import SECTOR

KEY_BITS = 3072
BLOCK_SIZE, MAX_BLOCKS = 1216, 3
_SIGNED = 1196
_MAGIC, _VERSION = 0xE7, 2
_KEY = slice(36, 812)
_KEY_BYTES = KEY_BITS // 8


def key_digest(key: rsa.RSAPublicKey) -> bytes:
    """What is burned for a key, 32 bytes.

    Raises:
        ValueError: it is not one of 3072 bits.
    """
    return hashlib.sha256(_public_part(key)).digest()


def signed(image: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """The image, whole sectors, and the sector with its signature.

    Raises:
        ValueError: the key has not 3072 bits.
    """
    padded = image + b"\xff" * (-len(image) % SECTOR)
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    signature = key.sign(padded, pss, hashes.SHA256())
    block = struct.pack("<BB2x", _MAGIC, _VERSION) + hashlib.sha256(padded).digest()
    block += _public_part(key.public_key()) + signature[::-1]
    block += struct.pack("<I16x", zlib.crc32(block))
    return padded + block.ljust(SECTOR, b"\xff")


def signers(image: bytes, length: int) -> tuple[bytes, ...]:
    """The digests of the keys that signed an image.

    The signatures are not verified: the chip does that.

    Args:
        length: of the image itself, with its hash; behind it may stand a signature sector.
    """
    padded = length + -length % SECTOR
    sector = image[padded : padded + SECTOR]
    found = hashlib.sha256(image[:padded]).digest()
    blocks = (sector[at : at + BLOCK_SIZE] for at in range(0, MAX_BLOCKS * BLOCK_SIZE, BLOCK_SIZE))
    return tuple(
        hashlib.sha256(block[_KEY]).digest()
        for block in blocks
        if len(block) == BLOCK_SIZE
        and block[:2] == bytes((_MAGIC, _VERSION))
        and block[4:36] == found
        and zlib.crc32(block[:_SIGNED]) == int.from_bytes(block[_SIGNED : _SIGNED + 4], "little")
    )


def _public_part(key: rsa.RSAPublicKey) -> bytes:
    if key.key_size != KEY_BITS:
        raise ValueError(f"a key for secure boot has {KEY_BITS} bits, this one {key.key_size}")
    numbers = key.public_numbers()
    return struct.pack(
        "<384sI384sI",
        numbers.n.to_bytes(_KEY_BYTES, "little"),
        numbers.e,
        ((1 << 2 * KEY_BITS) % numbers.n).to_bytes(_KEY_BYTES, "little"),
        -pow(numbers.n, -1, 1 << 32) & 0xFFFFFFFF,
    )
