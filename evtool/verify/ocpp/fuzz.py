# SPDX-License-Identifier: GPL-3.0-or-later
"""Random lives, and what is done with a difference: shrunk, and kept as a scenario file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from evtool.verify.ocpp.race import name_race
from evtool.verify.ocpp.random_script import random_script, render_script, with_events
from evtool.verify.ocpp.run import run_ocpp
from evtool.verify.ocpp.unit import OcppDevice
from evtool.verify.scenario import Event, Scenario
from evtool.verify.shrink import shrink
from evtool.verify.verdict import Verdict

_EVERY = 4


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A life that goes wrong, with the few events that make it.

    Attributes:
        of: how many events it was found in.
    """

    scenario: Scenario
    verdict: Verdict
    of: int


def run_life(seed: int, reference: OcppDevice, device: OcppDevice) -> Verdict:
    """One random life; it follows from its seed alone. Every fourth of a run is hasty."""
    hasty = (seed >> 32) % _EVERY == _EVERY - 1
    return name_race(
        run_ocpp(random_script(seed, hasty=hasty), reference, device), reference, device
    )


def narrow(
    verdict: Verdict,
    reference: OcppDevice,
    device: OcppDevice,
    out_of_time: Callable[[], bool],
    tell: Callable[[int], None],
) -> Narrowed:
    """Leave out events as long as the same thing goes wrong first.

    Args:
        tell: called with the number of events whenever it has fallen.
    """
    whole, kind = verdict.scenario, what_is_wrong(verdict)

    def fails(events: list[Event]) -> bool:
        found = run_ocpp(with_events(whole, events), reference, device)
        if what_is_wrong(found) != kind:
            return False
        tell(len(events))
        return True

    kept = shrink(list(whole.events), fails, out_of_time)
    scenario = with_events(whole, kept)
    shown = run_ocpp(scenario, reference, device)
    return Narrowed(scenario, replace(shown, seconds=verdict.seconds), len(whole.events))


def what_is_wrong(verdict: Verdict) -> str | None:
    """What two verdicts must share to be about the same fault; None if nothing is wrong."""
    if verdict.ended is not None:
        return "gave up"
    if verdict.wire is None or not verdict.wire.unexplained:
        return None
    first = verdict.wire.unexplained[0]
    stream = first.stream.rstrip("0123456789 ")
    return f"{stream} {first.field or first.what}".strip()


def render_narrowed(narrowed: Narrowed, found_by: str) -> str:
    """The scenario file that plays it."""
    events = len(narrowed.scenario.events)
    kind = what_is_wrong(narrowed.verdict) or "it does not happen again"
    return render_script(
        replace(narrowed.scenario, title=f"Found on {narrowed.verdict.device}: {kind}"),
        (f"Found by: {found_by}", f"{events} of the {narrowed.of} events that it was found in."),
    )
