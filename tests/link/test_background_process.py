# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs in the background: events, commands, and an end that leaves nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from evtool.errors import DeviceError, LinkTimeout
from evtool.link.background_process import END_WITH_STDIN, BackgroundProcess

ECHO = """\
import json, sys
print(json.dumps({"event": "ready"}), flush=True)
print("narration", flush=True)
for line in sys.stdin:
    if line.strip() == "quit":
        break
    print(json.dumps({"event": "said", "text": line.strip()}), flush=True)
"""
DEAF = """\
import signal, time, json
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(json.dumps({"event": "ready"}), flush=True)
while True:
    time.sleep(60)
"""


def start(script: str, folder: Path) -> BackgroundProcess:
    return BackgroundProcess("echo", [sys.executable, "-c", script], folder / "log")


def is_ready(event: dict[str, object]) -> bool:
    return event["event"] == "ready"


def test_events_commands_and_quit(tmp_path: Path) -> None:
    with start(ECHO, tmp_path) as process:
        process.wait_for(is_ready, "ready", 60)
        mark = process.mark
        process.send("hello")
        event = process.wait_for(lambda e: e["event"] == "said", "echo", 20, since=mark)
        assert event["text"] == "hello"
        with pytest.raises(LinkTimeout, match="no second ready"):
            process.wait_for(is_ready, "second ready", 0.05, since=mark)
    assert "narration" in (tmp_path / "log").read_text()


def test_waiting_for_one_that_ended(tmp_path: Path) -> None:
    with (
        start("raise SystemExit(3)", tmp_path) as process,
        pytest.raises(DeviceError, match="ended while waiting for ready"),
    ):
        process.wait_for(is_ready, "ready", 60)


def test_one_that_does_not_listen_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evtool.link.background_process._QUIT_S", 0.2)
    process = start(DEAF, tmp_path)
    process.wait_for(is_ready, "ready", 60)
    pid = process._process.pid
    process.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_simulator_is_told_to_end_with_us(tmp_path: Path) -> None:
    # However we end, by SIGKILL too: tests/cli/test_sim.py shows that a simulator keeps to it.
    script = f"import json, os; print(json.dumps({{'event': os.environ['{END_WITH_STDIN}']}}))"
    with start(script, tmp_path) as process:
        assert process.wait_for(lambda event: True, "its event", 60)["event"] == "1"


def test_no_such_program(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cannot start ghost"):
        BackgroundProcess("ghost", [str(tmp_path / "ghost")], tmp_path / "log")
