# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a difference is a race: two things within one moment, of which either may be seen first.

Both charge points act in turns, but what one of them hears in this turn the other may hear in the
next: a stop, say, in the tenth of a second in which a sample is due. Nothing says which comes
first. What differs, and agrees as soon as an event shortly before it comes a little earlier and a
little later, is such a race; a rule that one of them breaks is broken in one of the two as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from evtool.verify.ocpp.outcome import Explained, WireOutcome
from evtool.verify.ocpp.random_script import with_events
from evtool.verify.ocpp.run import run_ocpp
from evtool.verify.ocpp.unit import OcppDevice
from evtool.verify.scenario import Event
from evtool.verify.verdict import Verdict

NAME = "race"
NUDGE_MS = 300
"""Three turns: beyond one moment, and far below everything that OCPP times."""
_LOOK_BACK_MS = 10_000
_MOST_SUSPECTS = 3


def name_race(verdict: Verdict, reference: OcppDevice, device: OcppDevice) -> Verdict:
    """The verdict, with its differences under `NAME` where they are a race."""
    wire = verdict.wire
    if wire is None or not wire.unexplained or verdict.failed or verdict.ended is not None:
        return verdict
    events = verdict.scenario.events
    first = min(wire.unexplained, key=lambda each: each.at_ms)
    for place in _suspects(events, first.at_ms):
        others = [_nudged(events, place, by_ms) for by_ms in (-NUDGE_MS, NUDGE_MS)]
        if all(
            other is not None
            and not run_ocpp(with_events(verdict.scenario, other), reference, device).wrong
            for other in others
        ):
            event = events[place]
            title = f"{event.action} at {event.at_ms} ms and what differs fall into one moment"
            found = Explained(NAME, title, len(wire.unexplained), first)
            return replace(verdict, wire=WireOutcome((), (*wire.explained, found), ()))
    return verdict


def _suspects(events: Sequence[Event], at_ms: int) -> Iterator[int]:
    """The places of the last events before a moment, the latest first."""
    near = [
        place
        for place, event in enumerate(events)
        if at_ms - _LOOK_BACK_MS <= event.at_ms <= at_ms + NUDGE_MS
    ]
    yield from reversed(near[-_MOST_SUSPECTS:])


def _nudged(events: Sequence[Event], place: int, by_ms: int) -> list[Event] | None:
    """The events with one of them moved; None where another one stands in its way."""
    moved = events[place].at_ms + by_ms
    before = events[place - 1].at_ms if place else 0
    after = events[place + 1].at_ms if place + 1 < len(events) else moved + 1
    if not before < moved < after:
        return None
    return [*events[:place], replace(events[place], at_ms=moved), *events[place + 1 :]]
