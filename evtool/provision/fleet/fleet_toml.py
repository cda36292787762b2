# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet's TOML file: the template, the variables, and the units or the CSV file they are in.

::

    units = "units.csv"            # or [[unit]] tables below
    delimiter = ";"                # where it is not plain from the CSV file
    shared = ["wifi_passphrase"]   # secrets that several units may have

    [template]
    identity = "CP-{serial}"
    authorization_key = { generate = true }

    [variables]
    site = "north"

    [[unit]]
    serial_number = "SN-0001"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from evtool.provision.fleet.columns import COLUMNS, NUMBER, column_of, meant
from evtool.provision.fleet.csv_rows import DELIMITERS, Row
from evtool.provision.fleet.finding import Finding, shown
from evtool.provision.fleet.order import SECRET_NAMES, Where
from evtool.provision.fleet.template import NAME, Given, Template

_KEYS = ("units", "delimiter", "shared", "template", "variables", "unit")
_HEADER = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.-]+)\s*\]")
_KEY = re.compile(r"""^\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*(?:\.[^=]*)?=""")
_LONG_TEXT = re.compile(r"\"\"\"|\'\'\'")


@dataclass(frozen=True, slots=True)
class FleetToml:
    """What a file says; use it only where no finding is a problem.

    Attributes:
        is_readable: False where the file is no TOML at all.
        units: the CSV file's name as it was written; None where the units stand here.
        delimiter: of the CSV file, or None.
        rows: the units that stand here, and what is wrong with their keys.
        findings: about everything but units.
    """

    template: Template
    units: str | None
    delimiter: str | None
    rows: tuple[Row | Finding, ...]
    findings: tuple[Finding, ...]
    is_readable: bool = True


def read_fleet_toml(file: str, data: bytes, folder: str) -> FleetToml:
    """The template and units that `data` describes.

    Args:
        file: the file's name, for messages.
        folder: of the file: names of files in it are relative to it.
    """
    try:
        text = data.decode("utf-8-sig")
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return _refused(file, line, "is not UTF-8; save the file as UTF-8")
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        said = re.sub(r" \(at .*\)\Z", "", str(error))
        # The message may quote one character of the file, and never more.
        return _refused(file, line, f"not valid TOML: {said}")
    except RecursionError:
        return _refused(file, 1, "lists within lists within lists: nothing here is that deep")
    return _Reader(file, folder, document, _Lines.of(text)).read()


def _refused(file: str, line: int, rule: str) -> FleetToml:
    finding = Finding(Where(file, line), "", rule)
    return FleetToml(Template(), None, None, (), (finding,), is_readable=False)


@dataclass(slots=True)
class _Lines:
    """Where tables and keys stand; exact for the plain layout that people write."""

    keys: dict[tuple[str, str], int] = field(default_factory=dict)
    units: list[tuple[int, dict[str, int]]] = field(default_factory=list)

    @classmethod
    def of(cls, text: str) -> _Lines:
        lines = cls()
        table = ""
        inside = ""
        for number, line in enumerate(text.split("\n"), start=1):
            marks: list[str] = _LONG_TEXT.findall(line)
            was_inside, inside = inside, _after(marks, inside)
            if was_inside:
                continue
            header = _HEADER.match(line)
            if header:
                table = header[2]
                if header[1] == "[[" and table == "unit":
                    lines.units.append((number, {}))
                lines.keys.setdefault((table, ""), number)
            elif found := _KEY.match(line):
                name = found[1] or found[2] or found[3] or ""
                if table == "unit" and lines.units:
                    lines.units[-1][1].setdefault(column_of(name), number)
                else:
                    lines.keys.setdefault((table, name), number)
        return lines


def _after(marks: list[str], inside: str) -> str:
    """Which long text is open after a line with these marks."""
    for mark in marks:
        inside = "" if inside == mark else inside or mark
    return inside


@dataclass(slots=True)
class _Reader:
    file: str
    folder: str
    document: Mapping[str, object]
    lines: _Lines
    findings: list[Finding] = field(default_factory=list)

    def read(self) -> FleetToml:
        for key in self.document:
            if key not in _KEYS:
                rule = f"unknown key; it is none of {', '.join(_KEYS)}" + meant(key, _KEYS)
                self._problem("", key, rule)
        values = {name: given for name, given in self._table("template") if self._is_column(name)}
        variables = dict(self._table("variables"))
        for name in variables:
            self._check_variable(name)
        template = Template(values, variables, self._shared())
        units = self._text("units")
        rows = tuple(self._rows(template))
        if units is not None and rows:
            self._problem("", "units", "names a file, and there are [[unit]] tables; one of both")
        return FleetToml(template, units, self._delimiter(), rows, tuple(self.findings))

    def _table(self, table: str) -> Iterator[tuple[str, Given]]:
        values = self.document.get(table, {})
        if not isinstance(values, dict):
            self._problem("", table, f"must be a table: [{table}]")
            return
        for key, value in values.items():
            name = column_of(key)
            if name != key and name in values:
                self._problem(table, key, f"stands there twice (as {name})")
                continue
            if table == "variables" and (
                isinstance(value, bool) or not isinstance(value, str | int)
            ):
                self._problem(table, key, "must be a text or a number")
                continue
            # The {number} of a range is filled when it is drawn.
            literal = name == "serial_number" and isinstance(value, dict)
            yield name, Given(value, self._where(table, key), self.folder, literal=literal)

    def _is_column(self, name: str) -> bool:
        if name not in COLUMNS:
            rule = f"unknown column; it is none of {', '.join(COLUMNS)}" + meant(name, COLUMNS)
            self._problem("template", name, rule)
        return name in COLUMNS

    def _check_variable(self, name: str) -> None:
        if not NAME.match(name):
            self._problem("variables", name, "a name has small letters, digits and _ only")
        elif name in COLUMNS or name == NUMBER:
            where = "[template]" if name in COLUMNS else "evtool itself"
            self._problem("variables", name, f"has a meaning already: it belongs to {where}")

    def _shared(self) -> frozenset[str]:
        names = self.document.get("shared", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self._problem("", "shared", 'must be a list of names: ["wifi_passphrase"]')
            return frozenset()
        for name in names:
            if column_of(name) not in SECRET_NAMES:
                self._problem("", "shared", f"{shown(name)} is none of {', '.join(SECRET_NAMES)}")
        return frozenset(map(column_of, names))

    def _text(self, key: str) -> str | None:
        value = self.document.get(key)
        if value is None or (isinstance(value, str) and value and "\0" not in value):
            return value
        self._problem("", key, "must be a text that is not empty")
        return None

    def _delimiter(self) -> str | None:
        value = self._text("delimiter")
        if value is not None and value not in DELIMITERS:
            self._problem("", "delimiter", "must be one of , ; tab (\\t) and |")
            return None
        return value

    def _rows(self, template: Template) -> Iterator[Row | Finding]:
        units = self.document.get("unit", [])
        if not isinstance(units, list) or not all(isinstance(unit, dict) for unit in units):
            self._problem("", "unit", "units are written as [[unit]] tables")
            return
        known = set(COLUMNS) | template.names()
        if len(self.lines.units) != len(units):
            self._problem("", "unit", "each unit begins with [[unit]] in a line of its own")
            return
        for number, (unit, (line, keys)) in enumerate(zip(units, self.lines.units, strict=True), 1):
            values: dict[str, object] = {}
            for key, value in unit.items():
                name = column_of(key)
                where = Where(self.file, keys.get(name, line))
                if name not in known:
                    rule = f"unknown key; it is no column, and no {{{key}}} is in the template"
                    yield Finding(where, key, rule + meant(key, known))
                elif name in values:
                    yield Finding(where, key, f"stands there twice (as {name})")
                elif value != "":
                    values[name] = value
            yield Row(Where(self.file, line), number, values, keys)

    def _where(self, table: str, key: str) -> Where:
        lines = self.lines.keys
        return Where(self.file, lines.get((table, key)) or lines.get((table, "")) or 1)

    def _problem(self, table: str, key: str, rule: str) -> None:
        self.findings.append(Finding(self._where(table, key), key, rule))
