# SPDX-License-Identifier: GPL-3.0-or-later
"""Secure boot: may this image run on this chip?

Version 1 (ESP32): the sector at 0x0 holds 128 bytes of an initial vector and a SHA-512 over
both, enciphered with the key in block 2. Version 2: behind the image, on the next sector, stand
up to three signature blocks of 1216 bytes; the SHA-256 of their public key must stand in the
fuses. Source: ESP-IDF, "Secure Boot V1" and "Secure Boot V2".
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from evtool.virtual.boot.flash_view import FlashView
from evtool.virtual.flash_chip import SECTOR_SIZE
from evtool.virtual.soc import Soc

_V1_KEY_BLOCK = _ESP32_DIGEST_BLOCK = 2
_VECTOR, _DIGEST = 128, 64
_SHA512_BLOCK = 128

_BLOCK_SIZE, _SIGNED_PART = 1216, 1196
_MAGIC, _RSA, _ECDSA = 0xE7, 2, 3
_RSA_KEY = slice(36, 812)
_RSA_BLOCK = struct.Struct("<BB2x32s384sI384sI384sI16x")
# Curve number: name, bytes of a coordinate, where the fields begin behind the digest.
_CURVES: dict[int, tuple[type[ec.EllipticCurve], int]] = {
    1: (ec.SECP192R1, 24),
    2: (ec.SECP256R1, 32),
}
_ECDSA_CURVE, _ECDSA_POINT, _ECDSA_SIGNATURE = 36, 37, 101
_DIGEST_PURPOSES = (9, 10, 11)


def digest_problem(soc: Soc, view: FlashView, offset: int, body: int) -> str | None:
    """What is wrong with the boot loader by version 1, or None.

    Args:
        offset: where it stands.
        body: its length without an appended hash.
    """
    stored = view.read(0, _VECTOR + _DIGEST)
    length = body + -body % _SHA512_BLOCK
    text = stored[:_VECTOR] + view.read(offset, length)
    key = soc.fuses.key(_V1_KEY_BLOCK)[::-1]
    if len(key) < 32:
        key += key[8:16]
    engine = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - as the chip does
    digest = hashlib.sha512()
    for start in range(0, len(text), 16):
        block = engine.update(text[start : start + 16][::-1])
        # Words in reversed order, each as it is.
        digest.update(b"".join(block[at : at + 4] for at in (12, 8, 4, 0)))
    words = digest.digest()
    swapped = b"".join(words[at : at + 4][::-1] for at in range(0, _DIGEST, 4))
    return None if swapped == stored[_VECTOR:] else "its secure boot digest does not match"


def signature_problem(soc: Soc, view: FlashView, offset: int, length: int) -> str | None:
    """What is wrong with an image's signatures by version 2, or None: a trusted key signed it.

    Args:
        offset: where the image stands.
        length: its length with an appended hash.
    """
    trusted = set(trusted_digests(soc))
    if not trusted:
        return "no secure boot key is burned, or all are revoked"
    padded = length + -length % SECTOR_SIZE
    sector = view.read(offset + padded, SECTOR_SIZE)
    blocks = [sector[at : at + _BLOCK_SIZE] for at in range(0, 3 * _BLOCK_SIZE, _BLOCK_SIZE)]
    valid = [block for block in blocks if _is_block(block)]
    if not valid:
        return "it has no signature block"
    contents = view.read(offset, padded)
    reasons = []
    for block in valid:
        key_digest, problem = _verify(block, contents, ecdsa=soc.chip.ecdsa)
        if problem is None and key_digest in trusted:
            return None
        reasons.append(problem or "signed by a key that this chip does not trust")
    return reasons[0]


def trusted_digests(soc: Soc) -> Iterator[bytes]:
    """The SHA-256 of each public key whose signature counts."""
    security = soc.chip.security
    if not security.key_purposes:
        yield soc.fuses.key(_ESP32_DIGEST_BLOCK)
        return
    for purpose, revoked in zip(_DIGEST_PURPOSES, security.revoked, strict=True):
        if soc.fuses.field(revoked):
            continue
        for index, field in enumerate(security.key_purposes):
            if soc.fuses.field(field) == purpose:
                yield soc.fuses.key(security.first_key_block + index)


def _is_block(block: bytes) -> bool:
    checksum = int.from_bytes(block[_SIGNED_PART : _SIGNED_PART + 4], "little")
    return (
        block[0] == _MAGIC
        and block[1] in {_RSA, _ECDSA}
        and zlib.crc32(block[:_SIGNED_PART]) == checksum
    )


def _verify(block: bytes, contents: bytes, *, ecdsa: bool) -> tuple[bytes, str | None]:
    """The digest of the block's key, and what is wrong with its signature or None."""
    digest = hashlib.sha256(contents).digest()
    if block[1] == _RSA:
        return _verify_rsa(block, digest)
    if not ecdsa:
        return b"", "this chip knows no ECDSA signatures"
    return _verify_ecdsa(block, digest)


def _verify_rsa(block: bytes, digest: bytes) -> tuple[bytes, str | None]:
    _, _, stored, modulus, exponent, _, _, signature, _ = _RSA_BLOCK.unpack(block)
    key_digest = hashlib.sha256(block[_RSA_KEY]).digest()
    if stored != digest:
        return key_digest, "the signature is for another image"
    try:
        key = rsa.RSAPublicNumbers(exponent, int.from_bytes(modulus, "little")).public_key()
        key.verify(
            signature[::-1],
            digest,
            padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32),
            Prehashed(hashes.SHA256()),
        )
    except (InvalidSignature, ValueError):
        return key_digest, "the RSA signature is wrong"
    return key_digest, None


def _verify_ecdsa(block: bytes, digest: bytes) -> tuple[bytes, str | None]:
    point = block[_ECDSA_POINT : _ECDSA_POINT + 64]
    key_digest = hashlib.sha256(block[_ECDSA_CURVE : _ECDSA_CURVE + 1] + point).digest()
    curve = _CURVES.get(block[_ECDSA_CURVE])
    if curve is None:
        return key_digest, "the signature's curve is not known"
    if block[4:36] != digest:
        return key_digest, "the signature is for another image"
    make, size = curve
    r, s = _pair(block[_ECDSA_SIGNATURE : _ECDSA_SIGNATURE + 64], size)
    x, y = _pair(point, size)
    try:
        key = ec.EllipticCurvePublicNumbers(x, y, make()).public_key()
        key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    except (InvalidSignature, ValueError):
        return key_digest, "the ECDSA signature is wrong"
    return key_digest, None


def _pair(data: bytes, size: int) -> tuple[int, int]:
    first, second = data[:size], data[size : 2 * size]
    return int.from_bytes(first, "little"), int.from_bytes(second, "little")
