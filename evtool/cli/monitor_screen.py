# SPDX-License-Identifier: GPL-3.0-or-later
"""The live screen of `evtool monitor`: the chosen view as tables, recent lines below."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from evtool.monitor.follow import Line
from evtool.monitor.picture import ENTER, LEAVE, Canvas
from evtool.monitor.screen_layout import Frame, draw
from evtool.monitor.views import Dashboard
from evtool.reference_impl.controller_types import Config

if TYPE_CHECKING:
    from evtool.monitor.follow import Happening

REDRAW_MS = 200
NOTE_MS = 5000
_EXPLAINED = frozenset({"panic_decoded", "reset_reason"})
_FOREVER_MS = 1 << 62


class Place(Protocol):
    """A terminal to draw on; `evtool.link.terminal.Terminal` is one."""

    @property
    def colour(self) -> bool:
        """Whether colours are wanted."""

    @property
    def ascii_only(self) -> bool:
        """Whether it shows no more than ASCII."""

    @property
    def busy(self) -> bool:
        """Whether it has not taken the last picture yet."""

    def size(self) -> tuple[int, int]:
        """Columns and lines."""

    def write(self, text: str) -> None:
        """Take a picture, without making anybody wait."""

    def close(self, last_words: str) -> None:
        """Take the last words and be given back."""


class Screen:
    """Fills the terminal from the port's opening on; leaving it gives the terminal back.

    A picture is drawn at most every `REDRAW_MS`, and none while the terminal has not taken the
    last one: a slow terminal shows fewer pictures, and the serial line waits for none.
    """

    def __init__(
        self, place: Place, port_name: str, records: tuple[str, ...], config: Config | None = None
    ) -> None:
        self.dashboard = Dashboard(records, config)
        self._place = place
        self._canvas = Canvas(colour=place.colour)
        self._port_name = port_name
        self._status = "opening"
        self._question = ""
        self._note = ""
        self._note_until_ms: int | None = None
        self._drawn_ms: int | None = None
        self._entered = False

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        # Where the port was never opened the terminal is as it was.
        self._place.close(LEAVE if self._entered else "")

    def show(self, happening: Happening) -> None:
        """Take in what the board said."""
        self.dashboard.observe(happening)

    def note(self, event: str, text: str) -> None:
        """Say how the watch stands: the port in the first line, anything else in the last.

        What a panic or a reset means stands among the board's own lines.
        """
        short = {"connected": "connected", "disconnected": "port gone, waiting for it"}
        if event in short:
            self._status = short[event]
        elif event in _EXPLAINED:
            self.dashboard.recent.append(Line(self.dashboard.heard_ms or 0, text))
            if not text.startswith(" "):  # the boot log pushes it out of a small terminal
                self._note, self._note_until_ms = text, None
        else:
            self._note, self._note_until_ms = text, None
        if not self._entered:
            self._entered = True
            self._place.write(ENTER)
        self._drawn_ms = None

    def state(self, note: str) -> None:
        """Keep `note` in the last line, in place of the keys."""
        self._note, self._note_until_ms = note, _FOREVER_MS

    def ask(self, question: str) -> None:
        """Show a question in the last line; "" takes it away."""
        if question != self._question:
            self._question = question
            self._drawn_ms = None

    def press(self, key: str) -> None:
        """Change the view."""
        self.dashboard.press(key)
        self._drawn_ms = None

    def refresh(self, now_ms: int) -> None:
        """Draw, if the last picture is old enough."""
        self.draw_every(REDRAW_MS, now_ms, now_ms)

    def draw_every(self, period_ms: int, host_ms: int, now_ms: int) -> None:
        """Draw what is so at `now_ms`, on the clock of the lines, at most once in `period_ms`."""
        if self._drawn_ms is not None and host_ms - self._drawn_ms < period_ms:
            return
        if not self._entered or self._place.busy:
            return
        self._drawn_ms = host_ms
        if self._note and self._note_until_ms is None:
            self._note_until_ms = now_ms + NOTE_MS
        elif self._note_until_ms is not None and now_ms >= self._note_until_ms:
            self._note, self._note_until_ms = "", None
        frame = Frame(
            self._port_name, self._status, self._question, self._note, self._place.ascii_only
        )
        size = self._place.size()
        picture = draw(self.dashboard, frame, now_ms, size)
        self._place.write(self._canvas.frame(picture, size))


def limits_of(project_path: Path | None) -> Config | None:
    """What this charge point may be asked for, by its evtool.toml; None without one.

    Raises:
        ConfigError: `--project` names a file that is wrong.
    """
    from evtool.cli.options import open_project
    from evtool.errors import ConfigError
    from evtool.project import find_project

    if project_path is None:
        try:
            project_path = find_project(Path.cwd())
        except ConfigError:
            return None
    return Config(**asdict(open_project(project_path).limits))
