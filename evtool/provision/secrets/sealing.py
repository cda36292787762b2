# SPDX-License-Identifier: GPL-3.0-or-later
"""Values at rest, sealed with AES-256-GCM; whose each of them is, is bound to it.

::

    EVS1 · key id, 8 bytes · nonce, 12 bytes · ciphertext · tag, 16 bytes

Associated data is all before the nonce, and the value's name: a sealed value that is filed
under another name, such as another unit's, does not open. Nonces are random; NIST SP 800-38D
(8.3) allows 2^32 of them for one key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from evtool.errors import ConfigError, EvtoolError

KEY_SIZE = 32
NONCE_SIZE = 12
_MAGIC = b"EVS1"
_ID_SIZE = 8
_NONCE_AT = len(_MAGIC) + _ID_SIZE
_LEAST = _NONCE_AT + NONCE_SIZE + 16
_ID_LABEL = b"evtool sealing key id 1"


class SealBroken(EvtoolError):
    """A sealed value was changed, cut, or filed under another name."""


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A key of 32 bytes; hides itself in repr.

    Raises:
        ValueError: another length.
    """

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != KEY_SIZE:
            raise ValueError(f"a sealing key has {KEY_SIZE} bytes")

    @property
    def key_id(self) -> str:
        """16 hex digits that tell keys apart and nothing about them."""
        return hmac.digest(self.key, _ID_LABEL, hashlib.sha256)[:_ID_SIZE].hex()


def seal(value: bytes, name: str, key: SealingKey, nonce: bytes) -> bytes:
    """`value` sealed under `name`.

    Args:
        nonce: 12 bytes from the operating system's generator, never used before.
    """
    if len(nonce) != NONCE_SIZE:
        raise ValueError(f"a nonce has {NONCE_SIZE} bytes")
    head = _MAGIC + bytes.fromhex(key.key_id)
    return head + nonce + AESGCM(key.key).encrypt(nonce, value, head + name.encode())


def sealed_with(data: bytes) -> str:
    """The id of the key that opens `data`.

    Raises:
        SealBroken: it is no sealed value.
    """
    if len(data) < _LEAST or not data.startswith(_MAGIC):
        raise SealBroken("this is no sealed value", fix="take the ledger from a backup")
    return data[len(_MAGIC) : _NONCE_AT].hex()


def unseal(data: bytes, name: str, keys: Mapping[str, SealingKey]) -> bytes:
    """The value that was sealed under `name`.

    Args:
        keys: by key id.

    Raises:
        ConfigError: it was sealed with a key that is not among these.
        SealBroken: it was changed, or was sealed under another name.
    """
    key_id = sealed_with(data)
    key = keys.get(key_id)
    if key is None:
        given = ", ".join(keys) or "none"
        raise ConfigError(
            f"{name}: sealed with the key {key_id}, which is not the one given ({given})",
            fix="give the key or passphrase that it was sealed with",
        )
    nonce = data[_NONCE_AT : _NONCE_AT + NONCE_SIZE]
    try:
        aad = data[:_NONCE_AT] + name.encode()
        return AESGCM(key.key).decrypt(nonce, data[_NONCE_AT + NONCE_SIZE :], aad)
    except InvalidTag:
        raise SealBroken(
            f"{name}: the sealed value was changed, or belongs to another name",
            fix="take the ledger from a backup",
        ) from None
