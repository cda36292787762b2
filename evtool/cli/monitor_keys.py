# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys that a person types at a watch, asked about where they switch power."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from evtool.cli.output import narrate
from evtool.monitor.confirmation import Confirmation

if TYPE_CHECKING:
    from evtool.monitor.follow import Line
    from evtool.monitor.stream import Batch, News


class TypedKeys:
    """Reads the keyboard for a session, and asks before `s` or `t` reaches a unit.

    Args:
        read: the keys pressed since the last call.
        now_ms: the monotonic clock.
        unit: the unit's name, for the question.
        ask: shows a question; "" takes it away.
        wanted: False where the user wants no questions.
    """

    def __init__(
        self,
        read: Callable[[], bytes],
        now_ms: Callable[[], int],
        unit: str,
        ask: Callable[[str], None],
        *,
        wanted: bool,
    ) -> None:
        self._read = read
        self._now_ms = now_ms
        self._unit = unit
        self._ask = ask
        self._confirmation = Confirmation(wanted)
        self._heard_ms: int | None = None

    def read(self) -> bytes:
        """What to pass on of the keys pressed since the last call."""
        now_ms = self._now_ms()
        passed = ""
        keys = self._read().decode("latin-1")
        for key in keys:
            passed += self._confirmation.press(
                key, now_ms, self._heard_ms, self._unit, alone=len(keys) == 1
            )
        self._ask(self._confirmation.shown(now_ms))
        return passed.encode("latin-1")

    def on_batch(self, batch: Batch) -> None:
        """The unit lives."""
        self._heard_ms = batch.at_ms

    def on_lines(self, lines: Sequence[Line]) -> None:
        """A unit that starts anew is not the one that was asked about."""
        if any(line.event == "boot" for line in lines):
            self._confirmation.drop()

    def on_news(self, news: News) -> None:
        """A unit that is gone is asked about no longer."""
        if news.event == "disconnected":
            self._confirmation.drop()
            self._heard_ms = None


def ask_on_stderr() -> Callable[[str], None]:
    """Questions as lines on stderr, each once; what is added to one is a line of its own."""
    asked = ""

    def ask(question: str) -> None:
        nonlocal asked
        if question and question != asked:
            new = question.removeprefix(asked).strip() if asked else question
            narrate(f"evtool: {new}")
        asked = question

    return ask
