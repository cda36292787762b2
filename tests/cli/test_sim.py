# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulators as processes: ready lines, commands on stdin, and how they end."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import can
import pytest

from evtool.errors import DeviceError
from evtool.link.can_bus import open_can_bus
from evtool.link.can_hub import hub_in_thread
from evtool.link.websocket import open_websocket
from evtool.protocol import ocpp16
from evtool.protocol.csms_url import charge_point_url

WAIT_S = 60


class Simulator:
    """A running `evtool sim NAME --json`."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "evtool", "sim", *arguments, "--json"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def event(self, name: str) -> dict[str, Any]:
        """The next event of that name; the test's time limit ends a wait without end."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event: dict[str, Any] = json.loads(line)
            if event.get("event") == name:
                return event
        assert self.process.stderr is not None
        pytest.fail(f"it ended: {self.process.stderr.read()}")

    def close(self) -> int:
        """The exit code after `quit`."""
        self.tell("quit")
        return self.process.wait(WAIT_S)


@contextmanager
def simulator(*arguments: str) -> Iterator[Simulator]:
    running = Simulator(*arguments)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.communicate(timeout=WAIT_S)


def test_bus_joins_python_can_clients_and_quits() -> None:
    with simulator("bus", "--listen", "127.0.0.1:0") as bus:
        ready = bus.event("ready")
        with (
            can.Bus("can0", "socketcand", host="127.0.0.1", port=ready["port"]) as first,
            closing(open_can_bus(ready["can_interface"], ready["can_channel"])) as second,
        ):
            first.send(can.Message(arbitration_id=0x1806E5F4, data=b"\x01"))
            heard = second.receive(WAIT_S)
            assert heard is not None
            assert (heard.can_id, heard.data) == (0x1806E5F4, b"\x01")
        bus.tell("nonsense")
        assert bus.event("refused")["command"] == "nonsense"
        bus.tell("status")
        assert bus.event("status")["frames"] == 1
        assert bus.close() == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
@pytest.mark.parametrize("name", ["bus", "csms"])
def test_signals_end_them_and_the_end_of_stdin_does_not(
    name: str, number: signal.Signals, code: int
) -> None:
    options = ["--open"] if name == "csms" else []
    with simulator(name, "--listen", "127.0.0.1:0", *options) as running:
        running.event("ready")
        running.tell("nonsense")
        running.event("refused")
        assert running.process.stdin is not None
        running.process.stdin.close()
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(0.2)
        running.process.send_signal(number)
        assert running.process.wait(WAIT_S) == code
        assert running.process.stderr is not None
        assert "Traceback" not in running.process.stderr.read()
        running.process.stdin = None


@pytest.mark.parametrize("name", ["bus", "csms", "vehicle"])
def test_with_the_variable_the_end_of_stdin_ends_them(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with simulator("bus", "--listen", "127.0.0.1:0") as bus:
        options = {
            "bus": ["--listen", "127.0.0.1:0"],
            "csms": ["--listen", "127.0.0.1:0", "--open"],
            "vehicle": ["--can-channel", bus.event("ready")["can_channel"]],
        }
        monkeypatch.setenv("EVTOOL_END_WITH_STDIN", "1")
        with simulator(name, *options[name]) as running:
            running.event("ready")
            assert running.process.stdin is not None
            running.process.stdin.close()
            assert running.process.wait(WAIT_S) == 0
            running.process.stdin = None


def test_vehicle_and_module_answer_on_the_bus() -> None:
    with hub_in_thread() as port:
        channel = f"127.0.0.1:{port}/can0"
        with (
            closing(open_can_bus(channel=channel)) as controller,
            simulator("vehicle", "--can-channel", channel) as vehicle,
        ):
            vehicle.event("ready")
            vehicle.tell("plug_in")
            vehicle.event("done")
            while (frame := controller.receive(WAIT_S)) is not None:
                if frame.can_id == 0x1806E5F4:
                    break
            assert frame is not None
            assert frame.data.hex() == "0348012c00000000"
            vehicle.tell("status")
            assert vehicle.event("status")["plugged"] is True
            assert vehicle.close() == 0


def test_vehicle_without_a_bus_says_how_to_start_one(closed_port: int) -> None:
    channel = f"127.0.0.1:{closed_port}/can0"
    with simulator("vehicle", "--can-channel", channel) as vehicle:
        assert vehicle.process.wait(WAIT_S) == 3
        assert vehicle.process.stderr is not None
        assert "evtool sim bus" in vehicle.process.stderr.read()


def station_file(folder: Path, text: str, mode: int = 0o600) -> str:
    path = folder / "stations.toml"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_csms_admits_its_stations_and_carries_out_commands(tmp_path: Path) -> None:
    key = "Abcdefghij0123456789"
    stations = station_file(tmp_path, f'[stations]\n"CP-1" = "{key}"\n')
    with simulator("csms", "--listen", "127.0.0.1:0", "--stations", stations) as csms:
        ready = csms.event("ready")
        assert ready["stations"] == ["CP-1"]
        url = charge_point_url(ready["url"], "CP-1")
        header = ocpp16.render_basic_authorization("CP-1", key.encode())

        async def station() -> None:
            with pytest.raises(DeviceError, match="HTTP 401"):
                await open_websocket(url, ocpp16.SUBPROTOCOL)
            socket = await open_websocket(url, ocpp16.SUBPROTOCOL, authorization=header)
            csms.tell("remote_start CP-1 TAG")
            call = ocpp16.parse_message(await socket.recv())
            assert isinstance(call, ocpp16.Call)
            assert call.action == "RemoteStartTransaction"
            assert call.payload == {"idTag": "TAG", "connectorId": 1}
            answer = ocpp16.CallResult(call.unique_id, {"status": "Accepted"})
            await socket.send(ocpp16.render_message(answer))
            csms.tell('call CP-1 ChangeConfiguration {"key": "AuthorizationKey", "value": "hush"}')
            call = ocpp16.parse_message(await socket.recv())
            assert isinstance(call, ocpp16.Call)
            await socket.send(
                ocpp16.render_message(ocpp16.CallError(call.unique_id, "NotSupported"))
            )
            await socket.close()

        asyncio.run(station())
        assert csms.event("rejected")["status"] == 401
        assert csms.event("connected")["station"] == "CP-1"
        sent = csms.event("message")
        assert (sent["direction"], sent["action"]) == ("sent", "RemoteStartTransaction")
        assert csms.event("answer")["payload"] == {"status": "Accepted"}
        assert csms.event("message")["payload"]["value"] == "****"
        assert "NotSupported" in csms.event("refused")["reason"]
        csms.tell("remote_stop CP-1")
        assert "no transaction runs" in csms.event("refused")["reason"]
        csms.tell("call CP-1 Reset {]")
        csms.event("refused")
        csms.tell("transactions")
        assert csms.event("transactions")["transactions"] == []
        assert csms.close() == 0


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ('[stations]\n"CP-1" = "Abcdefghij0123456789"\n', 0o644, "chmod 600"),
        ('[stations]\n"CP-1" = "Hush!"\n', 0o600, "16 to 20"),
        ("[other]\n", 0o600, "[stations]"),
        ('[stations\n"CP-1" = "Hush!"\n', 0o600, "line 1"),
        ('\ufeff[stations]\n"CP-1" = "Hush!"\n', 0o600, "16 to 20"),
    ],
)
def test_a_wrong_station_file_is_refused_without_showing_a_key(
    tmp_path: Path, text: str, mode: int, message: str
) -> None:
    stations = station_file(tmp_path, text, mode)
    with simulator("csms", "--listen", "127.0.0.1:0", "--stations", stations) as csms:
        assert csms.process.wait(WAIT_S) == 2
        assert csms.process.stderr is not None
        error = csms.process.stderr.read()
        assert message in error
        assert "Hush!" not in error
        assert "Traceback" not in error
