# SPDX-License-Identifier: GPL-3.0-or-later
"""A running `evtool sim board`, its events, and the commands on its stdin."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

DEADLINE_S = 20.0
MAC = "02:45:56:00:00:01"


class Board:
    """A running board, its events, and the commands on its stdin."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "evtool", "sim", "board", "--json", "--mac", MAC),
                *("--state-dir", str(folder), *options),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._events: queue.Queue[dict[str, object] | None] = queue.Queue()
        self.seen: list[dict[str, object]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.serial_port = str(self.wait_for("ready")["serial_port"])

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._events.put(json.loads(line))
        self._events.put(None)

    def wait_for(self, event: str, **fields: object) -> dict[str, object]:
        """The next event of this name with these fields."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                seen = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"no {event} {fields} in time; seen: {self.seen}")
            if seen is None:
                pytest.fail(f"the board ended: {self.stderr()}; seen: {self.seen}")
            self.seen.append(seen)
            if seen["event"] == event and fields.items() <= seen.items():
                return seen

    def wait_for_state(self, state: dict[str, str]) -> None:
        """Ask until the firmware's own state is this."""
        deadline = time.monotonic() + DEADLINE_S
        self.tell("status")
        while self.wait_for("status")["state"] != state:
            assert time.monotonic() < deadline, f"no {state} in time"
            self.tell("status")

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def stderr(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def flash(self) -> bytes:
        return (self.folder / "flash.bin").read_bytes()

    def end(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(BrokenPipeError):
                self.tell("quit")
        try:
            self.process.wait(timeout=DEADLINE_S)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join()
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
