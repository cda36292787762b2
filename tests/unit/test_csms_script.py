# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts: commands, waits with deadlines, expectations."""

from __future__ import annotations

import asyncio
import json
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.errors import CheckFailed
from evtool.virtual.csms import Csms, Event
from evtool.virtual.csms.control import Control
from evtool.virtual.csms.script import EVENTS, Script, fill


def event(action: str, **payload: object) -> Event:
    return {
        "event": "message",
        "station": "CP",
        "direction": "received",
        "type": "call",
        "action": action,
        "payload": payload,
    }


def run(text: str, *events: Event) -> int:
    async def main() -> int:
        csms = Csms({"CP": None}, open_to_all=False, clock=lambda: 0, report=lambda _: None)
        script = Script("test", text, Control(csms))
        for each in events:
            script.on_event(each)
        return await script.run()

    return asyncio.run(main())


def test_it_passes() -> None:
    lines = run(
        """
        # a comment
        wait 5 connected CP
        wait 5 received CP StatusNotification connectorId=1 status=Charging
        id_tag ${status} Blocked
        expect id_tag=Charging status=Blocked
        remote_stop CP
        expect refused no transaction runs
        registration CP Pending 10
        expect status=Pending interval=10
        never 0 received CP Heartbeat
        pause 0
        """,
        {"event": "connected", "station": "CP"},
        event("StatusNotification", connectorId=0, status="Available"),
        {"event": "connected", "station": "CP-2"},
        event("StatusNotification", connectorId=1, status="Charging"),
    )
    assert lines == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wait 0.01 connected CP", "test:1: .*within 0.01 s; the last was: received Heartbeat"),
        ("\nwait 1 received CP Heartbeat a=1", "test:2: .*"),
        ("id_tag A Blocked\nexpect status=Accepted", "test:2: .*status is Blocked, not Accepted"),
        ("id_tag A Blocked\nexpect refused", "was not refused"),
        ("remote_stop CP", "test:1: .*no transaction runs"),
        ("remote_stop CP\nexpect refused because", "it was refused, but"),
        ("reset CP", "not connected"),
        ("never 5 received CP Heartbeat", "it came"),
    ],
)
def test_it_fails_and_says_where(text: str, message: str) -> None:
    with pytest.raises(CheckFailed, match=message):
        run(text.replace("wait 1 ", "wait 0.01 "), event("Heartbeat"))


def test_no_key_is_shown() -> None:
    with pytest.raises(CheckFailed) as failed:
        run("set_configuration CP AuthorizationKey hushhushhushhush")
    assert "hush" not in str(failed.value)


def test_never_takes_nothing() -> None:
    text = """
        wait 5 connected CP
        never 0 received CP Heartbeat
        never 0 received CP Heartbeat
        wait 5 received CP StatusNotification status=Charging
        wait 5 received CP StatusNotification status=Finishing
        never 0 received CP StatusNotification status=Charging
    """
    events = [event("StatusNotification", status=each) for each in ("Charging", "Finishing")]
    assert run(text, {"event": "connected", "station": "CP"}, *events) == 6


def test_never_looks_at_what_came_before_it() -> None:
    text = "never 0 received CP Authorize\nnever 5 received CP StatusNotification"
    with pytest.raises(CheckFailed, match=r"test:2: .*it came"):
        run(text, event("StatusNotification"), event("Heartbeat"))


def test_what_a_station_says_stays_one_word() -> None:
    tag = "A B' $(x) \\"
    lines = run(
        """
        wait 5 received CP Authorize
        id_tag ${idTag} Blocked
        wait 5 received CP StartTransaction idTag=${id_tag} meterStart=7
        id_tag "${idTag}" Expired - "${parent}"
        """,
        event("Authorize", idTag=tag),
        event("StartTransaction", idTag=tag, meterStart=7, parent="P Q"),
    )
    assert lines == 4


@given(st.text(max_size=20), st.integers(), st.booleans())
def test_fields_in_json_stay_what_they_are(text: str, number: int, flag: bool) -> None:
    taken: Event = {"event": "x", "payload": {"text": text, "number": number, "flag": flag}}
    template = '{"a": "<${text}>", "b": ${text}, "c": ${number}, "d": "\\"${number}", "e": ${flag}}'
    line = fill("call CP DataTransfer " + template, taken)
    name, station, action, body = line.split(" ", 3)
    assert (name, station, action) == ("call", "CP", "DataTransfer")
    assert json.loads(body) == {
        "a": f"<{text}>",
        "b": text,
        "c": number,
        "d": f'"{number}',
        "e": flag,
    }
    words = shlex.split(fill('id_tag ${text} "<${text}>" x=${number} ${nothing}', taken))
    assert words == ["id_tag", text, f"<{text}>", f"x={number}", "${nothing}"]


def test_a_station_does_not_make_more_words_of_a_call() -> None:
    with pytest.raises(ValueError, match="no station or action"):
        fill("call ${x} Reset {}", {"event": "x", "x": 'CP Reset {"type": "Hard"}'})
    with pytest.raises(CheckFailed, match="test:2"):
        run("wait 5 received CP Authorize\nid_tag 'x ${a}", event("Authorize", a="b"))


@pytest.mark.parametrize(
    "text",
    ["wait", "wait x connected CP", "wait 5 received CP", "wait 5 connected", "expect", "pause",
     "expect status", "wait 5 connected CP status", "never 1", "wait -1 connected CP",
     "nonsense", "never 5 disconected CP", "never 5 received CP StopTransacton",
     "never 5 fetched CP"],
)  # fmt: skip
def test_a_wrong_line_is_found_before_anything_is_done(text: str) -> None:
    with pytest.raises(ValueError, match="test:2"):
        run("id_tag A Blocked\n" + text)


def test_every_event_of_a_station_can_be_waited_for() -> None:
    documented = (Path(__file__).parents[2] / "docs/csms.md").read_text()
    for name in EVENTS:
        assert f"`{name}`" in documented or f'"event": "{name}"' in documented
        assert run(f"wait 5 {name} CP", {"event": name, "station": "CP"}) == 1
