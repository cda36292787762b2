# SPDX-License-Identifier: GPL-3.0-or-later
"""Which records are shown, and the key that asks the board for them."""

from __future__ import annotations

from evtool.monitor.follow import Line
from evtool.monitor.quantities import TITLES
from evtool.monitor.views import VIEW_RECORDS


class OnView:
    """The view as it is now.

    Attributes:
        key: what the board is asked for.
        records: the names of the records on view.
    """

    def __init__(self, key: str, records: tuple[str, ...]) -> None:
        self.key = key
        self.records = records

    def press(self, key: str) -> None:
        """A key may choose another view."""
        if key in VIEW_RECORDS:
            self.key = key
            self.records = VIEW_RECORDS[key]

    def shows(self, line: Line) -> bool:
        """Whether a line is on view: all are but the records of another one."""
        record = line.record
        return record is None or record.name not in TITLES or record.name in self.records

    @property
    def hidden(self) -> tuple[str, ...]:
        """The names of the records off the view."""
        return tuple(name for name in TITLES if name not in self.records)
