# SPDX-License-Identifier: GPL-3.0-or-later
"""`--plot FILE`: the page is written now and then while the watch runs, and at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evtool.monitor.plot.collect import MAX_PORTS, PlotCollector
from evtool.monitor.plot.html import render_html

if TYPE_CHECKING:
    import threading

    from evtool.monitor.follow import Line

EVERY_MS = 10_000
_SHARE = 20  # making the page takes at most so small a part of the time
_PIECE_MS = 25  # between two pieces of the page: the serial line is read meanwhile


class PlotFile:
    """Collects what a plot shows, and writes it.

    An HTML page is rendered piece by piece between two reads, and written by a thread, because a
    disk may take its time. A PNG takes a second of computing: it is drawn at the end alone.

    Args:
        path: `.html` or `.png`.
        dated: whether the lines' `at_ns` is Unix time.
        now_ms: the monotonic clock.
        source: what stands in the title where no port has a name.
        note: takes what a person must know of the plot: an event's name, and a line.
    """

    def __init__(
        self,
        path: Path,
        *,
        dated: bool,
        now_ms: Callable[[], int],
        source: str = "",
        note: Callable[[str, str], None] = lambda event, text: None,
    ) -> None:
        self._note = note
        self._has_told = False
        self._source = source
        self.collector = PlotCollector()
        self._path = path
        self._dated = dated
        self._now_ms = now_ms
        self._pieces: Iterator[str] | None = None
        self._page: list[str] = []
        self._begun_ms = self._next_ms = now_ms()
        self._thread: threading.Thread | None = None
        self._changed = False

    def on_lines(self, lines: Sequence[Line]) -> None:
        """Collect."""
        self.collector.on_lines(lines)
        self._changed = True
        if self.collector.left_out and not self._has_told:
            self._has_told = True
            self._note("left_out", f"{self._path}: a plot has room for {MAX_PORTS} ports")

    def on_time(self, now_ms: int) -> int | None:
        """Make a piece of the page where it is time for one."""
        if self._path.suffix.lower() != ".html":
            return None
        if now_ms < self._next_ms:
            return self._next_ms
        if self._pieces is None:
            busy = self._thread is not None and self._thread.is_alive()
            if busy or not self._changed:
                self._next_ms = now_ms + EVERY_MS
                return self._next_ms
            self._changed = False
            self._begun_ms, self._page = now_ms, []
            self._pieces = render_html(self.collector.units, dated=self._dated, source=self._source)
        piece = next(self._pieces, None)
        if piece is not None:
            self._page.append(piece)
            self._next_ms = now_ms + _PIECE_MS
            return self._next_ms
        self._pieces = None
        self._hand_to_thread("".join(self._page))
        self._next_ms = now_ms + max(EVERY_MS, _SHARE * (now_ms - self._begun_ms))
        return self._next_ms

    def finish(self) -> None:
        """Write all of it; where no board said anything, an earlier plot stays.

        Raises:
            EvtoolError: the file system refused.
        """
        from evtool.link.files import write_atomically

        if self._thread is not None:
            self._thread.join()
        units = self.collector.units
        if not units:
            return
        content: str | bytes
        if self._path.suffix.lower() == ".png":
            from evtool.monitor.plot.png import render_png

            content = render_png(units, dated=self._dated, source=self._source)
        else:
            content = "".join(render_html(units, dated=self._dated, source=self._source))
        write_atomically(self._path, content)

    def _hand_to_thread(self, page: str) -> None:
        import threading
        from contextlib import suppress

        from evtool.errors import EvtoolError
        from evtool.link.files import write_atomically

        def write() -> None:
            # What is wrong with the folder is told at the end, when the whole page is written.
            with suppress(EvtoolError):
                write_atomically(self._path, page)

        self._thread = threading.Thread(target=write, name="plot", daemon=True)
        self._thread.start()


def check_plot(path: Path) -> None:
    """Find out now what would fail at the end.

    Raises:
        EvtoolError: matplotlib is missing for a PNG; the folder is missing or closed to us.
    """
    import os

    from evtool.errors import EvtoolError

    if path.suffix.lower() == ".png":
        from evtool.monitor.plot.png import require_matplotlib

        require_matplotlib()
    folder = path.absolute().parent
    if folder.is_dir() and os.access(folder, os.W_OK):
        return
    raise EvtoolError(
        f"cannot write {path}: there is no folder {folder} that can be written",
        fix="make the folder, or name another file",
    )
