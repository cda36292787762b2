# SPDX-License-Identifier: GPL-3.0-or-later
"""One unit's label, worked out: where each line, code and box stands, in millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import segno

from evtool.provision.labels.content import LabelUnit, fill
from evtool.provision.labels.fonts import Font, Fonts
from evtool.provision.labels.template import BoxField, LabelTemplate, QrField, TextField

QUIET_MODULES = 4
_SMALLEST_MODULE_MM = 0.25
_SMALLEST_TEXT_MM = 1.2


@dataclass(frozen=True, slots=True)
class Line:
    """A text, set.

    Attributes:
        x: where it begins, mm.
        top, baseline: of its room and its letters, mm.
        size: of the font (em), mm.
        width: of the text, mm.
    """

    text: str
    x: float
    top: float
    baseline: float
    size: float
    width: float
    bold: bool


@dataclass(frozen=True, slots=True)
class Code:
    """A QR code.

    Attributes:
        x, y: the upper left corner of its first module, mm.
        module: the side of a module, mm.
        rows: its modules, True for dark; square, without the quiet zone.
    """

    x: float
    y: float
    module: float
    rows: tuple[tuple[bool, ...], ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A label.

    Attributes:
        name: the unit's identity.
        width, height: mm.
        dpi: what PNG and ZPL are drawn at.
    """

    name: str
    width: float
    height: float
    dpi: int
    lines: tuple[Line, ...]
    codes: tuple[Code, ...]
    boxes: tuple[BoxField, ...]


def draw(template: LabelTemplate, unit: LabelUnit, fonts: Fonts) -> Drawing:
    """The label of one unit.

    Raises:
        ValueError: everything about this unit that its label cannot show, a line each.
    """
    problems: list[str] = []
    lines: list[Line] = []
    codes: list[Code] = []
    for index, text in enumerate(template.texts, 1):
        try:
            lines.append(_set(text, fill(text.text, unit), fonts.bold if text.bold else fonts.text))
        except ValueError as error:
            problems.append(f"[[text]] {index}: {error}")
    for index, code in enumerate(template.codes, 1):
        try:
            codes.append(_encode(code, fill(code.content, unit), template.dpi))
        except ValueError as error:
            problems.append(f"[[qr]] {index}: {error}")
    if problems:
        raise ValueError("\n".join(problems))
    return Drawing(
        name=unit.identity,
        width=template.width,
        height=template.height,
        dpi=template.dpi,
        lines=tuple(lines),
        codes=tuple(codes),
        boxes=template.boxes,
    )


def _set(field: TextField, text: str, font: Font) -> Line:
    if missing := font.missing(text):
        shown = ", ".join(f"U+{ord(sign):04X}" for sign in missing[:5])
        raise ValueError(f"the font has no {shown}; name one that has, with `font` in [label]")
    size = field.height / (font.ascent + font.descent)
    natural = font.width(text, size)
    if natural > field.width:
        size *= field.width / natural
    smallest = min(_SMALLEST_TEXT_MM, field.height)
    height = size * (font.ascent + font.descent)
    if height < smallest:
        raise ValueError(
            f"{len(text)} characters would be {height:.2f} mm high in {field.width:g} mm; "
            f"less than {smallest:g} mm nobody can read"
        )
    width = font.width(text, size)
    room = field.width - width
    shift = {"left": 0.0, "center": room / 2, "right": room}[field.align]
    top = field.y + (field.height - height) / 2
    return Line(text, field.x + shift, top, top + font.ascent * size, size, width, field.bold)


def _encode(field: QrField, content: str, dpi: int) -> Code:
    try:
        # Without the word that it is UTF-8, readers guess, and take Latin-1 for Shift JIS.
        encoding = None if content.isascii() else "utf-8"
        code = segno.make(
            content,
            error=field.correction,
            encoding=encoding,
            eci=encoding is not None,
            micro=False,
        )
    except segno.DataOverflowError as error:
        raise ValueError(f"{len(content)} characters are more than a QR code holds") from error
    rows = tuple(tuple(bool(module) for module in row) for row in code.matrix)
    across = len(rows) + 2 * QUIET_MODULES
    # Whole dots, so that all modules are equally large on paper.
    dots = int(field.size / 25.4 * dpi) // across
    module = dots * 25.4 / dpi
    if module < _SMALLEST_MODULE_MM:
        raise ValueError(
            f"{len(content)} characters need {across} modules; on {field.size:g} mm at {dpi} dpi "
            f"each is {module:.2f} mm, and phones need {_SMALLEST_MODULE_MM:g}: make it larger, "
            "or the content shorter"
        )
    inset = (field.size - module * len(rows)) / 2
    return Code(field.x + inset, field.y + inset, module, rows)
