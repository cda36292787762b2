# SPDX-License-Identifier: GPL-3.0-or-later
"""How a watch ends: whether its user waits, and what is to be read when the tables are gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from evtool.cli.output import narrate

if TYPE_CHECKING:
    from evtool.link.interrupts import Interrupts
    from evtool.monitor.session import Session

Note = Callable[[str, str], None]


class Ending:
    """Of one watch.

    Args:
        interrupts: the signals that came.
        note: takes an event's name and a line for people, while the watch runs.
        shows_tables: whether `note` shows it within tables, which are gone at the end.
    """

    def __init__(self, interrupts: Interrupts, note: Note, *, shows_tables: bool) -> None:
        self._interrupts = interrupts
        self._note = note
        self._shows_tables = shows_tables
        self._is_over = False
        self._session: Session | None = None
        self._last_words: list[str] = []

    def of(self, session: Session) -> None:
        """It is this watch's."""
        self._session = session

    def hurried(self) -> bool:
        """Whether the user has ended the watch, and nothing is to be waited for."""
        was_quit = self._session is not None and self._session.was_quit
        return was_quit or self._interrupts.received is not None

    def note(self, event: str, text: str) -> None:
        """Take something that happened; with tables at the end, for when these are gone."""
        if self._is_over and self._shows_tables:
            self._last_words.append(text)
        else:
            self._note(event, text)

    def begin(self) -> None:
        """The watch is over; whoever listened is closed now."""
        self._is_over = True

    def tell(self) -> None:
        """The tables are gone: say what is left."""
        for text in self._last_words:
            narrate(f"evtool: {text}")
