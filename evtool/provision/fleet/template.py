# SPDX-License-Identifier: GPL-3.0-or-later
"""What all units of a fleet have in common, with {names} for what each has of its own.

`{serial_number}` (or `{serial}`) is the unit's value of that column, `{n}` the unit's number
in its file, `{n:05}` the same with zeros before it, `{{` and `}}` are the braces themselves.
A row's own values are taken as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from evtool.provision.fleet.columns import COLUMNS, NUMBER, column_of
from evtool.provision.fleet.csv_rows import Row
from evtool.provision.fleet.finding import shown
from evtool.provision.fleet.order import Where

_PIECE = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)(?::0?([1-9][0-9]?))?\}|[{}]")
NAME = re.compile(r"[a-z_][a-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class Given:
    """A value that stands in a template or a project.

    Attributes:
        value: text, integer, flag, or what a reference is written as.
        where: its place.
        folder: the folder that a file's name in it is relative to.
        literal: it holds no {names}.
    """

    value: object
    where: Where
    folder: str
    literal: bool = False

    def is_for_each(self) -> bool:
        """It has {names} in it, so that it is another one for each unit."""
        return not self.literal and any(True for _ in _names(self.value))


@dataclass(frozen=True, slots=True)
class Template:
    """What is the same for all units.

    Attributes:
        values: by column.
        variables: what a {name} stands for where the row has nothing of that name.
        shared: secrets that several units may have.
    """

    values: Mapping[str, Given] = field(default_factory=dict)
    variables: Mapping[str, Given] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()

    def names(self) -> frozenset[str]:
        """The columns that a CSV file may have beside those of every unit."""
        found = set(self.variables)
        for given in (*self.values.values(), *self.variables.values()):
            if not given.literal:
                found.update(_names(given.value))
        return frozenset(found - set(COLUMNS) - {NUMBER})


def _names(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _names(each)
    elif isinstance(value, str):
        for found in _PIECE.finditer(value):
            if found[1]:
                yield column_of(found[1])


@dataclass(slots=True)
class Expansion:
    """Fills the {names} of a template for one row.

    Attributes:
        used: the names that were filled with something of the row's own.
        missing: the name that had no value.
    """

    template: Template
    row: Row
    used: dict[str, str] = field(default_factory=dict)
    missing: str = ""
    _open: list[str] = field(default_factory=list)

    def fill(self, text: str) -> str:
        """`text` with its {names} filled.

        Raises:
            ValueError: a name that nothing is known of, a brace alone, or a circle.
        """
        if "{" not in text and "}" not in text:
            return text
        return _PIECE.sub(self._piece, text)

    def _piece(self, found: re.Match[str]) -> str:
        if found[0] in ("{{", "}}"):
            return found[0][0]
        if not found[1]:
            raise ValueError(
                f"a {found[0]} alone; {{name}} is filled, {{{{ and }}}} are braces themselves"
            )
        value = self._value(column_of(found[1]))
        if found[2]:
            if not value.isascii() or not value.isdigit():
                raise ValueError(f"{found[0]} needs a number, not {shown(value)}")
            value = value.zfill(int(found[2]))
        return value

    def _value(self, name: str) -> str:
        if name == NUMBER:
            self.used[name] = str(self.row.number)
            return self.used[name]
        column = COLUMNS.get(name)
        if column is not None and column.kind == "secret":
            raise ValueError(f"{{{name}}} is a secret, and has no place in another value")
        own = self.row.values.get(name)
        if own is not None:
            own = _filled(name, own)
            if isinstance(own, bool) or not isinstance(own, str | int):
                raise ValueError(f"{{{name}}}: the row's value must be a text or a number")
            self.used[name] = str(own)
            return str(own)
        if name in self._open:
            circle = " -> ".join([*self._open, name])
            raise ValueError(f"{{{name}}} stands for itself ({circle})")
        given = self.template.variables.get(name) or self.template.values.get(name)
        if given is None:
            self.missing = name
            raise ValueError(
                f"{{{name}}} has no value: neither the row nor [variables] says what it stands for"
            )
        text = str(_filled(name, given.value))
        if given.literal:
            return text
        self._open.append(name)
        try:
            return self.fill(text)
        finally:
            self._open.pop()


def _filled(name: str, value: object) -> object:
    if column_of(name) == "serial_number" and isinstance(value, dict):
        raise ValueError(f"{{{name}}} is drawn when a board becomes the unit, so nothing holds it")
    return value


def no_path(used: Mapping[str, str]) -> None:
    """ValueError where a filled name would lead a file's name into another folder."""
    for name, value in used.items():
        if "/" in value or "\\" in value or "\0" in value or value in (".", ".."):
            raise ValueError(
                f"{{{name}}} is {shown(value)} here; in a file's name it holds no / and is not .."
            )
