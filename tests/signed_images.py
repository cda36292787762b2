# SPDX-License-Identifier: GPL-3.0-or-later
"""Images signed for secure boot, as `espsecure sign-data --version 2` signs them."""

from __future__ import annotations

import hashlib
import struct
import zlib
from functools import lru_cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

_SECTOR = 0x1000


@lru_cache(maxsize=4)
def signing_key(number: int = 0) -> rsa.RSAPrivateKey:
    """An RSA key of 3072 bits for each number."""
    del number
    return rsa.generate_private_key(65537, 3072)


def public_part(key: rsa.RSAPrivateKey) -> bytes:
    """The public key as it stands in a signature block."""
    numbers = key.public_key().public_numbers()
    r_inverse = (1 << 6144) % numbers.n
    m = -pow(numbers.n, -1, 1 << 32) & 0xFFFFFFFF
    return struct.pack(
        "<384sI384sI",
        numbers.n.to_bytes(384, "little"),
        numbers.e,
        r_inverse.to_bytes(384, "little"),
        m,
    )


def key_digest(key: rsa.RSAPrivateKey) -> bytes:
    """What is burned into the fuses for a key."""
    return hashlib.sha256(public_part(key)).digest()


def padded(image: bytes) -> bytes:
    """The image up to the end of its sector."""
    return image + b"\xff" * (-len(image) % _SECTOR)


def signature_block(contents: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """One block of 1216 bytes."""
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    signature = key.sign(contents, pss, hashes.SHA256())
    block = struct.pack("<BB2x32s", 0xE7, 2, hashlib.sha256(contents).digest())
    block += public_part(key) + signature[::-1]
    return block + struct.pack("<I16x", zlib.crc32(block))


def signed(image: bytes, *keys: rsa.RSAPrivateKey) -> bytes:
    """The image with a signature sector that holds a block for each key."""
    contents = padded(image)
    blocks = b"".join(signature_block(contents, key) for key in keys)
    return contents + blocks.ljust(_SECTOR, b"\xff")
