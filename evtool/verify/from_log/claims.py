# SPDX-License-Identifier: GPL-3.0-or-later
"""What a unit said that it did, as expectations of the reference: each at its time, give or take,
and nothing of the kind in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from evtool.reference_impl.controller_types import Fault, GateReason
from evtool.reference_impl.faults import OBEY_MS
from evtool.verify.from_log import TOLERANCE_MS
from evtool.verify.from_log.senses import PRELUDE_MS, Senses
from evtool.verify.from_log.stretches import Entry, Stretch
from evtool.verify.scenario import Event

# Which of these comes first is a matter of milliseconds that no print shows.
_SILENT = frozenset({"module_silent", "temperature_unknown"})
_ANY = frozenset(each.value for each in GateReason)


@dataclass(frozen=True, slots=True)
class _Stream:
    """One kind of event: those that are ours, and what any of them looks like."""

    pattern: str
    is_ours: Callable[[Entry], bool]


def claims(stretch: Stretch, senses: Senses, tolerance_ms: int, *, reckoned: bool) -> list[Event]:
    """Every expectation, in order of time; the line of each is that of the log.

    Args:
        reckoned: whether the times were counted by the views: then several reasons for which
            a gate closes stand at one time, and any of them may be the first.
    """
    found: list[Event] = []
    any_reason = _ANY if reckoned else _SILENT
    for stream in _streams(stretch):
        found += _of_stream(stream, stretch, senses, tolerance_ms, any_reason)
    return sorted(found, key=lambda each: each.at_ms)


def _streams(stretch: Stretch) -> Iterator[_Stream]:
    yield _Stream("console [event] gate *", partial(_is_kind, "gate"))
    # A vehicle that comes is taken from the event itself; that one left is judged.
    yield _Stream("console [event] plug state=out", _left)
    for fault in Fault:
        yield _Stream(
            f"console [event] fault name={fault.value} *",
            partial(_is_fault, fault.value),
        )
    if stretch.booted:  # else nobody knows what held when the key was pressed
        yield _Stream("console [event] start *", partial(_is_kind, "start"))
        yield _Stream("console [event] stop *", partial(_is_kind, "stop"))


def _is_kind(kind: str, entry: Entry) -> bool:
    return entry.kind == kind


def _is_fault(name: str, entry: Entry) -> bool:
    return entry.kind == "fault" and entry.word("name") == name


def _left(entry: Entry) -> bool:
    return entry.kind == "plug" and entry.word("state") == "out"


def _of_stream(
    stream: _Stream,
    stretch: Stretch,
    senses: Senses,
    tolerance_ms: int,
    any_reason: frozenset[str],
) -> Iterator[Event]:
    end_ms = senses.end_ms
    quiet_from_ms = 0 if stretch.booted else PRELUDE_MS
    for entry in stretch.entries:
        if not stream.is_ours(entry):
            continue
        at_ms = entry.at_ms - senses.origin_ms
        yield from _nothing(stream, entry.number, quiet_from_ms, at_ms - tolerance_ms)
        quiet_from_ms = at_ms + tolerance_ms
        if _is_older(entry, stretch):
            continue
        if quiet_from_ms <= end_ms:  # else the reference might still do it after the log's end
            within_ms = min(2 * tolerance_ms, quiet_from_ms)
            yield Event(
                quiet_from_ms,
                entry.number,
                None,
                {},
                {},
                output=(f"console {_line(entry, any_reason)}",),
                within_ms=within_ms,
            )
    last = stretch.entries[-1].number
    yield from _nothing(stream, last, quiet_from_ms, end_ms - tolerance_ms)


def _is_older(entry: Entry, stretch: Stretch) -> bool:
    """Whether a fault comes of what was before the stretch began, and nobody knows what.

    That is one that is cleared and was not set in it, and a module's disobedience that may have
    begun before.
    """
    if stretch.booted or entry.kind != "fault":
        return False
    name = entry.word("name")
    if entry.word("state") == "set":
        since_ms = entry.at_ms - stretch.begin_ms
        return name == Fault.MODULE_DISOBEYS.value and since_ms <= OBEY_MS + TOLERANCE_MS
    own = next(each for each in stretch.events("fault") if each.word("name") == name)
    return own is entry


def _nothing(stream: _Stream, number: int, from_ms: int, to_ms: int) -> Iterator[Event]:
    """None of the kind between two times."""
    if to_ms > from_ms:
        yield Event(
            to_ms, number, None, {}, {}, absent=(stream.pattern,), within_ms=to_ms - from_ms
        )


def _line(entry: Entry, any_reason: frozenset[str]) -> str:
    """The event as the reference must print it; a reason of `any_reason` may be another."""
    words = [f"{key}={value}" for key, value in entry.record.fields.items()]
    if entry.kind == "gate" and entry.word("reason") in any_reason:
        words = [word.partition("reason=")[0] + "reason=*" if "reason=" in word else word
                 for word in words]  # fmt: skip
    return " ".join(["[event]", entry.kind, *words])
