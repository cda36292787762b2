# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts with both sides of the wire: their files, streams, tolerances, random lives."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.errors import ConfigError
from evtool.protocol.ocpp16 import render_timestamp
from evtool.reference_impl.charge_point.mode import MICROOCPP_1_2_0, STRICT, Mode
from evtool.reference_impl.ocpp_lockstep import FIRMWARE
from evtool.verify import ocpp_library_dir
from evtool.verify.ocpp.compare import compare
from evtool.verify.ocpp.csms import NOON_MS, Oddity, ScriptedCsms
from evtool.verify.ocpp.departures import explanation_of
from evtool.verify.ocpp.random_script import random_script, render_script
from evtool.verify.ocpp.record import Message, Record
from evtool.verify.ocpp.tolerances import Tolerances
from evtool.verify.scenario import load_scenario, parse_scenario

SCRIPT = """\
title = "t"
rule = "r"
duration = "30s"
[ocpp]
configuration = { HeartbeatInterval = "10" }
id_tags = { BAD = "Blocked" }
[[event]]
at = "5s"
do = "card"
id_tag = "TAG"
"""


def call(at_s: float, action: str, **payload: Any) -> Message:
    return Message(round(at_s * 1000), True, "call", f"{at_s}", action, payload)


def status(
    at_s: float, name: str, *, since_s: float | None = None, error: str = "NoError"
) -> Message:
    told = render_timestamp(NOON_MS + round((at_s if since_s is None else since_s) * 1000))
    return call(
        at_s, "StatusNotification", connectorId=1, status=name, errorCode=error, timestamp=told
    )


def differences(ours: list[Message], theirs: list[Message], **tolerances: int) -> list[str]:
    found = compare(Record(ours), Record(theirs), Tolerances(**tolerances))
    return [str(each) for each in found.differences]


@pytest.mark.parametrize("mode", [STRICT, MICROOCPP_1_2_0, FIRMWARE], ids=lambda m: m.name)
def test_a_mode_reaches_another_process(mode: Mode) -> None:
    there = pickle.loads(pickle.dumps(mode))  # noqa: S301 - our own
    assert there == mode
    with pytest.raises(TypeError):
        there.defaults["HeartbeatInterval"] = "1"


def test_a_script_is_read() -> None:
    scenario = parse_scenario(SCRIPT, Path("x.toml"))
    assert scenario.ocpp is not None
    assert scenario.ocpp["id_tags"] == {"BAD": "Blocked"}
    assert scenario.events[0].action == "card"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("[ocpp]", "[other]", "only beside a table"),
        ('do = "card"', 'do = "remote_start"', "not beside a table"),
        ('id_tag = "TAG"', 'id_tag = 5', "must be of type str"),
        ("[ocpp]", "[ocpp]\nboot = []", "boot must be a list"),
        ("[ocpp]", "[ocpp]\ninterval = -1", "interval must be"),
        ("[ocpp]", "[ocpp]\nspeed = 1", "unknown key speed"),
        ('"Blocked"', '"Gone"', "each is one of"),
        ('{ HeartbeatInterval = "10" }', "{ HeartbeatInterval = 10 }", "configuration must be"),
        ('do = "card"', 'expect = { plugged = 1 }', "output or absent alone"),
        ('duration = "30s"', 'duration = "30s"\ntick_ms = 200', "1 to 100"),
    ],
)  # fmt: skip
def test_mistakes_are_named(old: str, new: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse_scenario(SCRIPT.replace(old, new), Path("x.toml"))


@pytest.mark.parametrize("path", sorted(ocpp_library_dir().glob("*.toml")), ids=lambda p: p.stem)
def test_each_of_the_library_is_a_script(path: Path) -> None:
    scenario = load_scenario(path)
    assert scenario.ocpp is not None
    assert scenario.events


def test_streams_may_overtake_each_other() -> None:
    start = call(10, "StartTransaction", connectorId=1, idTag="A", meterStart=0)
    charging = status(10.1, "Charging")
    assert not differences([start, charging], [charging, start])
    assert differences(
        [status(5, "Preparing"), status(10, "Charging")],
        [status(5, "Charging"), status(10, "Preparing")],
    )


@given(st.integers(0, 6_000))
def test_times_are_held_to_their_tolerance(late_ms: int) -> None:
    found = differences(
        [call(10, "Authorize", idTag="A")],
        [call(10 + late_ms / 1000, "Authorize", idTag="A")],
        sent_ms=3_000,
    )
    assert bool(found) == (late_ms > 3_000)


def test_a_status_that_did_not_last_need_not_be_told() -> None:
    short = [status(5, "Preparing"), status(20, "Charging"), status(20.5, "Finishing")]
    assert not differences(short, [short[0], short[2]])
    long = [short[0], short[1], status(25, "Finishing")]
    assert differences(long, [long[0], long[2]])


def test_a_missing_and_an_extra_message_are_told_apart() -> None:
    one, two = call(5, "Authorize", idTag="A"), call(9, "Authorize", idTag="B")
    assert differences([one, two], [one]) == [
        "authorization: Authorize B: reference yes, device (nothing)"
    ]
    assert differences([one], [one, two]) == [
        "authorization: Authorize B: reference (nothing), device yes"
    ]


def test_a_register_is_held_to_the_controller_to_the_wh() -> None:
    state = {"stored_mwh": "7400", "transaction": "1", "permitted": "1", "energised": "1",
             "limit_ma": "-"}  # fmt: skip
    told = render_timestamp(NOON_MS + 10_000)
    for meter, wrong in ((7, False), (8, True), (6, True)):
        stop = call(10, "StopTransaction", meterStop=meter, timestamp=told, transactionId=1)
        record = Record([stop], states=[(9_000, state)])
        found = compare(record, record, Tolerances()).differences
        assert bool(found) == wrong


def test_answers_are_those_to_the_same_calls() -> None:
    def life(first: str, second: str) -> Record:
        messages = []
        for number, answer in enumerate((first, second)):
            messages += [
                Message(number, False, "call", f"c{number}", "ClearCache", {}),
                Message(number, True, "result", f"c{number}", "ClearCache", {"status": answer}),
            ]
        return Record(messages)

    found = compare(life("Accepted", "Rejected"), life("Rejected", "Accepted"), Tolerances())
    assert len(found.differences) == 2


def test_a_known_departure_is_known_and_others_are_not() -> None:
    def life(code: str) -> Record:
        return Record(
            [
                Message(1, False, "call", "c", "Reset", {}),
                Message(1, True, "error", "c", "Reset", {}, code),
            ]
        )

    found = compare(life("FormationViolation"), life("PropertyConstraintViolation"), Tolerances())
    (difference,) = found.differences
    departure = explanation_of(difference, found)
    assert departure is not None
    assert departure.name == "error code"
    found = compare(Record([call(1, "Authorize", idTag="A")]), Record(), Tolerances())
    assert explanation_of(found.differences[0], found) is None


def test_the_central_system_answers_as_it_is_told() -> None:
    record = Record()
    csms = ScriptedCsms(["Pending", "Accepted"], 7, record)
    csms.on_line("connect ws://x -", 0)
    assert csms.tick(0) == ["ws open"]
    answers = []
    for number in range(3):
        csms.on_line(f'send [2,"b{number}","BootNotification",{{}}]', 0)
        answers += csms.tick(0)
    assert [("Pending" in each, "Accepted" in each) for each in answers] == [
        (True, False), (False, True), (False, True),
    ]  # fmt: skip
    csms.odd("Heartbeat", Oddity("error", "GenericError"), 1)
    csms.odd("Heartbeat", Oddity("silence"), 1)
    csms.odd("Heartbeat", Oddity("drop"), 1)
    for number in range(3):
        csms.on_line(f'send [2,"h{number}","Heartbeat",{{}}]', 10)
    assert csms.tick(10) == ['ws recv [4,"h0","GenericError","",{}]', "ws closed"]
    start = '{"connectorId":1,"idTag":"A","meterStart":0}'
    csms.on_line("connect ws://x -", 20)
    csms.tick(20)
    for number in range(2):  # the same told twice is one transaction
        csms.on_line(f'send [2,"s{number}","StartTransaction",{start}]', 20)
    assert all('"transactionId":1' in line for line in csms.tick(20))
    csms.call("RemoteStopTransaction", {"transactionId": "$transaction", "x": ["$now+60"]}, 30)
    assert '{"transactionId":1,"x":["2024-05-01T12:01:00Z"]}' in csms.tick(30)[0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_random_life_follows_from_its_seed_and_survives_its_file(seed: int) -> None:
    scenario = random_script(seed)
    assert scenario == random_script(seed)
    read = parse_scenario(render_script(scenario, ("found",)), Path("life.toml"))
    assert [(e.at_ms, e.action, dict(e.parameters)) for e in read.events] == [
        (e.at_ms, e.action, dict(e.parameters)) for e in scenario.events
    ]
    assert read.duration_ms == scenario.duration_ms
    assert read.tick_ms == scenario.tick_ms
