# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels as a PDF: on sheets, or one a page."""

from __future__ import annotations

import io
from collections.abc import Iterable

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfgen.canvas import Canvas

from evtool.provision.labels.drawing import Drawing
from evtool.provision.labels.fonts import Fonts
from evtool.provision.labels.template import PAGES, Sheet

_POINTS = 72 / 25.4


def render_pdf(
    drawings: Iterable[Drawing], fonts: Fonts, sheet: Sheet | None, *, skip: int = 0
) -> bytes:
    """All labels, in their order.

    Args:
        sheet: how they stand on a page; None for one label a page, as large as the label.
        skip: labels of the first sheet that are used up already.

    Raises:
        ValueError: `skip` is a whole sheet or more.
    """
    if sheet is not None and not 0 <= skip < sheet.columns * sheet.rows:
        raise ValueError(f"a sheet holds {sheet.columns * sheet.rows} labels; {skip} were skipped")
    for font in (fonts.text, fonts.bold):
        pdfmetrics.registerFont(font.face)
    file = io.BytesIO()
    # Invariant: no date and no random name in it, so that equal labels are equal files.
    canvas = Canvas(file, invariant=1)
    canvas.setTitle("Unit labels")
    for place, drawing in enumerate(drawings, skip if sheet is not None else 0):
        if sheet is None:
            if place:
                canvas.showPage()
            canvas.setPageSize((drawing.width * _POINTS, drawing.height * _POINTS))
            _draw(canvas, drawing, fonts, 0.0, drawing.height)
            continue
        page, position = divmod(place, sheet.columns * sheet.rows)
        if page and position == 0:
            canvas.showPage()
        width, height = PAGES[sheet.page]
        canvas.setPageSize((width * _POINTS, height * _POINTS))
        row, column = divmod(position, sheet.columns)
        left = sheet.margin_left + column * (drawing.width + sheet.gap_x)
        top = sheet.margin_top + row * (drawing.height + sheet.gap_y)
        _draw(canvas, drawing, fonts, left, height - top)
    canvas.save()
    return file.getvalue()


def _draw(canvas: Canvas, drawing: Drawing, fonts: Fonts, left: float, top: float) -> None:
    """A label with its upper left corner at (`left`, `top`), mm from the page's lower left."""
    for line in drawing.lines:
        name = (fonts.bold if line.bold else fonts.text).name
        canvas.setFont(name, line.size * _POINTS)
        canvas.drawString((left + line.x) * _POINTS, (top - line.baseline) * _POINTS, line.text)
    boxes = [(box.x, box.y, box.width, box.height) for box in drawing.boxes]
    for x, y, width, height in boxes:
        canvas.rect(
            (left + x) * _POINTS,
            (top - y - height) * _POINTS,
            width * _POINTS,
            height * _POINTS,
            stroke=0,
            fill=1,
        )
    for code in drawing.codes:
        path = canvas.beginPath()
        side = code.module * _POINTS
        for row, modules in enumerate(code.rows):
            for column, dark in enumerate(modules):
                if dark:
                    x = (left + code.x + column * code.module) * _POINTS
                    y = (top - code.y - (row + 1) * code.module) * _POINTS
                    path.rect(x, y, side, side)
        canvas.drawPath(path, stroke=0, fill=1)
