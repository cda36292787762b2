# SPDX-License-Identifier: GPL-3.0-or-later
"""The AuthorizationKey: what people write, and the hex digits that devices store."""

from __future__ import annotations

import re

_HEX_KEY = re.compile(r"(?:[0-9A-Fa-f]{2}){16,20}\Z")


def key_as_hex(text: str) -> str:
    """The key as 32 to 40 hex digits.

    A text of 32 to 40 hex digits is one already; one of 16 to 20 printable ASCII characters is
    the key itself (OCA's conformance test; whitepaper ed. 3, 7.2: 16 to 20 bytes).

    Raises:
        ValueError: it is neither; the message does not repeat it.
    """
    if _HEX_KEY.match(text):
        return text
    if 16 <= len(text) <= 20 and all(" " <= character <= "~" for character in text):
        return text.encode("ascii").hex()
    raise ValueError("must be 16 to 20 printable ASCII characters, or 32 to 40 hex digits")
