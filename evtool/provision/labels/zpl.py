# SPDX-License-Identifier: GPL-3.0-or-later
"""A label as ZPL II, for Zebra printers and those that speak their language.

Texts are set in the printer's own font; codes are sent as pictures (`^GFA`), so that every
printer prints the same modules.
"""

from __future__ import annotations

from evtool.provision.labels.drawing import Code, Drawing, Line

_INCH_MM = 25.4


def render_zpl(drawing: Drawing) -> str:
    """One label, ASCII: other signs travel as UTF-8 in hex (`^CI28`, `^FH`)."""
    dots = drawing.dpi / _INCH_MM
    parts = [
        "^XA",
        "^CI28",
        f"^PW{round(drawing.width * dots)}",
        f"^LL{round(drawing.height * dots)}",
        "^LH0,0",
    ]
    parts.extend(_line(line, dots) for line in drawing.lines)
    for box in drawing.boxes:
        width, height = (max(1, round(side * dots)) for side in (box.width, box.height))
        parts.append(f"{_origin(box.x, box.y, dots)}^GB{width},{height},{min(width, height)}^FS")
    parts.extend(_code(code, dots) for code in drawing.codes)
    parts.append("^XZ")
    return "\n".join(parts) + "\n"


def _origin(x: float, y: float, dots: float) -> str:
    return f"^FO{round(x * dots)},{round(y * dots)}"


def _line(line: Line, dots: float) -> str:
    size = max(10, round(line.size * dots))
    return f"{_origin(line.x, line.top, dots)}^A0N,{size},{size}^FH^FD{_escaped(line.text)}^FS"


def _escaped(text: str) -> str:
    """Field data in which no byte can begin a command."""
    plain = set(b" !#$%&'()*+,-./:;<=>?@[]{|}") | set(range(0x30, 0x3A)) | set(range(0x41, 0x5B))
    plain |= set(range(0x61, 0x7B))
    return "".join(chr(byte) if byte in plain else f"_{byte:02X}" for byte in text.encode())


def _code(code: Code, dots: float) -> str:
    side = round(code.module * dots)
    row_bytes = (len(code.rows) * side + 7) // 8
    lines = []
    for modules in code.rows:
        bits = "".join("1" * side if dark else "0" * side for dark in modules)
        row = int(bits.ljust(row_bytes * 8, "0"), 2).to_bytes(row_bytes, "big").hex().upper()
        lines.append(row * side)
    total = row_bytes * len(code.rows) * side
    data = "".join(lines)
    return f"{_origin(code.x, code.y, dots)}^GFA,{total},{total},{row_bytes},{data}^FS"
