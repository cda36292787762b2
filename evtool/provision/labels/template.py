# SPDX-License-Identifier: GPL-3.0-or-later
"""A label's template: TOML with all lengths in millimetres from the upper left corner."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evtool.provision.labels.content import variables_of
from evtool.toml_table import hint

PAGES = {"a4": (210.0, 297.0), "a5": (148.0, 210.0), "letter": (215.9, 279.4)}
"""Width and height of a sheet, mm."""
_LARGEST_MM = 420.0
_ALIGN = ("left", "center", "right")
_CORRECTION = ("L", "M", "Q", "H")


@dataclass(frozen=True, slots=True)
class TextField:
    """A line of text.

    Attributes:
        x, y: its upper left corner, mm.
        width, height: the room it has, mm; a text that is too wide is set smaller.
        text: with variables.
        align: left, center or right within the width.
    """

    x: float
    y: float
    width: float
    height: float
    text: str
    bold: bool
    align: str


@dataclass(frozen=True, slots=True)
class QrField:
    """A QR code.

    Attributes:
        x, y, size: the square with its quiet zone of four modules, mm.
        content: with variables.
        correction: the level of error correction, L, M, Q or H.
    """

    x: float
    y: float
    size: float
    content: str
    correction: str


@dataclass(frozen=True, slots=True)
class BoxField:
    """A filled rectangle; a line is a thin one."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Sheet:
    """Labels on a page: `columns` x `rows` from the margins on, with gaps between them, mm."""

    page: str
    columns: int
    rows: int
    margin_left: float
    margin_top: float
    gap_x: float
    gap_y: float


@dataclass(frozen=True, slots=True)
class LabelTemplate:
    """A label for any unit.

    Attributes:
        width, height: mm.
        dpi: dots per inch of PNG and ZPL.
        font, bold_font: TrueType files beside the template; "" for the one evtool brings.
        sheet: how labels stand on a page of a PDF; None for one label a page.
    """

    width: float
    height: float
    dpi: int
    font: str
    bold_font: str
    texts: tuple[TextField, ...]
    codes: tuple[QrField, ...]
    boxes: tuple[BoxField, ...]
    sheet: Sheet | None

    def variables(self) -> set[str]:
        """The variables it uses."""
        contents = [field.text for field in self.texts] + [field.content for field in self.codes]
        return set().union(*(variables_of(content) for content in contents))


def read_template(text: str) -> LabelTemplate:
    """The template in a TOML text.

    Raises:
        ValueError: everything that is wrong, a line each: `[[text]] 2, key width: rule`.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not valid TOML: {error}") from error
    problems: list[str] = []
    known = ("label", "sheet", "text", "qr", "box")
    problems.extend(f"[{name}]: unknown{hint(name, known)}" for name in data if name not in known)
    label = _Table(data.get("label", {}), "[label]", problems)
    width = label.number("width", low=5, high=_LARGEST_MM)
    height = label.number("height", low=5, high=_LARGEST_MM)
    inside = (width, height)
    template = LabelTemplate(
        width=width,
        height=height,
        dpi=int(label.number("dpi", default=300, low=100, high=1200)),
        font=label.text("font", default=""),
        bold_font=label.text("bold_font", default=""),
        texts=tuple(_text(table, inside) for table in _tables(data, "text", problems)),
        codes=tuple(_code(table, inside) for table in _tables(data, "qr", problems)),
        boxes=tuple(_box(table, inside) for table in _tables(data, "box", problems)),
        sheet=_sheet(_Table(data["sheet"], "[sheet]", problems), inside)
        if "sheet" in data
        else None,
    )
    label.finish()
    if not (template.texts or template.codes):
        problems.append("nothing is on it: neither [[text]] nor [[qr]]")
    if problems:
        raise ValueError("\n".join(problems))
    return template


class _Table:
    """One table, read key by key."""

    def __init__(self, values: object, name: str, problems: list[str]) -> None:
        self._values: Mapping[str, Any] = values if isinstance(values, Mapping) else {}
        self._name = name
        self._problems = problems
        self._read: list[str] = []
        if not isinstance(values, Mapping):
            problems.append(f"{name}: must be a table")

    def problem(self, key: str, rule: str) -> None:
        self._problems.append(f"{self._name}, key {key}: {rule}")

    def number(self, key: str, *, low: float, high: float, default: float | None = None) -> float:
        value = self._get(key, default, low)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.problem(key, "must be a number")
            return low
        if not low <= value <= high:
            self.problem(key, f"{value:g} is not in {low:g}..{high:g}")
            return low
        return float(value)

    def text(self, key: str, *, default: str | None = None, choices: Sequence[str] = ()) -> str:
        value = self._get(key, default, choices[0] if choices else "")
        if not isinstance(value, str):
            self.problem(key, "must be a string")
            return ""
        if choices and value not in choices:
            self.problem(key, f'"{value}" is none of: {", ".join(choices)}')
        return value

    def filled(self, key: str) -> str:
        """A text with variables."""
        value = self.text(key)
        try:
            variables_of(value)
        except ValueError as error:
            self.problem(key, str(error))
        return value

    def flag(self, key: str) -> bool:
        value = self._get(key, False, False)
        if not isinstance(value, bool):
            self.problem(key, "must be true or false")
            return False
        return value

    def finish(self) -> None:
        for key in self._values:
            if key not in self._read:
                self.problem(key, "unknown" + hint(key, self._read))

    def _get(self, key: str, default: Any, instead: Any) -> Any:
        self._read.append(key)
        if key in self._values:
            return self._values[key]
        if default is None:
            self.problem(key, "missing; this key is required")
            return instead
        return default


def _tables(data: Mapping[str, Any], name: str, problems: list[str]) -> list[_Table]:
    found = data.get(name, [])
    if not isinstance(found, list):
        problems.append(f"[{name}]: must be written [[{name}]]; there may be several")
        return []
    return [_Table(item, f"[[{name}]] {index}", problems) for index, item in enumerate(found, 1)]


def _text(table: _Table, inside: tuple[float, float]) -> TextField:
    x, y, width, height = _rectangle(table, inside, smallest=1.0)
    field = TextField(
        x=x,
        y=y,
        width=width,
        height=height,
        text=table.filled("text"),
        bold=table.flag("bold"),
        align=table.text("align", default="left", choices=_ALIGN),
    )
    table.finish()
    return field


def _code(table: _Table, inside: tuple[float, float]) -> QrField:
    x = table.number("x", low=0, high=inside[0])
    y = table.number("y", low=0, high=inside[1])
    size = table.number("size", low=5, high=_LARGEST_MM)
    _check_inside(table, (x, y, size, size), inside, "size")
    field = QrField(
        x=x,
        y=y,
        size=size,
        content=table.filled("content"),
        correction=table.text("correction", default="M", choices=_CORRECTION),
    )
    table.finish()
    return field


def _box(table: _Table, inside: tuple[float, float]) -> BoxField:
    field = BoxField(*_rectangle(table, inside, smallest=0.1))
    table.finish()
    return field


def _rectangle(
    table: _Table, inside: tuple[float, float], smallest: float
) -> tuple[float, float, float, float]:
    x = table.number("x", low=0, high=inside[0])
    y = table.number("y", low=0, high=inside[1])
    width = table.number("width", low=smallest, high=_LARGEST_MM)
    height = table.number("height", low=smallest, high=_LARGEST_MM)
    _check_inside(table, (x, y, width, height), inside, "width")
    return x, y, width, height


def _check_inside(
    table: _Table,
    place: tuple[float, float, float, float],
    inside: tuple[float, float],
    key: str,
) -> None:
    x, y, width, height = place
    if x + width > inside[0] + 1e-6:
        table.problem(key, f"ends at {x + width:g} mm, beyond the label's {inside[0]:g} mm")
    if y + height > inside[1] + 1e-6:
        key = "size" if key == "size" else "height"
        table.problem(key, f"ends at {y + height:g} mm, beyond the label's {inside[1]:g} mm")


def _sheet(table: _Table, label: tuple[float, float]) -> Sheet:
    sheet = Sheet(
        page=table.text("page", choices=tuple(PAGES)),
        columns=int(table.number("columns", low=1, high=50)),
        rows=int(table.number("rows", low=1, high=100)),
        margin_left=table.number("margin_left", default=0, low=0, high=200),
        margin_top=table.number("margin_top", default=0, low=0, high=200),
        gap_x=table.number("gap_x", default=0, low=0, high=100),
        gap_y=table.number("gap_y", default=0, low=0, high=100),
    )
    table.finish()
    if sheet.page not in PAGES:
        return sheet
    right = sheet.margin_left + sheet.columns * (label[0] + sheet.gap_x) - sheet.gap_x
    bottom = sheet.margin_top + sheet.rows * (label[1] + sheet.gap_y) - sheet.gap_y
    page = PAGES[sheet.page]
    if right > page[0] + 1e-6:
        table.problem("columns", f"end at {right:g} mm; the page is {page[0]:g} mm wide")
    if bottom > page[1] + 1e-6:
        table.problem("rows", f"end at {bottom:g} mm; the page is {page[1]:g} mm high")
    return sheet
