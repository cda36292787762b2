# SPDX-License-Identifier: GPL-3.0-or-later
"""What `evtool demo` leaves behind when it does not come to its end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evtool.cli.demo_steps import held_port

ROOM_S = 110
DEMO = [sys.executable, "-m", "evtool", "demo", "--json"]


def started(tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*DEMO, *options],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_leaves_no_folder_with_secrets(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    process = started(tmp_path)
    try:
        limit = time.monotonic() + ROOM_S
        while not list(tmp_path.glob("evtool-demo-*/charger/.evtool/secrets/CP-*")):
            assert time.monotonic() < limit
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        output, errors = process.communicate(timeout=ROOM_S)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert [json.loads(line) for line in output.splitlines()]
    assert list(tmp_path.glob("evtool-demo-*")) == []


def test_nobody_else_is_given_the_port_of_its_csms() -> None:
    with held_port() as port:
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        with socket.create_server(("127.0.0.1", port)) as csms:
            socket.create_connection(csms.getsockname()).close()


def test_a_failure_keeps_the_folder_and_names_it(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    process = started(tmp_path, "--microocpp", str(nothing))
    output, errors = process.communicate(timeout=ROOM_S)
    assert process.returncode != 0
    *_, kept, error = [json.loads(line) for line in output.splitlines()]
    assert kept["event"] == "kept"
    assert (Path(kept["folder"]) / "commands.log").is_file()
    assert error["exit_code"] == process.returncode, errors
