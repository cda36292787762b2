# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks known secrets in a stream of bytes, however the stream is cut into chunks.

Each secret is masked as it stands and in the forms that firmware prints it in: hex, base64
(also in the middle of a longer text, as in an `Authorization: Basic` header), percent-encoded
and escaped in JSON. The bytes that could be the beginning of a secret are held back until the
next ones tell; a line end always tells.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = b"****"
# A shorter text occurs everywhere by chance; passphrases have 8 characters, keys 16.
MIN_SECRET_BYTES = 4


def encoded_forms(secret: str) -> frozenset[bytes]:
    """The byte strings that give `secret` away; those of hex digits in lower case."""
    plain = secret.encode()
    forms = {
        plain,
        json.dumps(secret)[1:-1].encode(),
        json.dumps(secret, ensure_ascii=False)[1:-1].encode(),
    }
    for data in {plain, _hex_decoded(secret)} - {b""}:
        forms |= _hex_forms(data) | _base64_forms(data)
    forms |= {quote(secret).encode(), quote(secret, safe="").encode(), quote_plus(secret).encode()}
    forms.add("".join(f"%{byte:02x}" for byte in plain).encode())
    return frozenset(form for form in forms if len(form) >= MIN_SECRET_BYTES)


def _hex_decoded(secret: str) -> bytes:
    """The bytes of a secret that is itself written in hex; b"" where it is not."""
    if re.fullmatch(r"(?:[0-9A-Fa-f]{2}){4,}", secret) is None:
        return b""
    return bytes.fromhex(secret)


def _hex_forms(data: bytes) -> set[bytes]:
    return {
        data.hex(separator).encode() if separator else data.hex().encode()
        for separator in ("", " ", ":", "-")
    }


def _base64_forms(data: bytes) -> set[bytes]:
    """The base64 digits that depend on `data` alone, for each place in a longer text.

    With `lead` bytes before it, the first digits also depend on them, and the last digit may
    depend on what follows: both are left out.
    """
    forms = set()
    for lead in range(3):
        whole = (lead + len(data)) * 8 // 6
        digits = base64.b64encode(b"\0" * lead + data)[(lead * 8 + 5) // 6 : whole]
        forms |= {digits, digits.translate(bytes.maketrans(b"+/", b"-_"))}
    return forms


class Redactor:
    """Masks the secrets it was made with.

    Hex and percent forms match in either case, and so do the letters of the secrets
    themselves: rather a mask too many.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form.lower() for secret in secrets for form in encoded_forms(secret)}
        self._prefixes = frozenset(form[:end] for form in forms for end in range(1, len(form)))
        self._longest = max(map(len, forms), default=0)
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = (
            re.compile(b"|".join(map(re.escape, longest_first)), re.IGNORECASE) if forms else None
        )
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What of the stream is safe to show by now."""
        if self._pattern is None:
            return data
        data, self._held = self._held + data, b""
        shown = []
        position = 0
        while True:
            hold = self._hold_from(data, position)
            match = self._pattern.search(data, position)
            if match is None or match.start() >= hold:
                break
            shown += [data[position : match.start()], MASK]
            position = match.end()
        self._held = data[hold:]
        return b"".join([*shown, data[position:hold]])

    def finish(self) -> bytes:
        """What was held back, masked where it is a secret."""
        held, self._held = self._held, b""
        return held if self._pattern is None else self._pattern.sub(MASK, held)

    def _hold_from(self, data: bytes, position: int) -> int:
        """Where the first beginning of a secret stands that reaches the end of `data`."""
        for start in range(max(position, len(data) - self._longest + 1), len(data)):
            if data[start:].lower() in self._prefixes:
                return start
        return len(data)


def mask_text(text: str, secrets: Iterable[str]) -> str:
    """A whole text, masked."""
    redactor = Redactor(secrets)
    return (redactor.feed(text.encode()) + redactor.finish()).decode(errors="replace")
