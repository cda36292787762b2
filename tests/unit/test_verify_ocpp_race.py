# SPDX-License-Identifier: GPL-3.0-or-later
"""What only one moment brings about is a race; what lasts longer is a difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from evtool.verify.ocpp import race
from evtool.verify.ocpp.compare import WireDifference
from evtool.verify.ocpp.outcome import WireOutcome
from evtool.verify.scenario import Event, Scenario
from evtool.verify.verdict import Verdict

AT_MS = 20_000
TIMES_MS = (6_000, 12_000, 19_900, 26_000)


def life(times_ms: tuple[int, ...] = TIMES_MS) -> Scenario:
    events = tuple(Event(at_ms, 0, "card", {"id_tag": "A"}, {}) for at_ms in times_ms)
    return Scenario("life", "", "", 60_000, 100, {}, events, ocpp={})


def play(scenario: Scenario, differs: Callable[[list[int]], bool]) -> Verdict:
    wrong = differs([event.at_ms for event in scenario.events])
    difference = WireDifference("metering 1", "", "yes", "(nothing)", AT_MS, 0, 0, "MeterValues")
    return Verdict(scenario, "host", 1, wire=WireOutcome((difference,) if wrong else (), (), ()))


@pytest.mark.parametrize(
    ("differs", "times_ms", "is_race"),
    [
        (lambda at_ms: abs(at_ms[2] - AT_MS) < 200, TIMES_MS, True),
        (lambda at_ms: abs(at_ms[1] - 12_000) < 200, TIMES_MS, True),
        (lambda at_ms: at_ms[2] <= AT_MS, TIMES_MS, False),  # whatever comes before
        (lambda at_ms: at_ms[2] >= 19_900, TIMES_MS, False),  # whatever comes after
        (lambda at_ms: abs(at_ms[0] - 6_000) < 200, TIMES_MS, False),  # long ago
        (lambda at_ms: abs(at_ms[2] - AT_MS) < 200, (6_000, 12_000, 19_900, 20_000), False),
    ],
)  # the last: another event stands in the way of a nudge
def test_a_race_is_what_a_nudge_either_way_mends(
    monkeypatch: pytest.MonkeyPatch,
    differs: Callable[[list[int]], bool],
    times_ms: tuple[int, ...],
    is_race: bool,
) -> None:
    monkeypatch.setattr(race, "run_ocpp", lambda scenario, *_: play(scenario, differs))
    device: Any = None
    found = play(life(times_ms), differs)
    assert found.wrong
    judged = race.name_race(found, device, device)
    assert judged.wrong is not is_race
    assert judged.wire is not None
    assert [each.name for each in judged.wire.explained] == (["race"] if is_race else [])


def test_what_agrees_is_left_as_it_is() -> None:
    device: Any = None
    found = play(life(), lambda _: False)
    assert race.name_race(found, device, device) is found
