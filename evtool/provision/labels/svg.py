# SPDX-License-Identifier: GPL-3.0-or-later
"""A label as SVG, in millimetres."""

from __future__ import annotations

from xml.sax.saxutils import escape

from evtool.provision.labels.drawing import Code, Drawing, Line

_FAMILY = "'Bitstream Vera Sans', 'DejaVu Sans', Verdana, sans-serif"


def render_svg(drawing: Drawing) -> str:
    """One label. Texts keep their measured width whatever font the reader has."""
    width, height = f"{drawing.width:g}", f"{drawing.height:g}"
    boxes = "".join(
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}"/>\n'
        for box in drawing.boxes
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" '
        f'viewBox="0 0 {width} {height}">\n'
        f'<rect width="{width}" height="{height}" fill="#fff"/>\n'
        f'<g font-family="{_FAMILY}">\n{"".join(map(_line, drawing.lines))}</g>\n'
        f"{boxes}{''.join(map(_code, drawing.codes))}</svg>\n"
    )


def _line(line: Line) -> str:
    weight = ' font-weight="bold"' if line.bold else ""
    return (
        f'<text x="{line.x:.3f}" y="{line.baseline:.3f}" font-size="{line.size:.3f}"{weight} '
        f'textLength="{line.width:.3f}" lengthAdjust="spacingAndGlyphs" xml:space="preserve">'
        f"{escape(line.text)}</text>\n"
    )


def _code(code: Code) -> str:
    """Its dark modules as one path, so that no reader shows seams between them."""
    runs = []
    for row, modules in enumerate(code.rows):
        column = 0
        while column < len(modules):
            length = 0
            while column + length < len(modules) and modules[column + length]:
                length += 1
            if length:
                runs.append(f"M{column} {row}h{length}v1h-{length}z")
            column += length or 1
    return (
        f'<path transform="translate({code.x:.4f} {code.y:.4f}) scale({code.module:.5f})" '
        f'shape-rendering="crispEdges" d="{"".join(runs)}"/>\n'
    )
