# SPDX-License-Identifier: GPL-3.0-or-later
"""A TrueType font, measured; Bitstream Vera unless another one is named."""

from __future__ import annotations

import io
from dataclasses import dataclass
from importlib.resources import files

from reportlab.pdfbase.ttfonts import TTFError, TTFont


class Font:
    """One face.

    Args:
        data: a TrueType file's bytes.
        name: what a PDF calls it.

    Attributes:
        ascent, descent: above and below the base line, parts of the font's size.

    Raises:
        ValueError: it is no TrueType font.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self.data = data
        self.name = name
        try:
            self.face = TTFont(name, io.BytesIO(data))
        except (TTFError, AssertionError, ValueError, IndexError, KeyError) as error:
            raise ValueError("not a TrueType font (.ttf)") from error
        self.ascent = self.face.face.ascent / 1000
        self.descent = -self.face.face.descent / 1000

    def width(self, text: str, size: float) -> float:
        """How wide it is, in the unit of `size`."""
        return float(self.face.stringWidth(text, size))

    def missing(self, text: str) -> list[str]:
        """The characters that it has no glyph for."""
        known = self.face.face.charToGlyph
        return sorted({sign for sign in text if ord(sign) not in known})


@dataclass(frozen=True, slots=True)
class Fonts:
    """The two faces of a label."""

    text: Font
    bold: Font


def bundled_fonts() -> Fonts:
    """Bitstream Vera, which comes with reportlab; Latin-1 and a little more."""
    folder = files("reportlab") / "fonts"
    return Fonts(
        Font((folder / "Vera.ttf").read_bytes(), "Vera"),
        Font((folder / "VeraBd.ttf").read_bytes(), "Vera-Bold"),
    )
