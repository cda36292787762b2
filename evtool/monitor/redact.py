# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks known secrets in a stream of bytes, however the stream is cut into chunks.

Each secret is masked as it stands and in the forms that firmware prints it in: hex, base64
(also in the middle of a longer text, as in an `Authorization: Basic` header), percent-encoded
and escaped in JSON. The bytes that could be the beginning of a secret are held back until the
next ones tell; a line end always tells. Where nothing follows they are let go in time, and the rest
of the secret is masked should it still come.

All forms are looked for at once, by Aho and Corasick's automaton: the cost hardly depends on how
many secrets there are.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, quote_plus

from ahocorasick_rs import BytesAhoCorasick, MatchKind

from evtool.errors import EvtoolError, ToolError

MASK = b"****"
# A shorter text occurs everywhere by chance; passphrases have 8 characters, keys 16.
MIN_SECRET_BYTES = 4
# How long nothing may follow what could begin a secret. Many a word begins with the first letters
# of one, and a person who types waits for the echo; more letters of it are hardly chance.
HOLD_MS = 50
LONG_HOLD_MS = 1000
# An escape within an expression that an error quotes is escaped twice.
_ESCAPINGS = 3
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}


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
    themselves: rather a mask too many. Of a secret with several lines each line is one.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {
            form.lower()
            for secret in secrets
            for text in {secret, *secret.splitlines()}
            for form in encoded_forms(text)
            if b"\n" not in form
        }
        self._prefixes = frozenset(form[:end] for form in forms for end in range(1, len(form)))
        self._longest = max(map(len, forms), default=0)
        self._find = None
        if forms:
            automaton = BytesAhoCorasick(sorted(forms), matchkind=MatchKind.LeftmostLongest)
            self._find = automaton.find_matches_as_indexes
            begins = BytesAhoCorasick(sorted({form[:MIN_SECRET_BYTES] for form in forms}))
            self._find_begins = begins.find_matches_as_indexes
        # What stands last where so much or more of a form has come.
        self._lasts = frozenset(
            form[end - MIN_SECRET_BYTES : end]
            for form in forms
            for end in range(MIN_SECRET_BYTES, len(form))
        )
        self._let_go = b""  # shown, and perhaps the beginning of a secret all the same
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What of the stream is safe to show by now."""
        if self._find is None:
            return data
        position = len(self._let_go)
        if position or self._held:
            data = self._let_go + self._held + data
            self._let_go = self._held = b""
        lowered = data.lower()
        hold = self._hold_from(lowered, 0)
        matches = self._find(lowered)
        if not matches and not position:
            if hold == len(data):
                return data
            self._held = data[hold:]
            return data[:hold]
        return self._mask(data, lowered, position, [(start, end) for _, start, end in matches])

    @property
    def hold_ms(self) -> int | None:
        """How long after the last byte `let_go` is due; None where nothing is held."""
        if not self._held:
            return None
        shown = len(self._let_go) + len(self._held)
        return HOLD_MS if shown < MIN_SECRET_BYTES else LONG_HOLD_MS

    def let_go(self) -> bytes:
        """What was held back, to be shown as nothing followed it."""
        held, self._held = self._held, b""
        self._let_go += held
        return held

    def finish(self) -> bytes:
        """What was held back, masked where it is a secret."""
        text, position = self._let_go + self._held, len(self._let_go)
        self._let_go = self._held = b""
        if self._find is None or position == len(text):
            return b""
        shown = []
        for _, start, end in self._find(text.lower()):
            shown += [text[position:start], MASK]
            position = max(position, end)
        return b"".join([*shown, text[position:]])

    def _mask(
        self, data: bytes, lowered: bytes, position: int, matches: list[tuple[int, int]]
    ) -> bytes:
        """`data` from `position` on as it may be shown; the rest is held back."""
        was_shown = position
        begin = 0
        shown = []
        for start, end in matches:
            if start >= self._hold_from(lowered, begin):
                break
            begin = end
            if end > position:
                shown += [data[position:start], MASK]
                position = end
        hold = self._hold_from(lowered, begin)
        if hold < was_shown:
            self._let_go = data[hold:was_shown]
        self._held = data[max(hold, position) :]
        return b"".join([*shown, data[position:hold]])

    def _hold_from(self, lowered: bytes, position: int) -> int:
        """Where the first beginning of a secret stands that reaches the end."""
        end = len(lowered)
        at = max(position, end - self._longest + 1, lowered.rfind(b"\n") + 1)
        if at >= end:
            return end
        if lowered[-MIN_SECRET_BYTES:] in self._lasts:
            for _, start, _ in self._find_begins(lowered[at:], overlapping=True):
                if lowered[at + start :] in self._prefixes:
                    return at + start
        for start in range(max(at, end - MIN_SECRET_BYTES + 1), end):
            if lowered[start:] in self._prefixes:
                return start
        return end


def text_mask(secrets: Iterable[str]) -> Callable[[str], str]:
    """What masks whole texts."""
    redactor = Redactor(secrets)

    def mask(text: str) -> str:
        shown = redactor.feed(text.encode(errors="backslashreplace")) + redactor.finish()
        return shown.decode(errors="replace")

    return mask


def written_mask(mask: Callable[[str], str]) -> Callable[[str], str]:
    """`mask` for what quotes texts that people wrote: also where a secret stands in it escaped,
    by backslashes, as in a script's texts, in expressions, and in what Python shows as quoted."""

    def mask_written(text: str) -> str:
        shown = probe = mask(text)
        for _ in range(_ESCAPINGS):
            bare = _ESCAPE.sub(_unescaped, probe)
            if bare == probe:
                break
            probe = mask(bare)
            if probe != bare:
                shown = probe
        return shown

    return mask_written


def mask_error(error: EvtoolError, mask: Callable[[str], str]) -> None:
    """Mask everything that an error says."""
    error.message = mask(error.message)
    error.fix = None if error.fix is None else mask(error.fix)
    if isinstance(error, ToolError):
        error.output = mask(error.output)
        error.argv = tuple(map(mask, error.argv))


def _unescaped(match: re.Match[str]) -> str:
    code, character = match[1] or match[2], match[3]
    return chr(int(code, 16)) if code else _CONTROLS.get(character, character)


def mask_document(document: object, mask: Callable[[str], str]) -> Any:
    """A document for JSON with all its texts masked, those of keys too."""
    if isinstance(document, str):
        return mask(document)
    if isinstance(document, dict):
        return {mask(key): mask_document(value, mask) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [mask_document(value, mask) for value in document]
    return document
