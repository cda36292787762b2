# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of a console, whoever wrote them: each line with its time, as far as it has one.

Three kinds are read: lines with a time before them, in one of several forms; lines as the board
printed them, without any; and the JSON lines of evtool. Bytes that are no text are shown as
`clean_text` shows them. Nothing here raises on what a log may hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, islice

from evtool.protocol.can_frame import Malformed
from evtool.protocol.console import FIELDS, Record, clean_text, parse_line, render_record

VIEW_PERIOD_MS = 1000
"""A view prints once a second (docs/serial-console.md): the clock of a log without times."""

_SAMPLE = 200  # so many lines tell which kind of log it is
_DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LoggedLine:
    """One line.

    Attributes:
        at_ms: Unix time in milliseconds where the log says the date, else milliseconds since
            some moment of its own; what `reckoned` says where it has no times.
        text: as the board printed it.
        number: which line of the log.
        port: of which port, where the log says so; "" elsewhere.
    """

    at_ms: int
    text: str
    number: int
    port: str = ""


@dataclass(frozen=True, slots=True)
class ConsoleLog:
    """A log that is being read.

    Attributes:
        form: what its times look like: `iso`, `clock`, `epoch`, `seconds`, `json`, or `none`.
        lines: its lines, in the order of the log.
    """

    form: str
    lines: Iterator[LoggedLine]

    @property
    def dated(self) -> bool:
        """Whether a line's time is a moment in the world's time."""
        return self.form in ("iso", "epoch", "json")

    @property
    def reckoned(self) -> bool:
        """Whether the log has no times, and they were counted by the views: one a second."""
        return self.form == "none"


_Found = tuple[int, int]
"""The time in milliseconds, and where the board's own text begins."""

# The blank behind the time belongs to it; what follows is the board's.
_ISO = re.compile(
    r"\[?(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
    r"(Z|[+-]\d\d:?\d\d)?\]?(?: > |: | |$)"
)
_CLOCK = re.compile(r"\[?(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\]?(?: > |: | |$)")
_EPOCH_TIME = re.compile(r"\[?(\d{9,11})\.(\d{3,9})\]?(?: > |: | |$)")
_SECONDS = re.compile(r"(?:\[ *(\d{1,8})\.(\d{3,9})\]|\+?(\d{1,8})\.(\d{3,9}))(?: > |: | |$)")
# what evtool writes with --timestamps delta or device: nothing that tells when a line came
_NO_TIME = re.compile(r"\[ *(?:-|\+?\d{1,8}\.\d{3})\] ")
_MARK = re.compile(r"<([^<>]{1,200})> ")


def read_console_log(lines: Iterable[bytes]) -> ConsoleLog:
    """Read a log's lines, with or without their ends, one at a time."""
    source = iter(lines)
    sample = list(islice(source, _SAMPLE))
    form = _form(sample)
    whole = enumerate(chain(sample, source), 1)
    texts = ((number, clean_text(line.rstrip(b"\r\n"))) for number, line in whole)
    if form == "json":
        return ConsoleLog(form, _json_lines(texts))
    if form == "none":
        marks = sum(_NO_TIME.match(clean_text(line)) is not None for line in sample)
        return ConsoleLog(form, _reckoned(texts, marked=marks * 2 > len(sample)))
    read = _READERS[form]
    bodies = [found for line in sample if (found := _body(line, read)) is not None]
    marked = sum(_MARK.match(body) is not None for body in bodies)
    told = _timed(texts, read)
    # Of a log of several ports each line has its mark; a board's own text might look like one.
    return ConsoleLog(form, _ports(told) if bodies and marked == len(bodies) else told)


def _body(line: bytes, read: Callable[[str], _Found | None]) -> str | None:
    text = clean_text(line.rstrip(b"\r\n"))
    found = read(text)
    return None if found is None else text[found[1] :]


def _ports(lines: Iterable[LoggedLine]) -> Iterator[LoggedLine]:
    """The lines of evtool's log of several ports: `<port> ` stands before each."""
    port = ""
    for line in lines:
        match = _MARK.match(line.text)
        if match is None:
            yield replace(line, port=port)
            continue
        port = match[1]
        yield replace(line, port=port, text=line.text[match.end() :])


def _form(sample: Iterable[bytes]) -> str:
    """The form that most lines have; a log that many lines do not fit has none."""
    texts = [text for text in (clean_text(line.rstrip(b"\r\n")) for line in sample) if text]
    if texts and sum(_document(text) is not None for text in texts) * 2 > len(texts):
        return "json"
    counts = {
        form: sum(read(text) is not None for text in texts) for form, read in _READERS.items()
    }
    best = max(counts, key=lambda form: counts[form])
    return best if counts[best] * 2 > len(texts) else "none"


def _iso(text: str) -> _Found | None:
    match = _ISO.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(match[index]) for index in range(1, 7))
    try:
        # A leap second counts as the one after it.
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None
    moment += timedelta(seconds=second - min(second, 59)) - _offset(match[8])
    return (moment - _EPOCH) // timedelta(milliseconds=1) + _thousandths(match[7]), match.end()


def _offset(zone: str | None) -> timedelta:
    """How far a zone is ahead of UTC; a time without one is taken for UTC."""
    if zone is None or zone == "Z":
        return timedelta()
    ahead = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return ahead if zone[0] == "+" else -ahead


def _clock(text: str) -> _Found | None:
    match = _CLOCK.match(text)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        return None
    seconds = (int(match[1]) * 60 + int(match[2])) * 60 + int(match[3])
    return seconds * 1000 + _thousandths(match[4]), match.end()


def _epoch(text: str) -> _Found | None:
    match = _EPOCH_TIME.match(text)
    return None if match is None else (int(match[1]) * 1000 + _thousandths(match[2]), match.end())


def _seconds(text: str) -> _Found | None:
    match = _SECONDS.match(text)
    if match is None:
        return None
    whole, decimals = match[1] or match[3], match[2] or match[4]
    return int(whole) * 1000 + _thousandths(decimals), match.end()


def _thousandths(decimals: str | None) -> int:
    return int(((decimals or "") + "000")[:3])


_READERS: dict[str, Callable[[str], _Found | None]] = {
    "iso": _iso,
    "epoch": _epoch,
    "clock": _clock,
    "seconds": _seconds,
}


def _timed(
    texts: Iterable[tuple[int, str]], read: Callable[[str], _Found | None]
) -> Iterator[LoggedLine]:
    """Lines with their times; one without has that of the line before it."""
    at_ms = days_ms = 0
    last: int | None = None
    for number, text in texts:
        found = read(text)
        if found is None:
            yield LoggedLine(at_ms, text, number)
            continue
        if read is _clock and last is not None and found[0] + days_ms < last - _DAY_MS // 2:
            days_ms += _DAY_MS  # past midnight
        at_ms = last = found[0] + days_ms
        yield LoggedLine(at_ms, text[found[1] :], number)


def _reckoned(texts: Iterable[tuple[int, str]], *, marked: bool) -> Iterator[LoggedLine]:
    """Lines of a log without times: a record that comes again begins the next second."""
    at_ms = 0
    seen: set[str] = set()
    for number, whole in texts:
        text = _NO_TIME.sub("", whole, count=1) if marked and _NO_TIME.match(whole) else whole
        record = parse_line(text)
        if isinstance(record, Record) and record.name in FIELDS and record.name != "event":
            if record.name in seen:
                at_ms += VIEW_PERIOD_MS
                seen.clear()
            seen.add(record.name)
        yield LoggedLine(at_ms, text, number)


def _document(text: str) -> dict[str, object] | None:
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _json_lines(texts: Iterable[tuple[int, str]]) -> Iterator[LoggedLine]:
    """The board's lines in evtool's JSON lines; what evtool says of itself is left out."""
    at_ms = 0
    for number, text in texts:
        document = _document(text)
        if document is None:
            continue  # the last line of a program that was killed may be half a line
        time = document.get("time")
        found = _iso(time) if isinstance(time, str) else None
        at_ms = at_ms if found is None else found[0]
        line = line_of_document(document)
        if line is not None:
            port = document.get("port", document.get("serial_port", ""))
            yield LoggedLine(at_ms, line, number, port if isinstance(port, str) else "")


def line_of_document(document: dict[str, object]) -> str | None:
    """The board's line behind one of evtool's JSON objects; None where there is none."""
    kind, name, fields = document.get("event"), document.get("name"), document.get("fields")
    if kind in ("record", "board_event"):
        if not isinstance(name, str) or not isinstance(fields, dict):
            return None
        event = kind == "board_event"
        return _rendered(Record("event" if event else name, fields, name if event else ""))
    text = document.get("text")
    told = kind in ("text", "malformed", "reset", "panic")
    return clean_text(text.encode("utf-8", "replace")) if told and isinstance(text, str) else None


def _rendered(record: Record) -> str | None:
    """The record as the board printed it; None where nobody could have printed it."""
    try:
        text = render_record(record)
    except (ValueError, TypeError):
        return None
    return None if isinstance(parse_line(text), Malformed) else text
