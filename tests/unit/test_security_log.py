# SPDX-License-Identifier: GPL-3.0-or-later
"""Security events: kept, told until answered, bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evtool.protocol.ocpp16 import find_violation
from evtool.reference_impl.charge_point.effects import Notify
from evtool.reference_impl.charge_point.security.security_log import EVENTS, SecurityLog
from evtool.reference_impl.charge_point.values import Persist

NOW = 1_714_564_800_000
CRITICAL = [name for name, critical in EVENTS.items() if critical]


class Bench:
    """A log with its storage."""

    def __init__(self, max_entries: int = 64) -> None:
        self.kept: dict[str, str] = {}
        self.told: list[str] = []
        self.max_entries = max_entries
        self.start()

    def start(self) -> None:
        self.log = SecurityLog(self.kept, self.max_entries)
        self.drain()

    def drain(self) -> None:
        for effect in self.log.drain():
            if isinstance(effect, Persist):
                self.kept.pop(effect.key, None)
                if effect.value is not None:
                    self.kept[effect.key] = effect.value
            if isinstance(effect, Notify):
                assert find_violation(effect.action, effect.payload) is None
                self.told.append(effect.payload["type"])

    def tick(self) -> None:
        self.log.tick(NOW)
        self.drain()


def test_critical_events_are_told_one_at_a_time() -> None:
    bench = Bench()
    bench.log.record("StartupOfTheDevice", "", None)
    bench.log.record("InvalidMessages", "x", NOW)
    bench.log.record("ResetOrReboot", "", NOW)
    bench.log.tick(None)
    bench.drain()
    assert (bench.told, bench.log.has_news()) == ([], True)
    bench.tick()
    bench.tick()
    assert bench.told == ["StartupOfTheDevice"]
    bench.log.on_not_told()
    bench.tick()
    bench.log.on_told()
    bench.tick()
    bench.log.on_told()
    bench.tick()
    assert bench.told == ["StartupOfTheDevice", "StartupOfTheDevice", "ResetOrReboot"]
    assert bench.log.waiting() == 0
    assert bench.log.render() == (
        "2024-05-01T12:00:00Z StartupOfTheDevice\n"
        "2024-05-01T12:00:00Z InvalidMessages x\n"
        "2024-05-01T12:00:00Z ResetOrReboot\n"
    )
    assert bench.log.render(NOW + 1) == bench.log.render(None, NOW - 1) == ""


def test_told_events_make_room_first() -> None:
    bench = Bench(3)
    bench.log.record("ResetOrReboot", "1", NOW)
    bench.log.record("InvalidMessages", "2", NOW)
    bench.log.record("ResetOrReboot", "3", NOW)
    bench.log.record("ResetOrReboot", "4", NOW)
    assert [line[-1] for line in bench.log.render().splitlines()] == ["1", "3", "4"]
    bench.log.record("ResetOrReboot", "5", NOW)
    assert [line[-1] for line in bench.log.render().splitlines()] == ["3", "4", "5"]


def test_clearing_is_an_event_and_loses_nothing_untold() -> None:
    bench = Bench()
    bench.log.record("InvalidMessages", "", NOW)
    bench.log.record("ResetOrReboot", "", NOW)
    bench.log.clear(NOW)
    assert [line.split()[1] for line in bench.log.render().splitlines()] == [
        "ResetOrReboot",
        "SecurityLogWasCleared",
    ]


def test_the_csms_may_not_want_to_hear() -> None:
    bench = Bench()
    bench.log.record("ResetOrReboot", "", NOW, told=False)
    bench.tick()
    assert (bench.told, len(bench.log)) == ([], 1)


@given(st.lists(st.sampled_from(["record", "tick", "answer", "none", "cut", "clear"]), max_size=40))
def test_every_event_reaches_the_csms_over_any_cuts(sequence: list[str]) -> None:
    bench = Bench()
    recorded: list[str] = []
    heard: list[str] = []
    for step in sequence:
        match step:
            case "record":
                recorded.append(CRITICAL[len(recorded) % len(CRITICAL)])
                bench.log.record(recorded[-1], f"{len(recorded)}", NOW)
            case "tick":
                bench.tick()
            case "answer":
                if bench.told:
                    heard += bench.told[-1:]
                bench.told.clear()
                bench.log.on_told()
            case "none":
                bench.told.clear()
                bench.log.on_not_told()
            case "clear":
                recorded.append("SecurityLogWasCleared")
                bench.log.clear(NOW)
        bench.drain()
        if step == "cut":
            bench.told.clear()
            bench.start()
    bench.told.clear()
    bench.log.on_not_told()
    while bench.log.waiting():
        bench.tick()
        heard += bench.told
        bench.told.clear()
        bench.log.on_told()
    assert heard == recorded


@given(st.dictionaries(st.sampled_from(["security.1", "security.x"]), st.text(max_size=40)))
def test_hostile_storage(stored: dict[str, str]) -> None:
    bench = Bench()
    bench.kept |= stored
    bench.start()
    assert len(bench.log) == 0
    assert not bench.kept
