# SPDX-License-Identifier: GPL-3.0-or-later
"""Cuts a log into stretches in which everything was on view, from one start of the unit at most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from evtool.protocol.console import Record, parse_line
from evtool.protocol.console_log import LoggedLine

VIEWS = ("bms", "power_module", "output", "terminal")
LONGEST_GAP_MS = 2600
"""Two prints of a view may be lost or late; after more nobody knows what went on."""

FIRST_VIEW_MS = 6000
"""So long after its start a unit may show nothing: the monitor has yet to ask for the view."""

LONGEST_MS = 30 * 60_000
SHORTEST_MS = 5000
_ONE_PRINT_MS = 200  # within so much a round of all views is printed and read


@dataclass(slots=True)
class Entry:
    """One record or event of the log.

    Attributes:
        at_ms: on the log's clock.
        number: which line of the log.
    """

    at_ms: int
    record: Record
    number: int

    @property
    def kind(self) -> str:
        """What happened, for an event; "" for a view's record."""
        return self.record.kind

    def word(self, key: str) -> str:
        """A field of an event."""
        value = self.record.fields.get(key)
        return value if isinstance(value, str) else ""

    def figure(self, name: str) -> int | None:
        """A number of a record; None where it is unknown."""
        value = self.record.fields.get(name)
        return value if isinstance(value, int) else None


@dataclass(slots=True)
class Stretch:
    """What a unit said while all four views were printed.

    Attributes:
        port: of which unit.
        booted: whether it begins with the unit's own start, before which there is nothing.
        entries: in order of time.
    """

    port: str
    booted: bool
    entries: list[Entry] = field(default_factory=list)

    @property
    def begin_ms(self) -> int:
        """The first entry's time."""
        return self.entries[0].at_ms

    @property
    def end_ms(self) -> int:
        """The last one's."""
        return self.entries[-1].at_ms

    def records(self, name: str) -> list[Entry]:
        """The entries of one view."""
        return [each for each in self.entries if each.record.name == name]

    def events(self, kind: str) -> list[Entry]:
        """The events of one kind."""
        return [each for each in self.entries if each.kind == kind]


@dataclass(slots=True)
class Cut:
    """A whole log.

    Attributes:
        left_out_ms: how much of its time is in no stretch.
    """

    stretches: list[Stretch]
    left_out_ms: int


def cut_log(lines: Iterable[LoggedLine]) -> Cut:
    """The stretches of every port, in the order in which they begin.

    A log's clock that goes back begins another stretch: the file holds several runs.
    """
    cutters: dict[str, _Cutter] = {}
    for line in lines:
        cutter = cutters.setdefault(line.port, _Cutter(line.port))
        record = parse_line(line.text)
        if isinstance(record, Record):
            cutter.add(Entry(line.at_ms, record, line.number))
        elif line.text.startswith(("rst:0x", "ets ")):
            cutter.end()  # the chip has started anew; its firmware will say so
    for cutter in cutters.values():
        cutter.end()
    stretches = [each for cutter in cutters.values() for each in cutter.done]
    whole_ms = sum(cutter.whole_ms for cutter in cutters.values())
    judged_ms = sum(each.end_ms - each.begin_ms for each in stretches)
    return Cut(sorted(stretches, key=lambda each: each.begin_ms), max(0, whole_ms - judged_ms))


class _Cutter:
    """One port's lines on their way."""

    def __init__(self, port: str) -> None:
        self.done: list[Stretch] = []
        self.whole_ms = 0
        self._port = port
        self._now: Stretch | None = None
        self._seen_ms: dict[str, int] = {}
        self._last_ms: int | None = None

    def add(self, entry: Entry) -> None:
        if self._last_ms is not None:
            if entry.at_ms < self._last_ms:
                self.end()
            else:
                self.whole_ms += entry.at_ms - self._last_ms
        self._last_ms = entry.at_ms
        if entry.kind == "boot":
            self.end()
            self._now = Stretch(self._port, booted=True)
            self._seen_ms = {}
        elif self._now is not None and self._blind(self._now, entry.at_ms):
            self.end()
        if self._now is None:
            self._now = Stretch(self._port, booted=False)
        if entry.record.name in VIEWS:
            self._seen_ms[entry.record.name] = entry.at_ms
        self._now.entries.append(entry)

    def _blind(self, stretch: Stretch, now_ms: int) -> bool:
        """Whether some view has been missing for too long, or this is long enough."""
        if now_ms - stretch.begin_ms > LONGEST_MS:
            return True
        grace_ms = FIRST_VIEW_MS if stretch.booted else LONGEST_GAP_MS
        return any(
            now_ms - self._seen_ms[name] > LONGEST_GAP_MS
            if name in self._seen_ms
            else now_ms - stretch.begin_ms > grace_ms
            for name in VIEWS
        )

    def end(self) -> None:
        """What there is goes as far as everything was on view."""
        if self._now is not None:
            self.done += _trimmed(self._now)
        self._now = None
        self._seen_ms = {}


def _trimmed(stretch: Stretch) -> Iterator[Stretch]:
    """The stretch from its first round of views to its last, if that is worth anything."""
    entries = stretch.entries
    times = {name: [each.at_ms for each in entries if each.record.name == name] for name in VIEWS}
    if not all(times.values()):
        return
    # A round that was on its way already is left out: the first has all that there is to know.
    first_ms = max(found[0] for found in times.values()) - _ONE_PRINT_MS
    last_ms = min(found[-1] for found in times.values()) + _ONE_PRINT_MS
    kept = [
        each
        for each in entries
        if each.at_ms <= last_ms and (stretch.booted or each.at_ms >= first_ms)
    ]
    if kept and kept[-1].at_ms - kept[0].at_ms >= SHORTEST_MS:
        yield Stretch(stretch.port, stretch.booted, kept)
