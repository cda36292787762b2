# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim charge-point` as a process, and a CSMS on loopback to speak to."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from evtool.link.clock import unix_ms
from evtool.link.websocket import start_server
from evtool.virtual.csms import Csms

WAIT_S = 60
KEY = "plain-key-of-20-char"


class RunningChargePoint:
    """A running `evtool sim charge-point --json`."""

    def __init__(self, url: str, storage: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "evtool", "sim", "charge-point", url, "CP-1", "--storage",
             str(storage), "--key-env", "CP_KEY", "--json", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "CP_KEY": KEY}, start_new_session=True,
        )  # fmt: skip
        self.seen = ""  # all that it has said
        self.presets: dict[str, str] = {}
        self.by = str(self.next("ready")["by"])

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def next(self, name: str, **fields: Any) -> dict[str, Any]:
        """The next event of that name with those fields; the test's time limit ends a wait."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event: dict[str, Any] = json.loads(line)
            self.seen += line
            if event["event"] == "preset":
                self.presets[event["key"]] = event["status"]
            assert KEY not in line
            if event["event"] == name and fields.items() <= event.items():
                return event
        assert self.process.stderr is not None
        pytest.fail(f"it ended: {self.process.stderr.read()}")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=WAIT_S)


class Central:
    """evtool's CSMS on loopback, in a thread of its own."""

    def __init__(self) -> None:
        self.csms = Csms(
            {"CP-1": KEY.encode()}, open_to_all=False, clock=unix_ms, report=lambda _: None
        )

        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._started.wait(WAIT_S)

    async def _serve(self) -> None:
        server = await start_server("127.0.0.1", 0, "ocpp1.6", self.csms.admit, self.csms.serve)
        self.port = server.port
        self._started.set()
        await self._stop.wait()
        await server.close()

    def take_key(self, key: str) -> None:
        """From now on CP-1 must say another key."""
        self.csms.set_key("CP-1", key.encode())

    def ask(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Call the charge point; the payload of its answer."""
        asked = asyncio.run_coroutine_threadsafe(self.csms.ask("CP-1", action, payload), self._loop)
        return asked.result(WAIT_S)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)
        self._loop.close()


@contextmanager
def charge_point(central: Central, storage: Path, *options: str) -> Iterator[RunningChargePoint]:
    """One that runs until the end of the block."""
    running = RunningChargePoint(f"ws://127.0.0.1:{central.port}", storage, *options)
    try:
        yield running
    finally:
        running.end()
