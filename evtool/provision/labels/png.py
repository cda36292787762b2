# SPDX-License-Identifier: GPL-3.0-or-later
"""A label as PNG, black on white at the template's resolution."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageFont

from evtool.provision.labels.drawing import Drawing
from evtool.provision.labels.fonts import Font, Fonts

_INCH_MM = 25.4


def render_png(drawing: Drawing, fonts: Fonts) -> bytes:
    """One label; the file says its resolution, so that it prints in its true size."""
    file = io.BytesIO()
    dpi = (drawing.dpi, drawing.dpi)
    paint(drawing, fonts).save(file, format="PNG", dpi=dpi, optimize=True)
    return file.getvalue()


def paint(drawing: Drawing, fonts: Fonts) -> Image.Image:
    """The picture; 8 bits of grey, as the letters' edges are."""
    scale = drawing.dpi / _INCH_MM
    image = Image.new("L", (round(drawing.width * scale), round(drawing.height * scale)), 255)
    canvas = ImageDraw.Draw(image)
    for line in drawing.lines:
        font = _sized(fonts.bold if line.bold else fonts.text, line.size * scale)
        canvas.text(
            (line.x * scale, line.baseline * scale), line.text, fill=0, font=font, anchor="ls"
        )
    for box in drawing.boxes:
        left, top = round(box.x * scale), round(box.y * scale)
        right = max(left + 1, round((box.x + box.width) * scale))
        bottom = max(top + 1, round((box.y + box.height) * scale))
        canvas.rectangle((left, top, right - 1, bottom - 1), fill=0)
    for code in drawing.codes:
        dots = round(code.module * scale)
        left, top = round(code.x * scale), round(code.y * scale)
        for row, modules in enumerate(code.rows):
            for column, dark in enumerate(modules):
                if dark:
                    x, y = left + column * dots, top + row * dots
                    canvas.rectangle((x, y, x + dots - 1, y + dots - 1), fill=0)
    return image


def _sized(font: Font, size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(io.BytesIO(font.data), size, layout_engine=ImageFont.Layout.BASIC)
