# SPDX-License-Identifier: GPL-3.0-or-later
"""The CSV dialect of Espressif's NVS generator, read strictly: every bad row in one run.

::

    key,type,encoding,value
    evcfg,namespace,,
    cp_id,data,string,CP-0001
    ca,file,binary,ca.der

UTF-8 with or without BOM, LF or CRLF; blank lines and lines that begin with # are skipped.
Source of what that generator takes in silence: its own runs (docs/nvs.md has the table).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from evtool.protocol.nvs import NvsEntry
from evtool.protocol.nvs_page import KEY_BYTES
from evtool.provision.foreign_text import foreign_kind
from evtool.provision.nvs_value import (
    ENCODINGS,
    is_fill,
    kind_of,
    read_value,
    unknown_encoding,
)

COLUMNS = ("key", "type", "encoding", "value")
_TYPES = ("namespace", "data", "file")
_MAX_NAMESPACES = 254
_KEY = re.compile(r"[\x20-\x7e]+")


@dataclass(frozen=True, slots=True)
class CsvFault:
    """One thing that is wrong.

    Attributes:
        line: counted from 1; a quoted value that holds line ends counts where it begins.
        column: the name of the column, or "" where the whole row is meant.
        rule: what is wrong and what would be right; never a value.
        previous: the line that said the same before, or None.
    """

    line: int
    column: str
    rule: str
    previous: int | None = None


@dataclass(frozen=True, slots=True)
class CsvContent:
    """The entries in their order, and everything that is wrong: use them only if nothing is.

    Attributes:
        lines: the line of each entry.
    """

    entries: tuple[NvsEntry, ...]
    lines: tuple[int, ...]
    faults: tuple[CsvFault, ...]


def read_nvs_csv(data: bytes, read_file: Callable[[str], bytes]) -> CsvContent:
    """The keys that a CSV file declares.

    Args:
        data: the file's bytes, whatever they are.
        read_file: gives the bytes of a file that a row of type `file` names; OSError where
            it cannot.
    """
    reader = _Reader(read_file)
    text = _decode(data)
    if isinstance(text, CsvFault):
        return CsvContent((), (), (text,))
    reader.read(text)
    faults = sorted(reader.faults, key=lambda fault: fault.line)
    return CsvContent(tuple(reader.entries), tuple(reader.lines), tuple(faults))


def _decode(data: bytes) -> str | CsvFault:
    """The text without BOM and with LF, or where it is not UTF-8."""
    if foreign := foreign_kind(data):
        return CsvFault(1, "", f"the file is {foreign}; save it as CSV UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        body = error.object
        line = body.count(b"\n", 0, error.start) + 1
        at = error.start - body.rfind(b"\n", 0, error.start)
        return CsvFault(
            line, "", f"byte {at} of the line is not UTF-8 (Latin-1?); save the file as CSV UTF-8"
        )
    at = text.find("\0")
    if at >= 0:
        return CsvFault(text.count("\n", 0, at) + 1, "", "holds a NUL byte; save it as CSV UTF-8")
    return io.StringIO(text, newline=None).getvalue()


@dataclass(slots=True)
class _Lines:
    """Gives `csv.reader` its lines, and knows where the record that it reads began."""

    rest: Iterator[tuple[int, str]]
    first: int = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        for number, line in self.rest:
            if self.first:
                return line  # it goes on inside quotes, where # is no comment
            if line.strip() and not line.startswith("#"):
                self.first = number
                return line
        raise StopIteration


@dataclass(slots=True)
class _Reader:
    read_file: Callable[[str], bytes]
    entries: list[NvsEntry] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    faults: list[CsvFault] = field(default_factory=list)
    # namespace -> its line; (namespace, key) -> its line
    namespaces: dict[str, int] = field(default_factory=dict)
    keys: dict[tuple[str, str], int] = field(default_factory=dict)
    namespace: str | None = None
    used: bool = True
    missing_told: bool = False

    def fault(self, line: int, column: str, rule: str, previous: int | None = None) -> None:
        self.faults.append(CsvFault(line, column, rule, previous))

    def read(self, text: str) -> None:
        lines = _Lines(iter(enumerate(io.StringIO(text), start=1)))
        order: dict[str, int] | None = None
        for number, cells in self._records(lines):
            if order is None:
                order = self._header(number, cells)
                if order is None:
                    return
            elif len(cells) > len(order):
                self.used = True
                self.fault(
                    number, "value", f"{len(cells)} cells in a row of {len(order)}; "
                    'put a value that holds a comma into quotes: "a,b"',
                )  # fmt: skip
            else:
                row = {name: cells[at] if at < len(cells) else None for name, at in order.items()}
                self._row(number, row)
        if order is None and not self.faults:
            self.fault(1, "", f"the file is empty; its first line must be {','.join(COLUMNS)}")
        elif order is not None and not self.keys and not self.faults:
            self.fault(1, "", "the file holds no key")
        self._end_namespace()

    def _records(self, lines: _Lines) -> Iterator[tuple[int, list[str]]]:
        records = csv.reader(lines, strict=True)
        while True:
            lines.first = 0
            try:
                cells = next(records)
            except StopIteration:
                return
            except csv.Error as error:
                said = str(error)
                if "unexpected end" in said:
                    said = "a quote is opened and never closed"
                elif "expected after" in said:
                    said = "something stands behind a closing quote; inside quotes it is doubled"
                elif "field limit" in said:
                    said = "a cell is longer than 131072 characters; use a row of type file"
                self.used = True
                self.fault(lines.first or 1, "", said)
                continue
            yield lines.first, cells

    def _header(self, number: int, cells: list[str]) -> dict[str, int] | None:
        header = ",".join(COLUMNS)
        told = len(self.faults)
        if len(cells) == 1 and any(mark in cells[0] for mark in ";\t|"):
            mark = next(mark for mark in ";\t|" if mark in cells[0])
            self.fault(number, "", f"the columns are separated by {mark!r}; save with commas")
            return None
        if not set(cells) & set(COLUMNS):
            self.fault(number, "", f"names no column; the first line must be {header}")
            return None
        for name in COLUMNS:
            if name not in cells:
                self.fault(number, name, f"no such column; the first line must be {header}")
        for name in dict.fromkeys(cells):
            if name not in COLUMNS:
                # Not repeated: in a file without a line of columns it may be a value.
                at = cells.index(name) + 1
                self.fault(number, "", f"column {at} is unknown; the first line must be {header}")
            elif cells.count(name) > 1:
                self.fault(number, name, f"the column stands there {cells.count(name)} times")
        if len(self.faults) > told:
            return None
        return {name: at for at, name in enumerate(cells)}

    def _row(self, number: int, row: dict[str, str | None]) -> None:
        key, row_type = row["key"] or "", row["type"]
        key_is_good = self._check_key(number, key)
        if row_type not in _TYPES:
            near = (row_type or "").strip().lower()
            hint = f"; is {near} meant?" if near in _TYPES else ""
            named = "unknown type" if row_type else "no type"
            self.fault(number, "type", f"{named}: one of {', '.join(_TYPES)}{hint}")
        if row_type == "namespace":
            self._namespace(number, key, row)
            return
        self.used = True
        previous = self._declare(number, key) if key_is_good else None
        encoding = row["encoding"] or ""
        if encoding not in ENCODINGS and not is_fill(encoding):
            rule = unknown_encoding(encoding) if encoding else "no encoding"
            self.fault(number, "encoding", rule)
            return
        if row["value"] is None:
            self.fault(number, "value", "the cell is missing; an empty string is `k,data,string,`")
            return
        if row_type in _TYPES:
            self._value(number, key, row, previous is None and key_is_good)

    def _check_key(self, number: int, key: str) -> bool:
        rule = ""
        if not key:
            rule = "empty; a key or namespace has 1 to 15 ASCII characters"
        elif not key.isascii():
            rule = f"not ASCII ({len(key.encode())} bytes); 1 to {KEY_BYTES} ASCII characters"
        elif len(key) > KEY_BYTES:
            rule = f"{len(key)} characters; at most {KEY_BYTES}"
        elif not _KEY.fullmatch(key):
            rule = "holds a control character"
        elif key != key.strip():
            rule = "has blanks around it"
        if rule:
            self.fault(number, "key", rule)
        return not rule

    def _declare(self, number: int, key: str) -> int | None:
        """Note the key; the line of an earlier one of the same name, or None."""
        if self.namespace is None:
            if not self.missing_told:
                rule = "no namespace yet: a row `NAME,namespace,,` must come first"
                self.fault(number, "key", rule)
            self.missing_told = True
            return None
        previous = self.keys.setdefault((self.namespace, key), number)
        if previous == number:
            return None
        self.fault(number, "key", f"{self.namespace}.{key} is there already", previous)
        return previous

    def _namespace(self, number: int, name: str, row: dict[str, str | None]) -> None:
        self._end_namespace()
        for column in ("encoding", "value"):
            if row[column]:
                self.fault(number, column, "must be empty in a row of type namespace")
        previous = self.namespaces.setdefault(name, number)
        self.namespace, self.used = name, previous != number
        if previous != number:
            self.fault(
                number, "key", f"namespace {name} is there already; put its rows together", previous
            )
        elif len(self.namespaces) > _MAX_NAMESPACES:
            self.fault(number, "key", f"more than {_MAX_NAMESPACES} namespaces")

    def _end_namespace(self) -> None:
        if not self.used and self.namespace:
            line = self.namespaces[self.namespace]
            self.fault(line, "key", f"namespace {self.namespace} holds no key")
        self.used = True

    def _value(self, number: int, key: str, row: dict[str, str | None], is_wanted: bool) -> None:
        encoding, cell = row["encoding"] or "", row["value"] or ""
        is_file = row["type"] == "file"
        try:
            data = self._file(cell) if is_file else cell.encode()
            value = read_value(encoding, data, from_file=is_file)
        except ValueError as error:
            self.fault(number, "value", str(error))
            return
        if is_wanted and self.namespace is not None:
            self.entries.append(NvsEntry(self.namespace, key, kind_of(encoding), value))
            self.lines.append(number)

    def _file(self, name: str) -> bytes:
        if not name:
            raise ValueError("empty; a row of type file names one")
        try:
            return self.read_file(name)
        except OSError as error:
            raise ValueError(f"cannot read {name}: {error.strerror or error}") from error
