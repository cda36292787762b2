# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays a scenario to the reference and to a device, and judges what went over the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice

from evtool.verify.expectations import first_missing, matches
from evtool.verify.ocpp.compare import Compared, WireDifference, compare
from evtool.verify.ocpp.departures import Departure, explanation_of
from evtool.verify.ocpp.life import Life
from evtool.verify.ocpp.outcome import Explained, WireOutcome
from evtool.verify.ocpp.record import Message, Record
from evtool.verify.ocpp.streams import Item
from evtool.verify.ocpp.tolerances import Tolerances
from evtool.verify.ocpp.unit import OcppDevice, ReferenceDevice, UnitGaveUp
from evtool.verify.scenario import Event, Scenario
from evtool.verify.verdict import FailedExpectation, GaveUp, Verdict

_AROUND = 5
_MOST_STREAMS = 4
_WIDTH = 74


def run_ocpp(
    scenario: Scenario,
    reference: OcppDevice,
    device: OcppDevice,
    tolerances: Tolerances | None = None,
) -> Verdict:
    """Play `scenario` to both, each with a vehicle, a module and a central system of its own.

    Where the device is a reference too, every difference is a departure of its mode, and it is
    the one that the scenario expects something of: scenarios are written for the firmware.
    """
    tolerances = tolerances or Tolerances()
    ours = record_of(scenario, reference)
    theirs = ours if isinstance(ours, GaveUp) else record_of(scenario, device)
    if isinstance(ours, GaveUp) or isinstance(theirs, GaveUp):
        ended = ours if isinstance(ours, GaveUp) else theirs
        assert isinstance(ended, GaveUp)  # noqa: S101 - one of the two is
        return Verdict(scenario, device.name, 0, ended=ended)
    compared = compare(ours, theirs, tolerances)
    is_reference = isinstance(device, ReferenceDevice)
    return Verdict(
        scenario,
        device.name,
        sum(each.sent for each in ours.messages),
        failed=tuple(_failed(scenario, theirs if is_reference else ours)),
        wire=departures_of(compared) if is_reference else outcome_of(compared),
        tolerances=tolerances.as_dict(),
    )


def record_of(scenario: Scenario, device: OcppDevice) -> Record | GaveUp:
    """One life of a fresh unit."""
    with device.fresh() as unit:
        life = Life(scenario, unit)
        try:
            return life.run()
        except UnitGaveUp as error:
            last = tuple(_line(each) for each in life.record.messages[-20:])
            return GaveUp(str(error), life.now_ms, len(life.record.messages), "", last)


def outcome_of(compared: Compared) -> WireOutcome:
    """The differences, sorted into those that a known departure explains, and the others."""
    unexplained: list[WireDifference] = []
    explained: dict[str, list[WireDifference]] = {}
    departures: dict[str, Departure] = {}
    for each in compared.differences:
        departure = explanation_of(each, compared)
        if departure is None:
            unexplained.append(each)
        else:
            departures[departure.name] = departure
            explained.setdefault(departure.name, []).append(each)
    return WireOutcome(
        tuple(unexplained),
        tuple(
            Explained(name, departures[name].title, len(found), found[0])
            for name, found in explained.items()
        ),
        tuple(_sides(compared, unexplained)),
    )


def departures_of(compared: Compared) -> WireOutcome:
    """The differences of two modes of the reference, by stream and field."""
    found: dict[str, list[WireDifference]] = {}
    for each in compared.differences:
        stream = each.stream.rstrip("0123456789 ")
        name = f"{stream} {each.what if not each.field or stream == 'configuration' else ''}"
        found.setdefault(f"{name.strip()} {each.field}".strip(), []).append(each)
    return WireOutcome(
        (),
        tuple(
            Explained(name, str(those[0]), len(those), those[0]) for name, those in found.items()
        ),
        (),
    )


def _sides(compared: Compared, unexplained: Sequence[WireDifference]) -> Iterator[str]:
    """The first difference of each stream, with what both have about it, side by side."""
    first = {each.stream: each for each in reversed(unexplained)}
    in_order = sorted(first.values(), key=lambda each: each.at_ms)
    for difference in islice(in_order, _MOST_STREAMS):
        name = difference.stream
        ours = compared.reference.items.get(name, [])
        theirs = compared.device.items.get(name, [])
        yield f"{name}:"
        yield f"    {'reference':{_WIDTH}}   device"
        start = max(0, min(difference.reference_at, difference.device_at) - _AROUND)
        end = max(difference.reference_at, difference.device_at) + _AROUND
        shift = difference.device_at - difference.reference_at
        for number in range(start, end):
            left, right = _item(ours, number), _item(theirs, number + shift)
            if left or right:
                mark = "*" if number == difference.reference_at else " "
                yield f"  {mark} {left[:_WIDTH]:{_WIDTH}} | {right[:_WIDTH]}"
        if len(in_order) > _MOST_STREAMS and difference is in_order[_MOST_STREAMS - 1]:
            yield f"and {len(in_order) - _MOST_STREAMS} more streams"


def _item(items: Sequence[Item], number: int) -> str:
    return str(items[number]) if 0 <= number < len(items) else ""


def _failed(scenario: Scenario, record: Record) -> Iterator[FailedExpectation]:
    """What the scenario expects, in vain."""
    for event in scenario.events:
        if event.expects:
            lines = [
                _line(each)
                for each in record.messages
                if each.sent and event.at_ms - event.within_ms < each.at_ms <= event.at_ms
            ]
            yield from _missed(event, lines)


def _missed(event: Event, lines: Sequence[str]) -> Iterator[FailedExpectation]:
    missing = first_missing(event.output, lines)
    if missing is not None:
        actual = "; ".join(line[:60] for line in lines[-4:]) or "(nothing)"
        yield FailedExpectation(event.at_ms, event.at_ms, event.line, "output", missing, actual)
    for pattern in event.absent:
        found = next((line for line in lines if matches(pattern, line)), None)
        if found is not None:
            yield FailedExpectation(
                event.at_ms, event.at_ms, event.line, "absent", f"no {pattern}", found
            )


def _line(message: Message) -> str:
    """`StartTransaction {...}`, `Reset.conf {...}`, `Reset.error InternalError`; sorted keys."""
    if message.kind == "error":
        return f"{message.action}.error {message.code}"
    payload = json.dumps(message.payload, sort_keys=True, separators=(",", ":"))
    return f"{message.action}{'' if message.kind == 'call' else '.conf'} {payload}"
