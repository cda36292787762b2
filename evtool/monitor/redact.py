# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks known secrets in a stream of bytes, however the stream is cut into chunks.

Each secret is masked as it stands and in the forms that firmware prints it in: hex, base64
(also in the middle of a longer text, as in an `Authorization: Basic` header), percent-encoded
and escaped in JSON, and in dumps of memory (`evtool.monitor.dump_rows`). The bytes that could be
the beginning of a secret are held back until the next ones tell; a line end always tells, but that
of a dump's row. Where nothing follows they are let go in time, and the rest of the secret is masked
should it still come.

All forms are looked for at once, by Aho and Corasick's automaton: the cost hardly depends on how
many secrets there are.
"""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache
from typing import Any, Generic, TypeVar
from urllib.parse import quote, quote_plus

from ahocorasick_rs import BytesAhoCorasick, MatchKind

from evtool.errors import EvtoolError, ToolError
from evtool.monitor.dump_rows import Found, dump_marks, find_in_rows, first_pairs, row_begins

MASK = b"****"
# A shorter text occurs everywhere by chance; passphrases have 8 characters, keys 16.
MIN_SECRET_BYTES = 4
# How long nothing may follow what could begin a secret. Many a word begins with the first letters
# of one, and a person who types waits for the echo; more letters of it are hardly chance.
HOLD_MS = 50
LONG_HOLD_MS = 1000
T = TypeVar("T")
_ARMOUR, _ARMOUR_BEGINS = "-----", "-----BEGIN "
_CONTEXT = 2048  # so long may a dump's rows be that show one secret
_LONGEST_MARK = 16
_LATEST_ROWS = 160  # so long are a row that has just ended, or that has not, and a bit
# Up to some 60 patterns are looked for at once in a tenth of the time that more take.
_FEW_PATTERNS = 60
_FEW_MARKS = 50
_Find = Callable[[bytes], list[tuple[int, int, int]]]
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


class _Patterns:
    """What is looked for of some secrets; made once for all ports.

    Attributes:
        find: finds forms of the secrets; None where there is no secret. Of many secrets it
            finds the marks of dumps, too: then these cost nothing more.
        forms: so many of its patterns are forms; the marks follow.
        quick: find the marks, each some of them, as fast as a few patterns are found.
        find_begins: finds the first bytes of the forms.
        find_marks: finds all marks of dumps.
        prefixes: all beginnings of the forms, and of secrets in a dump's row.
        lasts: what stands last where so much or more of one has come.
        longest: the longest form's length.
    """

    def __init__(self, secrets: frozenset[str]) -> None:
        texts = {text for secret in secrets for text in _parts(secret)}
        forms = {
            form.lower() for text in texts for form in encoded_forms(text) if b"\n" not in form
        }
        self._dumped = _by_mark(texts, dump_marks)
        self._sorted = sorted(forms)
        self.forms = len(forms)
        rows = {begin for data in _data_of(texts) for begin in row_begins(data)}
        begun = {form[:end] for form in forms for end in range(1, len(form))}
        begun |= {row[:end] for row in rows for end in range(2, len(row) + 1)}
        self.prefixes = frozenset(begun)
        self.longest = max(map(len, forms | rows), default=0)
        self.lasts = frozenset(
            each[-MIN_SECRET_BYTES:] for each in begun if len(each) >= MIN_SECRET_BYTES
        )
        self.find = None
        self.quick: list[_Find] = []
        if forms:
            self._marks = sorted(self._dumped)
            patterns = list(self._sorted)
            if len(patterns) > _FEW_PATTERNS:
                patterns += [mark for mark in self._marks if mark not in forms]
            else:
                self.quick = [
                    _few_patterns(self._marks[at : at + _FEW_MARKS])
                    for at in range(0, len(self._marks), _FEW_MARKS)
                ]
            automaton = BytesAhoCorasick(patterns, matchkind=MatchKind.LeftmostLongest)
            self.find = automaton.find_matches_as_indexes
            begins = BytesAhoCorasick(sorted({each[:MIN_SECRET_BYTES] for each in forms | rows}))
            self.find_begins = begins.find_matches_as_indexes
            self.find_marks = BytesAhoCorasick(self._marks).find_matches_as_indexes
            self._begun = _by_mark(texts, first_pairs)
            self._pairs = sorted(self._begun)
            self.find_pairs = BytesAhoCorasick(self._pairs).find_matches_as_indexes

    @cached_property
    def find_forms(self) -> _Find:
        """Finds forms alone: one may begin within a mark."""
        automaton = BytesAhoCorasick(self._sorted, matchkind=MatchKind.LeftmostLongest)
        return automaton.find_matches_as_indexes

    def secrets_in_dump(self, lowered: bytes) -> set[bytes]:
        """Those of which a dump in `lowered` may show something."""
        marks = {self._marks[which] for which, _, _ in self.find_marks(lowered, overlapping=True)}
        found = {secret for mark in marks for secret in self._dumped[mark]}
        latest = lowered[-_LATEST_ROWS:]
        for which, _, _ in self.find_pairs(latest, overlapping=True):
            found.update(self._begun[self._pairs[which]])
        return found


def _parts(secret: str) -> list[str]:
    """The texts that are looked for: it as a whole, and each of its lines.

    Of a key as PEM only the lines between its first and last: they are all of it, and as a whole a
    large one would take hundreds of megabytes.
    """
    lines = secret.splitlines()
    return _armoured(lines) or [secret, *lines]


def _armoured(lines: list[str]) -> list[str]:
    """Those within PEM; what stands around it, as openssl pkcs12 writes it, is none of it."""
    found: list[str] = []
    is_inside = False
    for line in lines:
        if line.startswith(_ARMOUR):
            is_inside = line.startswith(_ARMOUR_BEGINS)
        elif is_inside:
            found.append(line)
    return found


def _few_patterns(patterns: list[bytes]) -> _Find:
    """Finds any of a few patterns, in the way that is fast for few (packed comparisons).

    It is chosen where the patterns have no few rare bytes that could be looked for first; of hex
    digits it would be thought that they are rare. The further patterns never come.
    """
    never = [bytes([0xF5 + at]) * 6 for at in range(6)]
    automaton = BytesAhoCorasick([*patterns, *never], matchkind=MatchKind.LeftmostFirst)
    return automaton.find_matches_as_indexes


def _by_mark(
    texts: Iterable[str], marks_of: Callable[[bytes], Iterable[bytes]]
) -> dict[bytes, list[bytes]]:
    """What may show a secret in a dump, each with the secrets that it may be of."""
    found: dict[bytes, list[bytes]] = {}
    for data in _data_of(texts):
        for mark in marks_of(data):
            found.setdefault(mark, []).append(data)
    return found


def _data_of(texts: Iterable[str]) -> set[bytes]:
    """The secrets as bytes, those that are written in hex as these bytes too."""
    every = {data for text in texts for data in (text.encode(), _hex_decoded(text))}
    return {data for data in every if len(data) >= MIN_SECRET_BYTES}


_patterns = lru_cache(maxsize=4)(_Patterns)


class Redactor:
    """Masks the secrets it was made with.

    Hex and percent forms match in either case, and so do the letters of the secrets
    themselves: rather a mask too many. Of a secret with several lines each line is one.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._patterns = _patterns(frozenset(secrets))
        self._find = self._patterns.find
        self._context = b""  # the last of what came before the bytes below, as it came
        self._is_in_rows = False  # a dump's rows go on
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
        before = self._context
        if not (matches or position or self._is_in_rows or self._is_marked(lowered)):
            if hold == len(data):
                self._context = (before + data[-_CONTEXT:])[-_CONTEXT:]
                return data
            self._held = data[hold:]
            self._context = (before + data[:hold])[-_CONTEXT:]
            return data[:hold]
        found = self._look_in(before, lowered, matches)
        self._is_in_rows = found.is_open
        shown = self._mask(data, lowered, position, found.spans, found.hold)
        rest = len(self._let_go) + len(self._held)
        self._context = (before + data[: len(data) - rest])[-_CONTEXT:]
        return shown

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
        context, self._context, self._is_in_rows = self._context, b"", False
        if self._find is None or position == len(text):
            return b""
        lowered = text.lower()
        shown = []
        for start, end in self._look_in(context, lowered, self._find(lowered)).spans:
            if end > position:
                shown += [text[position:start], MASK]
                position = end
        return b"".join([*shown, text[position:]])

    def _is_marked(self, lowered: bytes) -> bool:
        """Whether `lowered` holds a mark of a dump, or the end of one, or ends in rows that may
        have begun to show a secret."""
        for find in self._patterns.quick:
            if find(lowered):
                return True
        joined = self._context[-_LONGEST_MARK:].lower() + lowered[:_LONGEST_MARK]
        if self._patterns.find_marks(joined):
            return True
        latest = lowered[-_LATEST_ROWS:]
        if len(latest) < _LATEST_ROWS:
            latest = self._context[len(latest) - _LATEST_ROWS :].lower() + latest
        return bool(self._patterns.find_pairs(latest))

    def _look_in(
        self, context: bytes, lowered: bytes, matches: list[tuple[int, int, int]]
    ) -> Found:
        """What is to be masked of `lowered`, and from where on what follows will tell."""
        patterns = self._patterns
        spans = [(start, end) for which, start, end in matches if which < patterns.forms]
        before = context.lower()
        secrets = patterns.secrets_in_dump(before + lowered)
        if not secrets:
            return Found(spans, len(lowered))
        if len(spans) < len(matches):
            spans = [(start, end) for _, start, end in patterns.find_forms(lowered)]
        rows = find_in_rows(before + lowered, secrets)
        size = len(before)
        spans += [(max(0, start - size), end - size) for start, end in rows.spans if end > size]
        return Found(sorted(spans), max(0, rows.hold - size), rows.is_open)

    def _mask(
        self,
        data: bytes,
        lowered: bytes,
        position: int,
        matches: list[tuple[int, int]],
        row_hold: int,
    ) -> bytes:
        """`data` from `position` on as it may be shown; the rest is held back."""
        was_shown = position
        begin = 0
        shown = []
        for start, end in matches:
            if start >= min(row_hold, self._hold_from(lowered, begin)):
                break
            begin = end
            if end > position:
                shown += [data[position:start], MASK]
                position = end
        hold = max(begin, min(row_hold, self._hold_from(lowered, begin)))
        if hold < was_shown:
            self._let_go = data[hold:was_shown]
        self._held = data[max(hold, position) :]
        return b"".join([*shown, data[position:hold]])

    def _hold_from(self, lowered: bytes, position: int) -> int:
        """Where the first beginning of a secret stands that reaches the end."""
        end = len(lowered)
        at = max(position, end - self._patterns.longest + 1, lowered.rfind(b"\n") + 1)
        if at >= end:
            return end
        patterns = self._patterns
        if lowered[-MIN_SECRET_BYTES:] in patterns.lasts:
            for _, start, _ in patterns.find_begins(lowered[at:], overlapping=True):
                if lowered[at + start :] in patterns.prefixes:
                    return at + start
        for start in range(max(at, end - MIN_SECRET_BYTES + 1), end):
            if lowered[start:] in patterns.prefixes:
                return start
        return end


class LineRedactor(Generic[T]):
    """Masks lines that come one by one, of one board; a dump's rows together, so some come later.

    Each has something with it (`T`), such as its time.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._redactor = Redactor(secrets)
        self._waiting: deque[T] = deque()
        self._shown = b""

    def feed(self, of: T, line: str) -> list[tuple[T, str]]:
        """The lines that are safe to show by now, in order."""
        self._waiting.append(of)
        return self._take(self._redactor.feed(line.encode(errors="backslashreplace") + b"\n"))

    def finish(self) -> list[tuple[T, str]]:
        """Those that were held back."""
        return self._take(self._redactor.finish())

    def _take(self, shown: bytes) -> list[tuple[T, str]]:
        *lines, self._shown = (self._shown + shown).split(b"\n")
        return [(self._waiting.popleft(), line.decode(errors="replace")) for line in lines]


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
