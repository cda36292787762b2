# SPDX-License-Identifier: GPL-3.0-or-later
"""New private keys, from the operating system's randomness."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)


def new_private_key_pem() -> str:
    """An ECDSA key on P-256 as PKCS #8, not encrypted: keep it where only its owner can read."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode("ascii")
