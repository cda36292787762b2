# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands for a key where keys are compared and the key itself must not be."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from evtool.protocol.authorization_key import key_as_hex

_LABEL = b"evtool key fingerprint 1"
_DIGITS = 32


def key_fingerprint(key: str) -> str:
    """32 hex digits for an AuthorizationKey or a private key; never for a passphrase.

    The same on every station, so that two of them can find one key twice. It says nothing
    about a key that was generated; one that a person has thought up could be found by trying.
    The two forms of one AuthorizationKey have one fingerprint, and all those of one private key.
    """
    if "PRIVATE KEY-----" in key:
        data = _public_part(key)
        return hmac.digest(_LABEL, data, hashlib.sha256).hex()[:_DIGITS]
    try:
        data = bytes.fromhex(key_as_hex(key))
    except ValueError:
        data = key.encode()
    return hmac.digest(_LABEL, data, hashlib.sha256).hex()[:_DIGITS]


def _public_part(pem: str) -> bytes:
    """The public key that a private one as PEM has; the text itself where it is none."""
    try:
        key = load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return pem.encode()
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
