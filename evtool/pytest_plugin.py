# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual boards for anybody's pytest: `pytest_plugins = ["evtool.pytest_plugin"]`.

Put that line into the conftest.py at the root of your tests. Nothing is registered without it.
See docs/virtual-board.md and examples/flashing_script.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from evtool.link.background_process import END_WITH_STDIN
from evtool.link.pty_lines import helped_environment

__all__ = ["StartBoard", "VirtualBoard", "virtual_board", "virtual_boards"]

DEADLINE_S = 60.0  # a test machine may be busy


class VirtualBoard:
    """A running `evtool sim board`, its events, and the commands on its stdin.

    Args:
        folder: where the board keeps its flash, fuses and MAC.
        options: of `evtool sim board` (`"--chip", "esp32c3"`).

    Attributes:
        folder: as given.
        serial_port: what a flashing program opens.
        seen: the events so far, oldest first.
        process: the board's own process.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "evtool", "sim", "board", "--json"),
                *("--state-dir", str(folder), *options),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {END_WITH_STDIN: "1"},  # it ends with us, even by SIGKILL
        )
        self._events: queue.Queue[dict[str, object] | None] = queue.Queue()
        self.seen: list[dict[str, object]] = []
        self._complaint = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.serial_port = str(self.wait_for("ready")["serial_port"])
        except BaseException:
            self.end()
            raise

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which Python programs set DTR and RTS of a pseudo-terminal."""
        return helped_environment(os.environ)

    def wait_for(self, event: str, **fields: object) -> dict[str, object]:
        """The next event of this name with these fields; fails the test where none comes."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                seen = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"no {event} {fields} in time; seen: {self.seen}")
            if seen is None:
                self._events.put(None)  # whoever waits after this hears it, too
                pytest.fail(f"the board ended: {self.stderr()}; seen: {self.seen}")
            self.seen.append(seen)
            if seen.get("event") == event and fields.items() <= seen.items():
                return seen

    def wait_for_state(self, state: dict[str, str]) -> None:
        """Ask until the firmware's own state is this; fails the test where it never is."""
        deadline = time.monotonic() + DEADLINE_S
        self.tell("status")
        while self.wait_for("status")["state"] != state:
            if time.monotonic() >= deadline:
                pytest.fail(f"no {state} in time")
            self.tell("status")

    def tell(self, line: str) -> None:
        """Give the board a command (`cut_after 4096`, `unplug`, ...).

        Raises:
            BrokenPipeError: it has ended.
        """
        if self.process.stdin is None:
            raise ValueError("the board takes no commands")
        if self.process.stdin.closed:
            raise BrokenPipeError(f"the board has ended: {self.stderr()}")
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def flash(self) -> bytes:
        """All that its flash holds now."""
        return (self.folder / "flash.bin").read_bytes()

    def stderr(self) -> str:
        """What the board's process complained of, once it has ended."""
        stream = self.process.stderr
        if stream is not None and not stream.closed:
            self._complaint += stream.read().decode(errors="backslashreplace")
        return self._complaint

    def end(self) -> None:
        """Switch it off."""
        if self.process.poll() is None:
            with contextlib.suppress(BrokenPipeError):
                self.tell("quit")
        try:
            self.process.wait(timeout=DEADLINE_S)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join()
            self.stderr()
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()

    def _read(self) -> None:
        if self.process.stdout is not None:
            for line in self.process.stdout:
                self._events.put(json.loads(line))
        self._events.put(None)


class StartBoard(Protocol):
    """Starts a board with options of `evtool sim board`."""

    def __call__(self, *options: str) -> VirtualBoard: ...


@pytest.fixture
def virtual_boards(tmp_path: Path) -> Iterator[StartBoard]:
    """Starts boards with the options that it is called with; all end with the test."""
    started = 0
    with contextlib.ExitStack() as running:

        def start(*options: str) -> VirtualBoard:
            nonlocal started
            board = VirtualBoard(tmp_path / f"virtual_board{started}", *options)
            started += 1
            running.callback(board.end)
            return board

        yield start


@pytest.fixture
def virtual_board(virtual_boards: StartBoard) -> VirtualBoard:
    """An ESP32 board with 4 MB of flash that holds nothing."""
    return virtual_boards()
