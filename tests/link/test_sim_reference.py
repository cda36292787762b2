# SPDX-License-Identifier: GPL-3.0-or-later
"""The charge point in Python as a process, against a CSMS on loopback."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from charge_point_process import WAIT_S, Central, charge_point

PLAIN = ("--plain", "--connectors", "2", "--power", "36000")


@pytest.fixture
def central() -> Iterator[Central]:
    central = Central()
    yield central
    central.close()


def test_two_connectors_through_a_kill(tmp_path: Path, central: Central) -> None:
    storage = tmp_path / "storage"
    with charge_point(central, storage, *PLAIN) as unit:
        assert unit.by == "reference charge point (strict)"
        for connector in (0, 1, 2):
            unit.next("status", connector=connector, status="Available")
        unit.tell("plug_in 3")
        assert "1 to 2" in unit.next("refused")["reason"]
        unit.tell("plug_in 2")
        unit.next("status", connector=2, status="Preparing")
        unit.tell("swipe TAG")
        started = unit.next("transaction", state="started")
        assert (started["id_tag"], started["meter_start"]) == ("TAG", 0)
        unit.tell("plug_in 1")
        unit.next("status", connector=1, status="Preparing")
        unit.tell("swipe OTHER 1")
        unit.next("transaction", state="started", id_tag="OTHER")
        unit.tell("pause 2")
        unit.next("status", connector=2, status="SuspendedEV")
        unit.tell("meter 2 5000")
        unit.tell("resume 2")
        unit.next("status", connector=2, status="Charging")
        unit.tell("error 1 GroundFailure")
        unit.next("status", connector=1, status="Faulted", error_code="GroundFailure")
        unit.tell("clear 1")
        unit.next("status", connector=1, status="Charging")
        unit.tell("ws_off")
        unit.next("websocket", state="closed")
        unit.tell("swipe OTHER 1")
        unit.next("done", command="swipe OTHER 1")
        unit.tell("meter 2 9000")
        unit.next("done", command="meter 2 9000")
        os.kill(unit.process.pid, signal.SIGKILL)
        unit.process.wait(WAIT_S)
    with charge_point(central, storage, *PLAIN) as unit:
        reasons = {}
        for _ in range(2):
            stopped = unit.next("transaction", state="stopped")
            reasons[stopped["transaction_id"]] = (stopped["reason"], stopped["meter_stop"])
            unit.next("message", type="result", action="StopTransaction")
        assert reasons[2][0] == "Local", "ended before the kill"
        assert reasons[1][0] == "PowerLoss"
        assert reasons[1][1] >= 9000, "what is done outlives a kill"
        unit.tell("quit")
        assert unit.process.wait(WAIT_S) == 0
    assert all(record.stopped for record in central.csms.transactions.values())
    kept = json.loads((storage / "ocpp.json").read_text())
    assert not [key for key in kept if key.startswith(("transaction.", "message."))]
    assert (storage / "ocpp.json").stat().st_mode & 0o077 == 0


def test_a_new_key_is_used_at_once_and_after_a_restart(tmp_path: Path, central: Central) -> None:
    storage, new = tmp_path / "storage", "another-key-of-20-ch"
    with charge_point(central, storage, "--plain") as unit:
        unit.next("status", connector=1, status="Available")
        central.take_key(new)
        central.ask("ChangeConfiguration", {"key": "AuthorizationKey", "value": new})
        unit.next("reconnect", reason="AuthorizationKey")
        unit.next("websocket", state="closed")
        unit.next("websocket", state="open")
        assert new not in unit.seen
    with charge_point(central, storage, "--plain") as unit:
        unit.next("websocket", state="open")


def test_reset_unlock_and_power_loss(tmp_path: Path, central: Central) -> None:
    with charge_point(central, tmp_path / "s", "--plain") as unit:
        unit.next("status", connector=1, status="Available")
        assert central.ask("UnlockConnector", {"connectorId": 1}) == {"status": "Unlocked"}
        unit.tell("unlock_fail")
        unit.next("done", command="unlock_fail")
        assert central.ask("UnlockConnector", {"connectorId": 1}) == {"status": "UnlockFailed"}
        unit.tell("clear")
        unit.tell("plug_in")
        unit.next("status", connector=1, status="Preparing")
        unit.tell("swipe TAG")
        unit.next("status", connector=1, status="Charging")
        unit.tell("power_loss")
        assert unit.next("transaction", state="stopped")["reason"] == "PowerLoss"
        unit.next("restarted", reason="power_loss")
        unit.next("message", type="call", action="BootNotification")
        unit.next("status", connector=1, status="Preparing")
        assert central.ask("Reset", {"type": "Soft"}) == {"status": "Accepted"}
        unit.next("restarted", reason="SoftReset")
        unit.next("message", type="call", action="BootNotification")


def test_the_controller_is_beneath_connector_1(tmp_path: Path, central: Central) -> None:
    storage = tmp_path / "storage"
    with charge_point(central, storage, "--connectors", "2") as unit:
        unit.next("status", connector=2, status="Available")
        unit.tell("plug_in 1")
        unit.next("status", connector=1, status="Preparing")
        unit.tell("swipe TAG 1")
        unit.next("status", connector=1, status="Charging")
        unit.tell("pause 1")
        unit.next("status", connector=1, status="SuspendedEV")
        unit.tell("meter 1 5")
        assert "power module" in unit.next("refused")["reason"]
        unit.tell("error 1 EVCommunicationError")
        unit.next("transaction", state="stopped", reason="EVDisconnected")
        unit.tell("quit")
        assert unit.process.wait(WAIT_S) == 0
    assert json.loads((storage / "vehicle.json").read_text())["plugged"] == 1


def test_presets_come_from_file_and_environment(
    tmp_path: Path, central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "presets.json"
    file.write_text('{"ConnectionTimeOut": 7, "NumberOfConnectors": 1, "HeartbeatInterval": 0}')
    monkeypatch.setenv("EVTOOL_OCPP_ChargeProfileMaxStackLevel", "3")
    monkeypatch.setenv("EVTOOL_OCPP_NoSuchKey", "1")
    with charge_point(central, tmp_path / "s", "--plain", "--configuration", str(file)) as unit:
        assert unit.presets == {
            "ConnectionTimeOut": "Accepted",
            "NumberOfConnectors": "Accepted",
            "HeartbeatInterval": "Rejected",
            "ChargeProfileMaxStackLevel": "Accepted",
            "NoSuchKey": "NotSupported",
        }
        unit.next("status", connector=1, status="Available")
        answer = central.ask(
            "GetConfiguration", {"key": ["ConnectionTimeOut", "ChargeProfileMaxStackLevel"]}
        )
        assert [entry["value"] for entry in answer["configurationKey"]] == ["7", "3"]
