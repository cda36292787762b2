# SPDX-License-Identifier: GPL-3.0-or-later
"""Serial numbers that are drawn from a range of the ledger, when a board becomes the unit.

::

    serial_number = { range = "2030" }                              12
    serial_number = { range = "2030", format = "EV{number:06}" }    EV000012

The range is defined with `evtool provision ledger range NAME FIRST LAST`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

PLAIN = "{number}"
_PLACE = re.compile(r"\{number(?::0?([1-9][0-9]?))?\}")


@dataclass(frozen=True, slots=True)
class DrawnSerial:
    """Where a unit's serial number comes from.

    Attributes:
        range: the range's name in the ledger.
        format: the serial number, with `{number}` or `{number:06}` (six digits at least) in it.

    Raises:
        ValueError: the range has no name, or `format` has no number in it, or several.
    """

    range: str
    format: str = PLAIN

    def __post_init__(self) -> None:
        if not self.range or not self.range.isprintable():
            raise ValueError("the range has no name; `evtool provision ledger range` lists them")
        rest, count = _PLACE.subn("", self.format)
        if count != 1 or "{" in rest or "}" in rest:
            raise ValueError("its format must hold {number} or {number:06} once, and no other {}")

    def text(self, number: int) -> str:
        """The serial number of this number."""
        return _PLACE.sub(lambda found: str(number).zfill(int(found[1] or 0)), self.format)


def read_drawn_serial(value: Mapping[str, object]) -> DrawnSerial:
    """What a table in a fleet's file says.

    Raises:
        ValueError: it says something else.
    """
    match dict(value):
        case {"range": str(name), **rest}:
            text = rest.pop("format", PLAIN)
            if isinstance(text, str) and not rest:
                return DrawnSerial(name, text)
    raise ValueError(
        'must be a text, or { range = "NAME" }, with format = "EV{number:06}" if it is more than '
        "the number"
    )
