# SPDX-License-Identifier: GPL-3.0-or-later
"""The host program with the real MicroOcpp, its hardware and its CSMS played by the test.

`ws` lines carry the messages, so there is no WebSocket; files are served by HTTP on the loopback.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from evtool.link.app_process import AppProcess

DEADLINE_S = 90.0
IDENTITY = {
    "cp_id": "CP-0001", "vendor": "ACME", "model": "DC-30", "serial": "SN-1",
    "csms_url": "ws://127.0.0.1:9/ocpp", "auth_key": b"abcdefghijklmnopqrst".hex(),
    "wifi_ssid": "site", "wifi_pass": "correct horse", "id_tag": "LOCAL",
}  # fmt: skip

Answer = Callable[[dict[str, Any]], dict[str, Any]]


def program_with_microocpp() -> bytes:
    """The program that EVTOOL_MICROOCPP_PROGRAM names; skips the test where it names none."""
    named = os.environ.get("EVTOOL_MICROOCPP_PROGRAM")
    if not named:
        pytest.skip(
            "no program with MicroOcpp: build one with `evtool build --env host --microocpp DIR`, "
            "and name it in EVTOOL_MICROOCPP_PROGRAM"
        )
    return Path(named).read_bytes()


class Station:
    """A running charge point, and every message that it sent."""

    def __init__(self, payload: bytes, storage: Path, *, online: bool = True) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}  # by the id of our call
        self.console = ""
        self.ended = False
        self.connects = 0
        self.online = online
        self.plugged = False
        self.replies: dict[str, Answer] = {}
        self._asked = 0
        self._state: dict[str, str] = {}
        self._process = AppProcess(payload, {"EVTOOL_STORAGE": str(storage)})
        self._send("nvs evcfg schema u8 01", "nvs evcfg sec_profile u8 01")
        for key, value in IDENTITY.items():
            self._send(f"nvs evcfg {key} str {value.encode().hex()}")
        self._send("nvs evstate energy_mwh u64 " + struct.pack("<Q", 5000).hex())
        self._send("boot reset=power_on", "bus 0 running")

    def sent(self, action: str) -> list[dict[str, Any]]:
        return [payload for name, payload in self.calls if name == action]

    def statuses(self, action: str) -> list[str]:
        """The `status` of every such message, in order."""
        return [str(payload["status"]) for payload in self.sent(action)]

    def state(self, field: str) -> str | None:
        """A field of the controller's last snapshot."""
        return self._state.get(field)

    def until(self, holds: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not holds():
            told = f"{what}: {self.calls} {self.console[-1500:]}"
            assert time.monotonic() < deadline, f"not in time: {told}"
            assert not self.ended, f"the program has ended: {told}"
            self._pump()

    def until_ended(self) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not self.ended:
            assert time.monotonic() < deadline, f"it goes on: {self.calls}"
            self._pump()

    def run(self, seconds: float) -> None:
        """Let time pass for what must not happen in it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.ended:
            self._pump()

    def ask(self, action: str, **payload: object) -> Any:
        """Send a call; its answer: the payload of a CALLRESULT, or the code of a CALLERROR."""
        self._asked += 1
        unique_id = f"ask-{self._asked}"
        self._receive([2, unique_id, action, payload])
        self.until(lambda: unique_id in self.answers, f"the answer to {action}")
        return self.answers[unique_id]

    def drop(self) -> None:
        self.online = False
        self._send("ws closed")

    def charge(self, tag: str = "TAG") -> None:
        """Plug in, and start a transaction remotely."""
        self.plugged = True
        self.until(lambda: self._state.get("plugged") == "1", "the vehicle")
        answer = self.ask("RemoteStartTransaction", idTag=tag, connectorId=1)
        assert answer == {"status": "Accepted"}
        self.until(lambda: self.sent("StartTransaction"), "a transaction")
        self.until(lambda: self._state.get("energised") == "1", "energy")

    def stop(self) -> None:
        self._process.stop()

    def _send(self, *lines: str) -> None:
        for line in lines:
            self._process.send(line)

    def _receive(self, message: object) -> None:
        self._send("ws recv " + json.dumps(message, separators=(",", ":")))

    def _pump(self) -> None:
        if self.plugged:
            self._send(
                "can 0 1806E5F4 x d 8 02D003E800000000", "can 0 0681827E x d 8 0180000000000100"
            )
        select.select(
            [self._process.console_descriptor, self._process.hardware_descriptor], [], [], 0.05
        )
        self.console += (self._process.read_console() or b"").decode("ascii", "replace")
        lines = self._process.read_lines()
        if lines is None:
            self.ended = True
            return
        for line in lines:
            self._hear(line)

    def _hear(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        if verb == "state":
            self._state = dict(field.split("=", 1) for field in rest.split(" "))
        elif verb == "store":
            self._send(f"stored {rest}")
        elif line.startswith("ws connect "):
            self.connects += 1
            self._send("ws open" if self.online else "ws closed")
        elif line.startswith("ws send "):
            self._hear_message(json.loads(line.removeprefix("ws send ")))

    def _hear_message(self, message: list[Any]) -> None:
        match message:
            case [2, unique_id, action, payload]:
                self.calls.append((action, payload))
                self._receive([3, unique_id, self._reply(action, payload)])
            case [3, unique_id, payload]:
                self.answers[unique_id] = payload
            case [4, unique_id, code, *_]:
                self.answers[unique_id] = code

    def _reply(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        if action in self.replies:
            return self.replies[action](payload)
        now = "2026-03-01T12:00:00Z"
        accepted = {"idTagInfo": {"status": "Accepted"}}
        match action:
            case "BootNotification":
                return {"status": "Accepted", "currentTime": now, "interval": 3600}
            case "StartTransaction":
                return {**accepted, "transactionId": 7}
            case "Authorize" | "StopTransaction":
                return dict(accepted)
            case "Heartbeat":
                return {"currentTime": now}
        return {}


@contextmanager
def station(payload: bytes, storage: Path) -> Iterator[Station]:
    """One life of the charge point, registered at its CSMS."""
    running = Station(payload, storage)
    try:
        running.until(lambda: running.sent("StatusNotification"), "registration")
        yield running
    finally:
        running.stop()


class Files:
    """An HTTP server on the loopback: what is asked for, and what was put there."""

    def __init__(self, served: Mapping[str, bytes]) -> None:
        self.served = dict(served)
        self.put: list[tuple[str, bytes]] = []
        self.refuse_puts = 0
        self.got: list[str] = []
        files = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                files.got.append(self.path)
                body = files.served.get(self.path)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body or b"")

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                files.put.append((self.path, body))
                refused = files.refuse_puts > 0
                files.refuse_puts -= 1
                self.send_response(503 if refused else 201)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
