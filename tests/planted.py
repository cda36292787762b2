# SPDX-License-Identifier: GPL-3.0-or-later
"""A secret planted on purpose, and the search for it in all the forms that it could leak in."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus


def forms(secret: str) -> Iterator[bytes]:
    """The secret in clear, base64 (at any place in a longer text), hex and URL form."""
    data = secret.encode()
    yield data
    for shift in range(3):
        # What base64 makes of it behind `shift` other bytes, without the digits they share.
        encoded = base64.b64encode(bytes(shift) + data).rstrip(b"=")
        piece = encoded[-(-shift * 8 // 6) : -1]
        yield piece
        yield piece.replace(b"+", b"-").replace(b"/", b"_")
    for digits in (data.hex(), data.hex().upper(), data.hex(" "), data.hex(":")):
        yield digits.encode()
    for text in (quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1]):
        yield text.encode()
    yield secret.encode("utf-16-le")


def leaks(
    secret: str, texts: Iterable[bytes], folders: Iterable[Path], *, but: Iterable[Path]
) -> list[str]:
    """Where `secret` is found.

    Args:
        texts: what was printed.
        folders: every file below them is searched,
        but: except these, which are where it is meant to be.
    """
    wanted = list(dict.fromkeys(forms(secret)))
    places = [(f"output {number}", text) for number, text in enumerate(texts, start=1)]
    allowed = {path.resolve() for path in but}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.resolve() not in allowed:
                places.append((str(path), str(path).encode() + b"\0" + path.read_bytes()))
    return [name for name, data in places for form in wanted if form in data]
