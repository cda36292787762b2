# SPDX-License-Identifier: GPL-3.0-or-later
"""A program in the background that tells what it does in JSON lines and takes commands."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from evtool.errors import DeviceError, LinkTimeout

END_WITH_STDIN = "EVTOOL_END_WITH_STDIN"
"""In the environment of a simulator: the end of its stdin is a `quit`."""

_QUIT_S = 5.0

Event = dict[str, Any]


class BackgroundProcess:
    """Starts `argv`, reads its stdout as JSON lines, and ends it at the latest on `close`.

    Args:
        name: what messages call it.
        argv: the command; it gets a process group of its own, so Ctrl-C reaches only us. A
            simulator of evtool's ends when we do, even by SIGKILL.
        log: its stdout and stderr go to this file too.

    Raises:
        DeviceError: it cannot be started.
    """

    def __init__(self, name: str, argv: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self._ended = False
        self._log_stream: IO[bytes] = log.open("ab")
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log_stream,
                process_group=0,
                env=os.environ | {END_WITH_STDIN: "1"},
            )
        except OSError as error:
            self._log_stream.close()
            raise DeviceError(
                f"cannot start {name}: {error.strerror or error}",
                fix="check that evtool's installation is whole: `evtool doctor`",
            ) from error
        self._reader = threading.Thread(target=self._follow, name=f"{name} events", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _follow(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - stdout=PIPE above
        for line in self._process.stdout:
            self._log_stream.write(line)
            self._log_stream.flush()
            try:
                event = json.loads(line)
            except ValueError:
                continue  # narration, which is in the log
            if isinstance(event, dict):
                with self._changed:
                    self._events.append(event)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def mark(self) -> int:
        """The number of events so far: `wait_for(..., since=mark)` looks only at later ones."""
        with self._changed:
            return len(self._events)

    def events(self, since: int = 0) -> list[Event]:
        """The events so far, from number `since` on."""
        with self._changed:
            return self._events[since:]

    def wait_for(
        self, matches: Callable[[Event], bool], what: str, timeout_s: float, since: int = 0
    ) -> Event:
        """The first event from number `since` on that matches.

        Raises:
            LinkTimeout: it did not come within `timeout_s`.
            DeviceError: the program ended first.
        """
        deadline = time.monotonic() + timeout_s
        seen = since
        with self._changed:
            while True:
                for event in self._events[seen:]:
                    if matches(event):
                        return event
                seen = len(self._events)
                if self._ended:
                    raise DeviceError(
                        f"{self.name} ended while waiting for {what}", fix=f"see {self.log}"
                    )
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise LinkTimeout(
                        f"{self.name}: no {what} within {timeout_s:g} s", fix=f"see {self.log}"
                    )
                self._changed.wait(remaining)

    def send(self, line: str) -> None:
        """Give it one command.

        Raises:
            DeviceError: it has ended.
        """
        assert self._process.stdin is not None  # noqa: S101 - stdin=PIPE above
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise DeviceError(f"{self.name} has ended", fix=f"see {self.log}") from error

    def close(self) -> None:
        """Ask it to quit, then insist: nothing of it is left afterwards."""
        if self._process.returncode is not None:
            return
        with contextlib.suppress(DeviceError):
            self.send("quit")
        try:
            self._process.wait(_QUIT_S)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(_QUIT_S)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
        self._process.wait()
        self._reader.join(_QUIT_S)
        for stream in (self._process.stdin, self._process.stdout, self._log_stream):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
