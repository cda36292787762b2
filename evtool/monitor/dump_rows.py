# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets in dumps of memory: digits in rows, with a prefix, an offset, and a column of text.

A secret may begin in one row and end in the next, and a dump of words shows its bytes in another
order. No form of it stands there as a whole, so rows are read: but only where a few bytes of a
secret stand as a dump prints them (`dump_marks`), which costs nothing more to look for. What is
masked is the whole secret, wherever its rows break it, and never a part of it alone: other data
may well share some bytes with it.

Rows that are read: as ESP-IDF's ESP_LOG_BUFFER_HEX and ESP_LOG_BUFFER_HEXDUMP print them, xxd,
hexdump, arrays of C, digits with nothing between them, and words of 16 and 32 bits in either order
of their bytes, as in the stack that a panic prints.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_FEW_BYTES = 4
_SEPARATORS = (" ", "  ", ":", ", 0x", " 0x")
_NOWHERE = 1 << 62


def _runs_of(width: int, blanks: bytes) -> re.Pattern[bytes]:
    """Groups of so many digits; the last one of a dump may be shorter, once it is seen that it
    ends."""
    between = rb"(?:, ?|%s|[:-])" % blanks
    return re.compile(
        rb"(?<![0-9A-Za-z])(?:0x)?[0-9a-f]{%d}(?:%s(?:0x)?[0-9a-f]{%d})*"
        rb"(?:%s(?:[0-9a-f]{2}){1,%d}(?=\s))?(?![0-9A-Za-z])"
        % (width, between, width, between, max(1, width // 2 - 1))
    )


# Two blanks stand in the middle of a row of bytes, or before its text, which may look like digits.
_RUNS = (
    (2, _runs_of(2, b" {1,2}")),
    (2, _runs_of(2, b" ")),
    (4, _runs_of(4, b" ")),
    (8, _runs_of(8, b" ")),
)
# A row of digits with nothing between them, as `xxd -p` prints it.
_ONE_RUN = re.compile(rb"(?<![0-9A-Za-z])(?:0x)?(?:[0-9a-f]{2}){4,}[0-9a-f]?(?![0-9A-Za-z])")
_SHORT_RUN = re.compile(rb"(?<![0-9A-Za-z])(?:[0-9a-f]{2}){1,3}(?=\s)")
_PAIR = re.compile(rb"[0-9a-f]{2}")
_FEW_DIGITS = 8  # a shorter row is one only below another, as the last of a dump is
_LINES_BETWEEN = 1  # so many lines of another task may stand between two rows
_BETWEEN = re.compile(rb"[ ,:-]{0,4}(?:0x)?")  # two bytes that stand next to each other

Span = tuple[int, int]


def dump_marks(secret: bytes) -> set[bytes]:
    """What stands in the first or the second row, in whatever dump `secret` is, and soon.

    Two pairs of bytes of which no row's end parts both, each as the dumps print it; and the words
    that hold three of its first bytes.
    """
    pairs = [f"{byte:02x}" for byte in secret]
    starts = (2, 3) if len(secret) > _FEW_BYTES else (0, 2)
    marks = {
        f"{pairs[start]}{separator}{pairs[start + 1]}"
        for start in starts
        for separator in _SEPARATORS
    }
    # words of 16 bits, as xxd prints them: between every other two bytes there is nothing
    marks |= {
        f"{pairs[start]} {pairs[start + 1]}" for start in range(1, min(4, len(secret) - 2) + 1)
    }
    for start in range(1, min(3, len(secret) - 3) + 1):
        part = pairs[start : start + 3]
        marks |= {"".join(part), "".join(reversed(part))}
    return {mark.encode() for mark in marks}


_BEGIN_BYTES = 7


def first_pairs(secret: bytes) -> set[bytes]:
    """How a dump prints the first two bytes of a secret next to each other. Too often by chance
    for a mark, but where a row ends soon behind them, the next one tells.
    """
    first, second = f"{secret[0]:02x}", f"{secret[1]:02x}"
    found = {f"{first}{between}{second}" for between in ("", *_SEPARATORS)}
    return {each.encode() for each in found | {f"{second}{first}"}}


def row_begins(secret: bytes) -> set[bytes]:
    """What the first bytes of a secret stand as in a row, in the dumps whose digits are grouped:
    so long until a mark tells more. One that ends in the middle of a word of the other order
    is not among them beyond that word.
    """
    pairs = [f"{byte:02x}" for byte in secret[:_BEGIN_BYTES]]
    found = {separator.join(pairs) for separator in _SEPARATORS}
    for size in (2, 4):
        for first in range(1, size + 1):
            groups = [pairs[:first]]
            groups += [pairs[at : at + size] for at in range(first, len(pairs), size)]
            found |= {mark.join("".join(group) for group in groups) for mark in (" ", " 0x")}
            turned = groups if first == size else groups[:1]
            turned = [group for group in turned if group is groups[0] or len(group) == size]
            found |= {
                mark.join("".join(reversed(group)) for group in turned) for mark in (" ", " 0x")
            }
    return {begin.encode() for begin in found}


@dataclass(slots=True)
class _Row:
    """One row of a dump.

    Attributes:
        values: its bytes, in the order of memory.
        spans: where the two digits of each stand.
        text: where its column of text begins; None where it has none.
        line: the number of its line.
        column: where its first digits stand in it.
    """

    values: bytes
    spans: list[Span]
    text: int | None
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Found:
    """What is found in rows.

    Attributes:
        spans: what is to be masked, in order.
        hold: from where on only what follows will tell; the length of the data where all is told.
        is_open: whether what follows belongs to rows that show a secret, or may show one.
    """

    spans: list[Span]
    hold: int
    is_open: bool = False


def find_in_rows(data: bytes, secrets: Iterable[bytes]) -> Found:
    """Look for `secrets` in the rows of `data`, in small letters; its last line may go on."""
    lines = data.split(b"\n")
    spans: set[Span] = set()
    hold = _NOWHERE
    for rows in _readings(lines):
        for group in _groups(rows):
            for secret in secrets:
                begin = _look(group, secret, len(lines) - 1, spans)
                hold = min(hold, begin)
    # A column of text that itself begins with a bar seems to begin, and to end, one too late.
    spans = {(start, end) for start, end in spans if data[start:end] not in (b"\r", b"\n")}
    return Found(_joined(spans, data), min(hold, len(data)), hold != _NOWHERE)


def _look(rows: Sequence[_Row], secret: bytes, last_line: int, spans: set[Span]) -> int:
    """Add what is to be masked to `spans`; where to hold back from."""
    values = b"".join(row.values for row in rows)
    places = [(row, index) for row in rows for index in range(len(row.values))]
    hold = _NOWHERE
    at = values.find(secret)
    while at >= 0:
        found = places[at : at + len(secret)]
        for row, index in found:
            spans.add(row.spans[index])
            if row.text is not None:
                spans.add((row.text + index, row.text + index + 1))
        if found[-1][0].line == last_line:  # its column of text is still to come
            row = found[-1][0]
            hold = min(hold, max(row.spans[index][1] for each, index in found if each is row))
        at = values.find(secret, at + 1)
    if rows[-1].line + _LINES_BETWEEN + 1 >= last_line:
        hold = min(hold, _begun(values, places, secret))
    if rows[-1].line == last_line:
        # What has come of it may be its offset alone, which looks like a word of the dump.
        above = len(values) - len(rows[-1].values)
        hold = min(hold, _begun(values[:above], places, secret))
    return hold


def _begun(values: bytes, places: Sequence[tuple[_Row, int]], secret: bytes) -> int:
    """Where the digits begin of the part of `secret` that `values` end in."""
    for size in range(min(len(secret) - 1, len(values)), 0, -1):
        if values.endswith(secret[:size]):
            row, index = places[len(values) - size]
            return min(span[0] for span in row.spans[index:])
    return _NOWHERE


def _groups(rows: Sequence[_Row]) -> Iterator[list[_Row]]:
    """Rows that belong together."""
    group: list[_Row] = []
    for row in rows:
        if group and row.line - group[-1].line > _LINES_BETWEEN + 1:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _readings(lines: Sequence[bytes]) -> Iterator[list[_Row]]:
    """All ways to read the lines as rows: in bytes, or in words of either order; the first word
    may be an offset."""
    yield _rows(lines, _ONE_RUN)
    for width, runs in _RUNS:
        found = _rows(lines, runs)
        yield found
        size = width // 2
        if size == 1:
            continue
        yield [_turned(row, size) for row in found]
        cut = [_without_first(row, size) for row in found if len(row.values) > size]
        if cut:
            yield cut
            yield [_turned(row, size) for row in cut]


def _rows(lines: Sequence[bytes], runs: re.Pattern[bytes]) -> list[_Row]:
    found: list[_Row] = []
    start = 0
    for number, line in enumerate(lines):
        ended = line + b"\n" if number < len(lines) - 1 else line
        row = _read(ended, start, number, runs, found[-1] if found else None)
        if row is not None:
            found.append(row)
        start += len(line) + 1
    return found


def _read(
    line: bytes, start: int, number: int, pattern: re.Pattern[bytes], above: _Row | None
) -> _Row | None:
    """The line, with its end where it has come, as a row; None where it is none."""
    runs = list(pattern.finditer(line))
    if not runs and above is not None:
        # all that is left for the last row may be less than a group
        runs = [each for each in _SHORT_RUN.finditer(line) if abs(above.column - each.start()) <= 1]
    if not runs:
        return None
    # an offset before the digits may look like one of them
    run = max(runs, key=lambda each: (each.end() - each.start(), each.start()))
    digits = [match.span() for match in _PAIR.finditer(line, run.start(), run.end())]
    is_short = len(digits) * 2 < _FEW_DIGITS
    if is_short and (above is None or abs(above.column - digits[0][0]) > 1):
        return None
    values = bytes(int(line[begin:end], 16) for begin, end in digits)
    text = _text_column(line, run.end(), len(values))
    return _Row(
        values,
        [(start + begin, start + end) for begin, end in digits],
        None if text is None else start + text,
        number,
        digits[0][0],
    )


def _text_column(line: bytes, end: int, count: int) -> int | None:
    """Where the characters of `count` bytes stand behind their digits, between bars or without."""
    is_whole, line = line.endswith(b"\n"), line.rstrip(b"\r\n")
    bar = line.find(b"|", end)
    if bar >= 0 and not line[end:bar].strip():
        # the first of the characters may be a bar itself
        return bar if is_whole and len(line) == bar + count else bar + 1
    begin = len(line) - count
    is_column = begin > end and not line[end:begin].strip() and b"\x1b" not in line[begin:]
    return begin if is_column else None


def _turned(row: _Row, size: int) -> _Row:
    """The same with the bytes of each word in the other order."""
    order = [
        index
        for word in range(0, len(row.values), size)
        for index in range(min(word + size, len(row.values)) - 1, word - 1, -1)
    ]
    values = bytes(row.values[index] for index in order)
    spans = [row.spans[index] for index in order]
    return _Row(values, spans, row.text, row.line, row.column)


def _without_first(row: _Row, size: int) -> _Row:
    return _Row(row.values[size:], row.spans[size:], row.text, row.line, row.column)


def _joined(spans: set[Span], data: bytes) -> list[Span]:
    """Spans in order; those of bytes that stand next to each other as one."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and _BETWEEN.fullmatch(data, joined[-1][1], start):
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
