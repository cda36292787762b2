# SPDX-License-Identifier: GPL-3.0-or-later
"""The sealing key from what a person keeps: 64 hex digits, or a passphrase (scrypt, RFC 7914).

What scrypt was given besides the passphrase is no secret and is kept with the sealed values,
under the key's own name: a wrong passphrase gives another name, and is found out at once.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from evtool.errors import ConfigError
from evtool.project import Secret
from evtool.provision.secrets.sealing import KEY_SIZE, SealBroken, SealingKey

_HEX_KEY = re.compile(r"[0-9A-Fa-f]{64}\Z")
_LEAST_PASSPHRASE = 12
SALT_SIZE = 16
_LARGEST_N = 1 << 20


@dataclass(frozen=True, slots=True)
class Derivation:
    """How a sealing key came about.

    Attributes:
        salt: random; empty for a key that was given as it is.
        n, r, p: scrypt's cost; OWASP's first choice takes 128 MiB and a third of a second.
    """

    salt: bytes = b""
    n: int = 1 << 17
    r: int = 8
    p: int = 1

    def encode(self) -> bytes:
        """As it is kept beside the sealed values."""
        values = {"salt": self.salt.hex(), "n": self.n, "r": self.r, "p": self.p}
        return json.dumps(values).encode()

    @classmethod
    def decode(cls, data: bytes) -> Derivation:
        """What was kept.

        Raises:
            SealBroken: it was changed.
        """
        try:
            values = json.loads(data)
            salt = bytes.fromhex(values["salt"])
            n, r, p = (int(values[name]) for name in "nrp")
        except (ValueError, KeyError, TypeError):
            raise _changed() from None
        # Whoever can write to the ledger must not make us take all the memory there is.
        if not (2 <= n <= _LARGEST_N and 1 <= r <= 32 and 1 <= p <= 16 and n & (n - 1) == 0):
            raise _changed()
        return cls(salt, n, r, p)


def _changed() -> SealBroken:
    return SealBroken(
        "what the ledger says about its sealing key was changed",
        fix="take the ledger from a backup",
    )


def is_whole_key(secret: Secret) -> bool:
    """Whether it is a key itself, 64 hex digits, and no passphrase."""
    return _HEX_KEY.match(secret.reveal()) is not None


def sealing_key(secret: Secret, derivation: Derivation) -> SealingKey:
    """The key that `secret` is, or that scrypt makes of it.

    Raises:
        ConfigError: too short a passphrase.
    """
    text = secret.reveal()
    if is_whole_key(secret):
        return SealingKey(bytes.fromhex(text))
    if len(text) < _LEAST_PASSPHRASE:
        raise ConfigError(
            f"the sealing passphrase has {len(text)} characters; at least {_LEAST_PASSPHRASE}",
            fix="choose a longer one, or give a key of 64 hex digits",
        )
    scrypt = Scrypt(
        salt=derivation.salt, length=KEY_SIZE, n=derivation.n, r=derivation.r, p=derivation.p
    )
    return SealingKey(scrypt.derive(text.encode()))
