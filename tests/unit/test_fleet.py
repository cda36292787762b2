# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet's parts: due times, latencies, and the life of a station in time that is not real."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point import Settings
from evtool.reference_impl.fleet.due_times import DueTimes
from evtool.reference_impl.fleet.latencies import Latencies
from evtool.reference_impl.fleet.station import Load, Station
from evtool.reference_impl.fleet.tally import Tally

NOON_MS = 1_714_564_800_000
HOUR_MS = 3_600_000


@dataclass(eq=False)
class Thing:
    due_ms: int | None = None


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.none() | st.integers(0, 50))
        | st.integers(0, 60).map(lambda now: now),
        max_size=60,
    )
)
def test_each_thing_is_due_once_at_the_last_time_that_was_set(
    steps: list[tuple[int, int | None] | int],
) -> None:
    things = [Thing() for _ in range(5)]
    due: DueTimes[Thing] = DueTimes()
    plain: dict[int, int] = {}
    for step in steps:
        if isinstance(step, int):
            expected = {number for number, at in plain.items() if at <= step}
            popped = due.pop(step)
            assert sorted(things.index(each) for each in popped) == sorted(expected)
            times = [plain.pop(things.index(each)) for each in popped]
            assert times == sorted(times)
            continue
        number, at = step
        due.set(things[number], at)
        plain.pop(number, None)
        if at is not None:
            plain[number] = at
        assert due.next_ms() == min(plain.values(), default=None)


@given(
    st.lists(st.floats(0.002, 60_000), min_size=1, max_size=200), st.sampled_from([1, 50, 90, 99])
)
def test_percentiles_are_two_percent_off_at_most(times: list[float], percent: int) -> None:
    latencies = Latencies()
    for each in times:
        latencies.add(each)
    rank = -(-len(times) * percent // 100)  # rounded up
    exact = sorted(times)[max(rank, 1) - 1]
    assert latencies.percentile_ms(percent) == pytest.approx(exact, rel=0.0205)
    assert latencies.describe()["max"] == round(max(times), 3)


def test_no_latencies_have_no_percentiles() -> None:
    assert Latencies().describe() == {"p50": 0, "p90": 0, "p99": 0, "p99.9": 0, "max": 0}


@dataclass(eq=False)
class CentralSystem:
    """Answers a station at once, unless told otherwise; keeps what it was told."""

    station: Station
    now_ms: float = 0
    calls: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    silent_about: str = ""
    refuses: str = ""
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    waiting: list[str] = field(default_factory=list)

    def send(self, text: str) -> None:
        self.waiting.append(text)

    def open(self) -> None:
        self.station.on_open(self.send, self.now_ms)
        self.answer()

    def answer(self) -> None:
        while self.waiting:
            message = ocpp16.parse_message(self.waiting.pop(0))
            if not isinstance(message, ocpp16.Call):
                continue
            assert ocpp16.find_violation(message.action, message.payload) is None
            self.calls.append((int(self.now_ms), message.action, message.payload))
            if message.action == self.silent_about:
                continue
            reply: ocpp16.Message
            if message.action == self.refuses:
                reply = ocpp16.CallError(message.unique_id, "InternalError", "")
            else:
                reply = ocpp16.CallResult(message.unique_id, self._payload(message.action))
            self.now_ms += 2
            self.station.on_text(ocpp16.render_message(reply), self.now_ms)

    def _payload(self, action: str) -> dict[str, Any]:
        now = ocpp16.render_timestamp(NOON_MS + int(self.now_ms))
        accepted = {"idTagInfo": {"status": "Accepted"}}
        match action:
            case "BootNotification":
                return {"currentTime": now, "interval": 300, "status": "Accepted"}
            case "Heartbeat":
                return {"currentTime": now}
            case "StartTransaction":
                return accepted | {"transactionId": next(self.numbers)}
            case "Authorize":
                return accepted
        return {}

    def run_until(self, end_ms: int) -> None:
        """Wake the station when it wants, and never without need."""
        while (due := self.station.next_due_ms()) is not None and due <= end_ms:
            self.now_ms = max(self.now_ms, due)
            self.station.tick(self.now_ms)
            self.answer()
        self.now_ms = end_ms

    def count(self, action: str) -> int:
        return sum(each == action for _, each, _ in self.calls)


def system(
    share: float = 0.5, transaction_ms: int = 600_000, heartbeat_s: int | None = None, seed: int = 1
) -> tuple[CentralSystem, Tally]:
    tally = Tally()
    settings = Settings("evtool", "load", id_prefix="p", presets={"MeterValueSampleInterval": "60"})
    load = Load(share, transaction_ms, "TAG", heartbeat_s)
    dice = Random(seed)  # noqa: S311 - the same life at every run
    return CentralSystem(Station(settings, load, tally, dice)), tally


def test_a_station_charges_its_share_of_the_time_and_all_is_told() -> None:
    central, tally = system(heartbeat_s=10)
    central.open()
    central.run_until(20 * HOUR_MS)
    starts, stops = central.count("StartTransaction"), central.count("StopTransaction")
    assert 55 <= starts <= 62
    assert starts - stops in (0, 1)
    assert central.count("MeterValues") == pytest.approx(starts * 9, rel=0.05)
    assert central.count("Heartbeat") == pytest.approx(20 * 360, rel=0.01)
    assert tally.transactions == starts
    assert not tally.errors
    assert tally.latencies["Heartbeat"].percentile_ms(50) == pytest.approx(2, rel=0.03)
    assert tally.sent["Heartbeat"] == tally.latencies["Heartbeat"].count
    registers = [
        payload["meterStart" if action == "StartTransaction" else "meterStop"]
        for _, action, payload in central.calls
        if action in ("StartTransaction", "StopTransaction")
    ]
    assert registers == sorted(registers)
    charged = [stop - start for start, stop in itertools.pairwise(registers)][::2][1:-1]
    assert charged == [pytest.approx(11_000 / 6, abs=2)] * len(charged), "11 kW for ten minutes"


def test_it_is_woken_for_what_it_does_and_no_more() -> None:
    """No polling: an idle hour with a heartbeat every five minutes wakes it twelve times."""
    central, _ = system(share=0)
    central.open()
    central.run_until(60_000)
    ticks = 0
    while (due := central.station.next_due_ms()) is not None and due <= HOUR_MS:
        central.now_ms = max(central.now_ms, due)
        central.station.tick(central.now_ms)
        central.answer()
        ticks += 1
    assert ticks == central.count("Heartbeat") == 11


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_none_or_all_of_the_time(share: float) -> None:
    central, _ = system(share=share)
    central.open()
    central.run_until(HOUR_MS)
    starts = central.count("StartTransaction")
    assert starts == 0 if share == 0 else 5 <= starts <= 8
    assert central.station.is_charging == (share == 1)


def test_the_fleet_is_spread_from_the_start() -> None:
    tally = Tally()
    dice = Random(5)  # noqa: S311 - the same fleet at every run
    stations = [
        Station(Settings("evtool", "load"), Load(0.3, 600_000, "TAG"), tally, dice)
        for _ in range(200)
    ]
    for station in stations:
        central = CentralSystem(station)
        central.open()
        central.run_until(1_000)
    assert 40 <= sum(station.is_charging for station in stations) <= 80


def test_leaving_ends_the_transaction_and_begins_no_other() -> None:
    central, tally = system(share=1)
    central.open()
    central.run_until(60_000)
    assert central.station.is_charging
    central.silent_about = "StopTransaction"
    central.station.leave(central.now_ms)
    central.answer()
    assert not central.station.is_done
    central.silent_about = ""
    central.run_until(HOUR_MS)
    assert central.station.is_done
    assert not central.station.is_charging
    assert central.calls[-1][1] == "Heartbeat"
    assert central.count("StartTransaction") == 1
    assert tally.errors == {"StopTransaction: no answer": 1}


def test_what_goes_wrong_is_counted_by_its_cause() -> None:
    central, tally = system(share=0, heartbeat_s=10)
    central.open()
    central.silent_about = "Heartbeat"
    central.run_until(35_000)
    assert tally.errors["Heartbeat: no answer"] == central.count("Heartbeat") - 1 == 2
    central.station.on_closed(central.now_ms)
    assert tally.errors["Heartbeat: connection lost"] == 1
    central.open()
    central.run_until(45_000)
    central.station.on_closed(central.now_ms, wanted=True)
    assert tally.errors["Heartbeat: connection lost"] == 1
    central.silent_about, central.refuses = "", "Heartbeat"
    central.open()
    central.run_until(60_000)
    assert tally.errors["Heartbeat: InternalError"] >= 1
    central.station.on_text("nonsense", central.now_ms)
    assert tally.errors["noticed: malformed message"] == 1


def test_a_refused_card_leaves_a_vehicle_without_a_transaction() -> None:
    central, tally = system(share=1)
    central.refuses = "Authorize"
    central.open()
    central.run_until(HOUR_MS)
    assert central.count("StartTransaction") == 0
    assert tally.errors["no transaction while a vehicle was there"] >= 5


def test_a_reset_starts_it_anew_on_what_it_kept() -> None:
    central, tally = system(share=1)
    central.open()
    central.run_until(60_000)
    reset = ocpp16.Call("r", "Reset", {"type": "Hard"})
    central.station.on_text(ocpp16.render_message(reset), central.now_ms)
    central.answer()
    while not central.station.must_reconnect:
        central.now_ms += 1000
        central.station.tick(central.now_ms)
        central.answer()
    central.station.must_reconnect = False
    central.station.on_closed(central.now_ms)
    assert tally.asked == {"Reset": 1}
    boots = central.count("BootNotification")
    central.open()
    central.run_until(int(central.now_ms) + 60_000)
    assert central.count("BootNotification") == boots + 1
    starts, stops = central.count("StartTransaction"), central.count("StopTransaction")
    assert (starts, stops) == (2, 1)
    json.dumps(tally.describe())
