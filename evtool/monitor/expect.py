# SPDX-License-Identifier: GPL-3.0-or-later
"""What one console said and nobody has taken yet: the look-back of `expect`.

Lines wait here until an expect takes them, or a send makes them old. What was taken, and what
came before it, is gone: no text fits twice. A text (not an expression) is found in a line that
has not ended, too, such as a prompt; an expression is searched in whole lines only, or the
same bytes in other pieces would fit in other places.
"""

from __future__ import annotations

import re
from collections import deque

from evtool.monitor.follow import Line
from evtool.monitor.search import search
from evtool.protocol.console import MAX_LINE_BYTES, clean_text

KEPT_LINES = 4096
# The end of bytes of which more belongs to the same character, colour sequence or line end.
_UNSURE_END = re.compile(
    rb"(?:\r|\x1b(?:\[[0-9;?]*[ -/]*)?|[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?"
    rb"|[\xf0-\xf4][\x80-\xbf]{0,2})\Z"
)

Pattern = re.Pattern[str] | str


class Lookback:
    """The look-back of one port.

    Attributes:
        lost: lines that had to be forgotten, because nobody took them and more came.
        heard: whether the board has said anything at all.
    """

    def __init__(self) -> None:
        self.lost = 0
        self.heard = False
        self._lines: deque[tuple[Line, int]] = deque()  # and how much of it is taken
        self._unfinished = b""
        self._skip = 0  # of the unfinished line
        self._settled = 0  # of the unfinished line: what came at an earlier time than its end
        self._at_ms = -1  # when the last bytes came
        self._next_skip = 0  # of the line that is handed on next
        self._ended = False  # whether the line that is handed on next has ended by a line end
        self._looked = 0  # lines that did not fit what is looked for now

    # --- what comes -----------------------------------------------------------

    def add_bytes(self, data: bytes, at_ms: int) -> None:
        """Bytes, before the lines that they complete."""
        if at_ms != self._at_ms:
            self._settled, self._at_ms = len(self._visible()), at_ms
        _, newline, rest = data.rpartition(b"\n")
        if newline:
            self._next_skip, self._skip, self._settled = self._skip, 0, 0
            self._unfinished, self._ended = b"", True
        self._unfinished = (self._unfinished + rest)[:MAX_LINE_BYTES]

    def add_line(self, line: Line) -> None:
        """A whole line."""
        self.heard = True
        skip = self._next_skip if self._ended else self._skip
        self._next_skip = 0
        self._lines.append((line, min(skip, len(line.text))))
        if len(self._lines) > KEPT_LINES:
            self._lines.popleft()
            self._looked = max(0, self._looked - 1)
            self.lost += 1

    def lines_end(self) -> None:
        """All lines of the bytes were handed on."""
        self._ended = False

    def break_off(self) -> None:
        """The port went: what was unfinished has been handed on as a line."""
        self._unfinished, self._skip, self._next_skip, self._settled = b"", 0, 0, 0

    # --- what is taken --------------------------------------------------------

    def begin(self) -> None:
        """Something else is looked for: all that waits is looked at again."""
        self._looked = 0

    def forget(self, now_ms: int) -> None:
        """Everything so far is old, as it came before a question was sent.

        Except what came in this very moment behind a text that was taken, in the same line: in
        other pieces it would have come later.
        """
        rest = [(line, skip) for line, skip in self._lines if skip and line.at_ms == now_ms]
        self._lines = deque(rest)
        self._looked = 0
        old = self._settled if self._at_ms == now_ms else len(self._visible())
        self._skip = max(self._skip, old)

    def take(self, pattern: Pattern) -> tuple[str, re.Match[str] | None] | None:
        """Take the first line that fits, with all before it: its text and the match.

        Of a text that is found, what follows it in its line stays.
        """
        for at in range(self._looked, len(self._lines)):
            line, skip = self._lines[at]
            if isinstance(pattern, str):
                start = line.text.find(pattern, skip)
                if start >= 0:
                    self._drop(at)
                    end = start + len(pattern)
                    self._lines.appendleft((line, end))
                    return line.text[:end], None
            else:
                found = search(pattern, line.text[skip:])
                if found is not None:
                    self._drop(at)
                    return line.text, found
        self._looked = len(self._lines)
        return self._take_unfinished(pattern) if isinstance(pattern, str) else None

    def take_record(self, name: str, kind: str, fields: tuple[tuple[str, str], ...]) -> Line | None:
        """Take the first such record, with all before it."""
        for at in range(self._looked, len(self._lines)):
            line, skip = self._lines[at]
            record = line.record
            if record is None or skip or record.name != name or record.kind != kind:
                continue
            if all(_word(record.fields.get(key)) == value for key, value in fields):
                self._drop(at)
                return line
        self._looked = len(self._lines)
        return None

    def take_line(self, wanted: Line) -> None:
        """Take this line, with all before it; harmless where it is gone."""
        for at, (line, _) in enumerate(self._lines):
            if line is wanted:
                self._drop(at)
                return

    def see(self, pattern: Pattern) -> str | None:
        """The first line that fits, which stays."""
        for at in range(self._looked, len(self._lines)):
            line, skip = self._lines[at]
            if isinstance(pattern, str):
                start = line.text.find(pattern, skip)
                if start >= 0:
                    return line.text[: start + len(pattern)]
            elif search(pattern, line.text[skip:]):
                return line.text
        self._looked = len(self._lines)
        if isinstance(pattern, str) and not self._ended:
            visible = self._visible()
            start = visible.find(pattern, self._skip)
            return None if start < 0 else visible[: start + len(pattern)]
        return None

    def latest(self, count: int) -> list[str]:
        """The last lines that nobody has taken, and the unfinished one, for a failure."""
        texts = [line.text[skip:] for line, skip in list(self._lines)[-count:]]
        rest = self._visible()[self._skip :]
        return [*texts, rest] if rest else texts

    def _drop(self, last: int) -> None:
        for _ in range(last + 1):
            self._lines.popleft()
        self._looked = 0

    def _take_unfinished(self, text: str) -> tuple[str, None] | None:
        if self._ended:
            return None  # the lines before it are not all handed on yet
        visible = self._visible()
        start = visible.find(text, self._skip)
        if start < 0:
            return None
        self._lines.clear()
        self._looked = 0
        self._skip = start + len(text)
        return visible[: self._skip], None

    def _visible(self) -> str:
        """The unfinished line, as far as it is certain how it will look."""
        return clean_text(_UNSURE_END.sub(b"", self._unfinished))


def _word(value: object) -> str:
    return "-" if value is None else str(value)
