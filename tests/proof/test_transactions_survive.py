# SPDX-License-Identifier: GPL-3.0-or-later
"""Every transaction ends once at the CSMS with the right energy, whatever is killed when.

Two connectors, a meter each that counts only while the charge point permits, and a CSMS that
answers a Call at once, with a CallError, not at all, late, or twice. The process is killed before
what it asks to keep is kept, after that and before anything is told, or between two messages; it
starts again from what was kept. In the end the network and the CSMS behave. Then the CSMS must
have one end for every start that it has heard of, and per connector the energies of its
transactions must add up to what the meter has counted, to the watt-hour.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point import ChargePoint, Inputs, Persist, Send, Settings

Keep = Callable[[dict[str, str], dict[str, str | None]], None]

CONNECTORS = (1, 2)
NOON_MS = 1_714_564_800_000
CONFIGURATION = {
    "AllowOfflineTxForUnknownId": "true",
    "ConnectionTimeOut": "0",
    "MeterValueSampleInterval": "5",
    "StopTxnSampledData": "Energy.Active.Import.Register",
    # A CallError is an answer that the CSMS gives by mistake here, never for good.
    "TransactionMessageAttempts": "1000",
    "TransactionMessageRetryInterval": "1",
}


@dataclass
class Csms:
    """Keeps transactions; a StartTransaction that it knows already gets the same id."""

    starts: dict[tuple[Any, ...], int] = field(default_factory=dict)
    stops: dict[int, list[ocpp16.Payload]] = field(default_factory=dict)

    def take(self, action: str, payload: ocpp16.Payload, now_ms: int) -> ocpp16.Payload:
        now = ocpp16.render_timestamp(NOON_MS + now_ms)
        match action:
            case "BootNotification":
                return {"currentTime": now, "interval": 1000, "status": "Accepted"}
            case "StartTransaction":
                key = (payload["connectorId"], payload["idTag"], payload["timestamp"],
                       payload["meterStart"])  # fmt: skip
                number = self.starts.setdefault(key, len(self.starts) + 1)
                return {"transactionId": number, "idTagInfo": {"status": "Accepted"}}
            case "StopTransaction":
                told = self.stops.setdefault(payload["transactionId"], [])
                if payload not in told:
                    told.append(payload)
                return {}
            case "Authorize":
                return {"idTagInfo": {"status": "Accepted"}}
            case "Heartbeat":
                return {"currentTime": now}
        return {}


class Killed(Exception):
    """The process is gone."""


class Site:
    """The hardware, the storage and the CSMS, which outlive the process."""

    def __init__(self, keep: Keep) -> None:
        self.csms = Csms()
        self.kept: dict[str, str] = dict(CONFIGURATION)
        self.register_mwh = dict.fromkeys(CONNECTORS, 0)
        self.plugged = dict.fromkeys(CONNECTORS, False)
        self.way = "at once"
        self.kill = ""
        self.now_ms = 0
        self.open = False
        self._keep = keep
        self._late: list[str] = []
        self._lives = 0
        self.start()

    def start(self) -> None:
        self._lives += 1
        self._late.clear()
        self.charge_point = ChargePoint(
            Settings(
                "Vendor", "Model", connectors=2, id_prefix=str(self._lives), stored=dict(self.kept)
            )
        )
        self._see()
        if self.open:
            self.charge_point.on_open(self.now_ms)
            self.serve()

    def do(self, step: tuple[Any, ...]) -> None:
        # A second apart: the CSMS knows a start again by its time.
        self.now_ms += 1_000
        try:
            self._do(step)
            self.serve()
        except Killed:
            self.kill = ""
            self.start()

    def _do(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("plug", number):
                self.plugged[number] = not self.plugged[number]
                self._see()
            case ("card", id_tag, number):
                self.charge_point.on_card(id_tag, self.now_ms, number)
            case ("wait", seconds):
                self._wait(seconds)
            case ("network",):
                self._switch_network()
            case ("way", way):
                self.way = way
            case ("late",):
                late, self._late = self._late, []
                for text in late:
                    self.charge_point.on_text(text, self.now_ms)
            case ("kill", when):
                self.kill = when

    def _wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now_ms += 1_000
            for number in CONNECTORS:
                if self.plugged[number] and self.charge_point.word(number).permitted:
                    self.register_mwh[number] += 7_000
            self._see()
            self.serve()

    def _switch_network(self) -> None:
        self.open = not self.open
        if self.open:
            self.charge_point.on_open(self.now_ms)
        else:
            self._late.clear()
            self.charge_point.on_closed(self.now_ms)

    def _see(self) -> None:
        for number in CONNECTORS:
            plugged = self.plugged[number]
            inputs = Inputs(plugged, plugged, True, self.register_mwh[number])
            self.charge_point.on_inputs(inputs, self.now_ms, number)

    def serve(self) -> None:
        while outputs := self.charge_point.drain():
            kept = {each.key: each.value for each in outputs if isinstance(each, Persist)}
            sent = [each.text for each in outputs if isinstance(each, Send)]
            if self.kill == "before":
                raise Killed
            self._keep(self.kept, kept)
            for number, text in enumerate(sent):
                if self.kill and (self.kill == "after" or number):
                    raise Killed
                self._hear(text)
            if self.kill == "after":
                raise Killed

    def _hear(self, text: str) -> None:
        if not self.open:
            return
        kind, unique_id, action, payload = json.loads(text)[:4]
        assert kind == 2
        assert ocpp16.find_violation(action, payload) is None, (action, payload)
        if self.way == "not at all":
            return
        if self.way == "with an error" and action != "BootNotification":
            answer = json.dumps([4, unique_id, "InternalError", "", {}])
        else:
            answer = json.dumps([3, unique_id, self.csms.take(action, payload, self.now_ms)])
        if self.way == "late":
            self._late.append(answer)
            return
        self.charge_point.on_text(answer, self.now_ms)
        if self.way == "twice":
            self.charge_point.on_text(answer, self.now_ms)

    def settle(self) -> None:
        """All is well from now on, and everybody leaves."""
        self.kill, self.way = "", "at once"
        if not self.open:
            self.do(("network",))
        for number in CONNECTORS:
            if self.plugged[number]:
                self.do(("plug", number))
        self.do(("wait", 120))


def keep_all(kept: dict[str, str], changed: dict[str, str | None]) -> None:
    for key, value in changed.items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = value


def live(
    steps: list[tuple[Any, ...]],
    keep: Keep = keep_all,
) -> Site:
    site = Site(keep)
    site.do(("network",))
    for step in steps:
        site.do(step)
    site.settle()
    return site


def check(site: Site) -> None:
    csms = site.csms
    assert set(csms.stops) == set(csms.starts.values()), "an end for every start, and no other"
    counted_wh = dict.fromkeys(CONNECTORS, 0)
    for (connector, _, _, meter_start), number in csms.starts.items():
        ends = csms.stops[number]
        assert len(ends) == 1, "told again, an end is the same"
        assert ends[0]["meterStop"] >= meter_start
        counted_wh[connector] += ends[0]["meterStop"] - meter_start
    assert counted_wh == {n: site.register_mwh[n] // 1000 for n in CONNECTORS}
    left = [key for key in site.kept if key.startswith(("transaction.", "message."))]
    assert left == []


steps = st.one_of(
    st.tuples(st.just("plug"), st.sampled_from(CONNECTORS)),
    st.tuples(
        st.just("card"), st.sampled_from(["A", "B"]), st.sampled_from([1, 2, None])
    ),
    st.tuples(st.just("wait"), st.integers(1, 12)),
    st.tuples(st.just("network")),
    st.tuples(
        st.just("way"),
        st.sampled_from(["at once", "with an error", "not at all", "late", "twice"]),
    ),
    st.tuples(st.just("late")),
    st.tuples(st.just("kill"), st.sampled_from(["before", "after", "between"])),
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, max_size=25))
def test_every_transaction_ends_once_with_its_energy(events: list[tuple[Any, ...]]) -> None:
    check(live(events))


STORY = [
    ("plug", 1), ("card", "A", 1), ("wait", 7), ("plug", 2), ("card", "B", None), ("wait", 12),
    ("network",), ("card", "A", 1), ("wait", 3), ("plug", 1), ("plug", 1), ("card", "A", 1),
    ("wait", 6), ("network",), ("wait", 2), ("card", "B", 2), ("wait", 6), ("card", "A", 1),
    ("wait", 1),
]  # fmt: skip


@pytest.mark.parametrize("when", ["before", "after", "between"])
@pytest.mark.parametrize("way", ["at once", "with an error", "not at all", "late", "twice"])
def test_a_kill_at_every_point_of_a_whole_story(when: str, way: str) -> None:
    for point in range(len(STORY)):
        events = list(STORY)
        events[point:point] = [("way", way), ("kill", when)]
        events[point + 3 : point + 3] = [("wait", 3), ("late",), ("way", "at once")]
        check(live(events))


def test_the_story_holds_what_it_is_to_show() -> None:
    site = live(list(STORY))
    assert len(site.csms.starts) == 3
    assert all(value > 0 for value in site.register_mwh.values())


def test_what_is_not_kept_is_noticed() -> None:
    """The proof can fail: without the messages that were kept, an end is lost."""

    def forget_messages(kept: dict[str, str], changed: dict[str, str | None]) -> None:
        keep_all(kept, {k: v for k, v in changed.items() if not k.startswith("message.")})

    def check_all(keep: Keep) -> None:
        for point in range(len(STORY)):
            check(live([*STORY[:point], ("kill", "after"), *STORY[point:]], keep))

    check_all(keep_all)
    with pytest.raises(AssertionError):
        check_all(forget_messages)
