# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet's CSV file, read line by line: rows with their places, and what is wrong with them.

A value never holds a line end, so each line of the file is one row: a quote that is not
closed spoils its own line and no other, and the file may be as long as it likes.

UTF-8 with or without BOM; LF, CRLF or CR; cells separated by comma, semicolon, tab or |, found
out from the first line, from Excel's line `sep=;`, or named.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from evtool.provision.fleet.columns import COLUMNS, column_of, meant
from evtool.provision.fleet.finding import Finding, shown
from evtool.provision.fleet.order import Where
from evtool.provision.foreign_text import foreign_kind

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "|"}
LONGEST_LINE = 256 * 1024
_SEP_LINE = re.compile(r'"?sep=(.)"?\Z', re.IGNORECASE)
_BOM = b"\xef\xbb\xbf"
_SAVE = "save it as CSV UTF-8"


class LineStream(Protocol):
    """A binary file, read line by line."""

    def readline(self, size: int = -1, /) -> bytes:
        """At most `size` bytes up to and with the next line feed; none at the end."""


@dataclass(frozen=True, slots=True)
class Row:
    """One unit as it was written down.

    Attributes:
        number: from 1, in the order of the file.
        values: by column; what was left empty is not there.
        lines: where a value stands in a line of its own (TOML).
        header: where a CSV file names its columns; None in TOML.
        columns: those that it names.
    """

    where: Where
    number: int
    values: Mapping[str, object]
    lines: Mapping[str, int] = field(default_factory=dict)
    header: Where | None = None
    columns: frozenset[str] = frozenset()

    def place(self, column: str) -> Where:
        """Where the value of `column` stands."""
        if self.header is not None and column not in self.columns:
            return self.header
        line = self.lines.get(column)
        return self.where if line is None else Where(self.where.file, line)


@dataclass(slots=True)
class CsvRows:
    """Iterating gives the rows, and findings in place of those that cannot be read.

    Args:
        file: the file's name, for messages.
        stream: its bytes.
        variables: names of columns beside the known ones.
        delimiter: one of DELIMITERS; None to find it out.

    Attributes:
        separator: the delimiter, once the first row has been read.
        columns: as the first line has them, once it has been read.
    """

    file: str
    stream: LineStream
    variables: frozenset[str] = frozenset()
    delimiter: str | None = None
    separator: str = ""
    columns: tuple[str, ...] = ()
    _named: frozenset[str] = frozenset()
    _header: Where | None = None
    _number: int = 0

    def __iter__(self) -> Iterator[Row | Finding]:
        told = False
        for number, line in self._lines():
            where = Where(self.file, number)
            if isinstance(line, _Unreadable):
                told = True
                yield Finding(where, "", line.rule)
                if line.ends or self._header is None:
                    return
                self._number += 1
                continue
            if self._header is None:
                findings = self._first_lines(where, line)
                yield from findings
                if findings:
                    return
            else:
                yield from self._row(where, line)
        if self._header is None and not told:
            yield Finding(
                Where(self.file, 1), "", "the file is empty; its first line names the columns"
            )
        elif self._number == 0 and not told:
            yield Finding(Where(self.file, 1), "", "the file holds no unit")

    def _read_line(self) -> bytes | _Unreadable:
        try:
            return self.stream.readline(LONGEST_LINE)
        except OSError as error:  # such as a memory stick that was pulled out
            return _Unreadable(f"cannot be read: {error.strerror or error}", ends=True)

    def _lines(self) -> Iterator[tuple[int, str | _Unreadable]]:
        """Lines with their numbers; not the blank ones and those that begin with #."""
        number = 0
        while raw := self._read_line():
            if isinstance(raw, _Unreadable):
                yield number + 1, raw
                return
            if number == 0:
                if foreign := foreign_kind(raw):
                    yield 1, _Unreadable(f"the file is {foreign}; {_SAVE}", ends=True)
                    return
                raw = raw.removeprefix(_BOM)
            if len(raw) >= LONGEST_LINE:
                rule = f"the line is longer than {LONGEST_LINE} bytes; is this a CSV file?"
                yield number + 1, _Unreadable(rule, ends=True)
                return
            for part in _split_lines(raw):
                number += 1
                if not part.strip() or part.startswith(b"#"):
                    continue
                line = _decode(part, is_first=number == 1)
                yield number, line
                if isinstance(line, _Unreadable) and line.ends:
                    return

    def _first_lines(self, where: Where, line: str) -> list[Finding]:
        """Take in `sep=` or the names of the columns; what is wrong with them."""
        found = _SEP_LINE.match(line)
        if found and not self.separator:
            if self.delimiter not in (None, found[1]):
                rule = f"says {found[1]!r}, and --delimiter another; leave one of them out"
                return [Finding(where, "", rule)]
            if found[1] not in DELIMITERS:
                return [Finding(where, "", f"{found[1]!r} separates no cells: use , ; tab or |")]
            self.separator = found[1]
            return []
        if not self.separator:
            separator = self.delimiter or self._guess(line)
            if separator is None:
                rule = "what separates the cells is not clear; name it with --delimiter"
                return [Finding(where, "", rule)]
            self.separator = separator
        cells = self._cells(line)
        if isinstance(cells, str):
            return [Finding(where, "", cells)]
        self._header = where
        self.columns = tuple(column_of(cell) for cell in cells)
        self._named = frozenset(self.columns) - {""}
        return [Finding(where, column, rule) for column, rule in self._bad_columns(cells)]

    def _guess(self, line: str) -> str | None:
        """What separates the names of the columns; None where two are as likely."""
        known = self._known()
        counts = {
            each: sum(column_of(name) in known for name in line.replace('"', "").split(each))
            for each in DELIMITERS
            if each in line
        }
        if not counts:
            return ","
        best = max(counts.values())
        likely = [each for each, count in counts.items() if count == best]
        return likely[0] if len(likely) == 1 else None

    def _known(self) -> set[str]:
        return set(COLUMNS) | self.variables

    def _bad_columns(self, cells: Sequence[str]) -> Iterator[tuple[str, str]]:
        known = self._known()
        seen: dict[str, str] = {}
        if not known.intersection(self.columns):
            # Nothing else is repeated: it may be a row, and hold what must not be shown.
            meant_here = [name for name in map(str.lower, cells) if column_of(name) in known]
            rule = "the first line must name the columns: " + ", ".join(COLUMNS)
            if meant_here:
                rule = f"the columns' names have small letters alone: {', '.join(meant_here)}"
            yield "", rule
            return
        for name, column in zip(cells, self.columns, strict=True):
            if not column:
                continue
            if column not in known:
                yield shown(name)[1:-1], "unknown column" + (
                    meant(name, known) or f"; it is none of {', '.join(COLUMNS)}, and the "
                    "template has no {...} of this name"
                )  # fmt: skip
            elif column in seen:
                other = f" (as {seen[column]})" if seen[column] != name else ""
                yield name, f"the column stands there twice{other}"
            seen.setdefault(column, name)

    def _row(self, where: Where, line: str) -> Iterator[Row | Finding]:
        cells = self._cells(line)
        if isinstance(cells, str):
            self._number += 1
            yield Finding(where, "", cells)
            return
        if not any(cells):
            return  # a spreadsheet's empty row
        self._number += 1
        names = self.columns
        if len(cells) != len(names):
            hint = f'; a value that holds {self._name()} stands in quotes: "a{self.separator}b"'
            yield Finding(
                where, "", f"cells: {len(cells)}, columns: {len(names)}"
                + (hint if len(cells) > len(names) else "; an empty cell needs its separator too"),
            )  # fmt: skip
            return
        for at, (name, cell) in enumerate(zip(names, cells, strict=True), start=1):
            if cell and not name:
                yield Finding(where, "", f"cell {at} holds something, and its column has no name")
                return
        values = {name: cell for name, cell in zip(names, cells, strict=True) if cell}
        yield Row(where, self._number, values, header=self._header, columns=self._named)

    def _name(self) -> str:
        name = DELIMITERS[self.separator]
        return name if name == "|" else f"a {name}"

    def _cells(self, line: str) -> list[str] | str:
        """The cells of one line, or what is wrong with its quotes."""
        try:
            return next(csv.reader([line], delimiter=self.separator, strict=True))
        except csv.Error as error:
            if "unexpected end" in str(error):
                return "a quote is opened and not closed; a value holds no line end"
            if "field larger" in str(error):
                return "a cell is longer than 131072 characters"
            return "something stands behind a closing quote; inside quotes a quote is doubled"


@dataclass(frozen=True, slots=True)
class _Unreadable:
    rule: str
    ends: bool = False


def _split_lines(raw: bytes) -> list[bytes]:
    """One line, or several where an old Macintosh ended them with CR alone."""
    body = raw.removesuffix(b"\n").removesuffix(b"\r")
    return body.split(b"\r")


def _decode(raw: bytes, *, is_first: bool) -> str | _Unreadable:
    if b"\0" in raw:
        rule = f"holds a NUL byte (UTF-16 without its mark?); {_SAVE}"
        return _Unreadable(rule, ends=is_first)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        at = error.start + 1
        rule = f"byte {at} of the line is not UTF-8 (Latin-1, Windows-1252?); {_SAVE}"
        return _Unreadable(rule)
