# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts: commands, waits with deadlines, expectations."""

from __future__ import annotations

import asyncio

import pytest

from evtool.errors import CheckFailed
from evtool.virtual.csms import Csms, Event
from evtool.virtual.csms.control import Control
from evtool.virtual.csms.script import Script


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
        ("nonsense", "the commands are"),
    ],
)
def test_it_fails_and_says_where(text: str, message: str) -> None:
    with pytest.raises(CheckFailed, match=message):
        run(text.replace("wait 1 ", "wait 0.01 "), event("Heartbeat"))


def test_no_key_is_shown() -> None:
    with pytest.raises(CheckFailed) as failed:
        run("set_configuration CP AuthorizationKey hushhushhushhush")
    assert "hush" not in str(failed.value)


@pytest.mark.parametrize(
    "text",
    ["wait", "wait x connected CP", "wait 5 received CP", "wait 5 connected", "expect", "pause",
     "expect status", "wait 5 connected CP status", "never 1", "wait -1 connected CP"],
)  # fmt: skip
def test_a_wrong_line_is_found_before_anything_is_done(text: str) -> None:
    with pytest.raises(ValueError, match="test:2"):
        run("id_tag A Blocked\n" + text)
