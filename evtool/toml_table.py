# SPDX-License-Identifier: GPL-3.0-or-later
"""A TOML file read with every problem named at once, each with file and line.

`tomllib` keeps no positions, so the lines are found again by a scan for `[table]` and
`key =`, which is exact for the plain layout that evtool writes and close for any other.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from evtool.errors import ConfigError

_TABLE = re.compile(r"^\s*\[([^\[\]]+)\]\s*(#.*)?$")
_KEY = re.compile(r"""^\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*(?:\.[^=]*)?=""")
_MISSING = object()


class TomlTables:
    """The tables of one TOML file, read key by key; `finish` raises what was wrong.

    Args:
        path: the file; read as UTF-8.

    Raises:
        ConfigError: the file is missing, unreadable or not TOML.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[tuple[int, str]] = []
        try:
            text = path.read_text(encoding="utf-8-sig")  # some editors begin with a BOM
        except FileNotFoundError as error:
            raise ConfigError(
                f"{path}: no such file", fix="make a project with `evtool init DIR`, or name one"
            ) from error
        except OSError as error:
            raise ConfigError(
                f"{path}: cannot be read: {error.strerror or error}", fix="check its permissions"
            ) from error
        except UnicodeDecodeError:
            # `from None`: the error carries the file's bytes
            raise ConfigError(
                f"{path}: not UTF-8 text", fix="save the file as UTF-8 in your editor"
            ) from None
        try:
            self._data: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(
                f"{path}: not valid TOML: {error}",
                fix='mend that line; a text stands in quotes: key = "text"',
            ) from error
        self._lines = _locate(text)
        self._read: dict[str, set[str]] = {}

    def line(self, table: str, key: str | None = None) -> int:
        """The line (from 1) of a key, or of its table, or 1."""
        return self._lines.get((table, key)) or self._lines.get((table, None)) or 1

    def problem(self, table: str, key: str | None, rule: str) -> None:
        """Note that `[table] key` breaks `rule`."""
        name = f"[{table}]" if key is None else f"[{table}] {key}"
        self.problems.append((self.line(table, key), f"{name}: {rule}"))

    def raw(self, table: str, key: str, default: object = _MISSING) -> Any:
        """The value as TOML gives it; notes a missing one and returns `default` or None."""
        self._read.setdefault(table, set()).add(key)
        values = self._data.get(table, {})
        if not isinstance(values, Mapping):
            return None if default is _MISSING else default
        if key in values:
            return values[key]
        if default is _MISSING:
            self.problem(table, key, "missing; this key is required")
            return None
        return default

    def text(
        self, table: str, key: str, default: object = _MISSING, choices: Sequence[str] = ()
    ) -> str:
        """A string, one of `choices` where given."""
        value = self.raw(table, key, default)
        if not isinstance(value, str):
            if value is not None:
                self.problem(table, key, f"must be a string, not {_kind(value)}")
            return ""
        if choices and value not in choices:
            self.problem(table, key, f'"{value}" is none of: ' + ", ".join(choices))
        return value

    def optional_text(self, table: str, key: str) -> str | None:
        """A string, or None where the key is absent."""
        return None if self.raw(table, key, None) is None else self.text(table, key)

    def integer(
        self, table: str, key: str, default: object = _MISSING, *, low: int, high: int
    ) -> int:
        """An integer from `low` to `high`."""
        value = self.raw(table, key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            if value is not None:
                self.problem(table, key, f"must be an integer, not {_kind(value)}")
            return low
        if not low <= value <= high:
            self.problem(table, key, f"{value} is not in {low}..{high}")
        return value

    def finish(self) -> None:
        """Raise one error that names every problem.

        Raises:
            ConfigError: unknown tables or keys, or anything noted before.
        """
        for table, values in self._data.items():
            if table in self._read and not isinstance(values, Mapping):
                self.problem(table, None, f"must be a table, not {_kind(values)}")
                continue
            if table not in self._read:
                self.problem(table, None, "unknown" + hint(table, self._read))
                continue
            for key in values:
                if key not in self._read[table]:
                    self.problem(table, key, "unknown key" + hint(key, self._read[table]))
        if self.problems:
            found = "\n".join(f"{self.path}:{line}: {text}" for line, text in sorted(self.problems))
            count = len(self.problems)
            raise ConfigError(
                found,
                fix=f"mend the {'line' if count == 1 else f'{count} lines'} above; "
                "every key is explained in the file that `evtool init` writes",
            )


def _kind(value: object) -> str:
    names = {
        bool: "true/false",
        int: "an integer",
        float: "a float",
        list: "an array",
        dict: "a table",
        str: "a string",
    }
    return names.get(type(value), "a date or time")


def hint(word: str, known: Collection[str]) -> str:
    """What an unknown word was meant to be, or what is known: the end of a message."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else "; known: " + ", ".join(sorted(known))


def _locate(text: str) -> dict[tuple[str, str | None], int]:
    lines: dict[tuple[str, str | None], int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _TABLE.match(line):
            table = found.group(1).strip().strip("\"'")
            lines.setdefault((table, None), number)
        elif found := _KEY.match(line):
            key = next(group for group in found.groups() if group is not None)
            lines.setdefault((table, key), number)
            if not table:  # a stray key above the first table is reported by its own name
                lines.setdefault((key, None), number)
    return lines
