# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim csms` as a process of its own, with its control port."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

WAIT_S = 60
CONTROL = ("--control", "127.0.0.1:0")


class Csms:
    """`evtool sim csms --json` as a process."""

    def __init__(self, *options: object, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "evtool", "sim", "csms", "--json"),
                *("--listen", "127.0.0.1:0", *map(str, options)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if '"ready"' not in line:
            _, error = self.process.communicate(timeout=WAIT_S)
            raise AssertionError(line + error)
        self.ready: dict[str, Any] = json.loads(line)

    def url(self, identity: str = "CP") -> str:
        return f"{self.ready['url']}/ocpp/{identity}"

    def ask(
        self, path: str, body: object = None, method: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        """Status and document of a request to the control port."""
        data = None if body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} if data is not None else {}
        request = urllib.request.Request(  # noqa: S310 - loopback
            self.ready["control_url"] + path,
            data=data,
            method=method,
            headers=given | {name.replace("_", "-"): value for name, value in headers.items()},
        )
        return fetch(request)

    def command(self, line: str) -> tuple[int, Any]:
        return self.ask("/api/command", {"line": line})


def fetch(request: urllib.request.Request | str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as response:  # noqa: S310 - loopback
            text = response.read()
            status = response.status
    except urllib.error.HTTPError as error:
        with error:
            text, status = error.read(), error.code
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


@contextmanager
def csms(*options: object, env: dict[str, str] | None = None) -> Iterator[Csms]:
    running = Csms(*options, env=env)
    try:
        yield running
    finally:
        running.process.send_signal(signal.SIGTERM)
        running.process.communicate(timeout=WAIT_S)
