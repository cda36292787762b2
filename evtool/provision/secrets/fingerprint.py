# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands for a key where keys are compared and the key itself must not be."""

from __future__ import annotations

import hashlib
import hmac

from evtool.protocol.authorization_key import key_as_hex

_LABEL = b"evtool key fingerprint 1"
_DIGITS = 32


def key_fingerprint(key: str) -> str:
    """32 hex digits for an AuthorizationKey or a private key; never for a passphrase.

    The same on every station, so that two of them can find one key twice. It says nothing
    about a key that was generated; one that a person has thought up could be found by trying.
    The two forms of one AuthorizationKey have one fingerprint.
    """
    try:
        data = bytes.fromhex(key_as_hex(key))
    except ValueError:
        data = key.encode()
    return hmac.digest(_LABEL, data, hashlib.sha256).hex()[:_DIGITS]
