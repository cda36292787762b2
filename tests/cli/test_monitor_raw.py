# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool monitor` in raw mode, at several ports, at a terminal and with none: what it does, how it
ends, and with which exit code."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from fake_console import BOOT, FakeConsole
from patience import with_patience

LIMIT_S = 60
COMMAND = (sys.executable, "-m", "evtool", "monitor")


@pytest.fixture
def board() -> Iterator[FakeConsole]:
    with FakeConsole() as console:
        yield console


@pytest.fixture
def other() -> Iterator[FakeConsole]:
    with FakeConsole() as console:
        yield console


def monitor(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run it as cron would: no terminal, no input."""
    return subprocess.run(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
        cwd=cwd,
    )


class Desk:
    """It at a terminal of its own."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._pid, self.terminal = pty.fork()
        if self._pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(sys.executable, [*COMMAND, *arguments])  # noqa: S606  ours
        self.shown = b""

    def wait_for(self, text: bytes) -> None:
        deadline = time.monotonic() + LIMIT_S
        while text not in self.shown:
            assert time.monotonic() < deadline, (text, self.shown)
            if select.select([self.terminal], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self.terminal, 65_536)
                except OSError as error:
                    raise AssertionError(f"it has ended, and said {self.shown!r}") from error

    def type(self, keys: bytes) -> None:
        os.write(self.terminal, keys)

    def end(self) -> int:
        """Its exit code, once it has ended."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            if select.select([self.terminal], [], [], 0.05)[0]:
                try:
                    self.shown += os.read(self.terminal, 65_536)
                except OSError:
                    break
        _, status = os.waitpid(self._pid, 0)
        return os.waitstatus_to_exitcode(status)


def test_raw_mode_at_a_terminal_shows_bytes_and_passes_keys(board: FakeConsole) -> None:
    desk = Desk(["--serial-port", board.port, "--raw"])
    desk.wait_for(b"Ctrl-T h for help")
    board.say_bytes(b"no end\xff\x00\x1b[31m")
    desk.wait_for(b"no end\xff\x00\x1b[31m")
    desk.type(b"m")
    desk.wait_for(b"keys: 1 bms")
    assert "m" in board.keys
    desk.type(b"\x14h")
    desk.wait_for(b"paste a file")
    desk.type(b"\x1d")
    assert desk.end() == 0


def test_ctrl_c_quits_or_goes_to_the_board_as_was_said(board: FakeConsole) -> None:
    desk = Desk(["--serial-port", board.port, "--raw"])
    desk.wait_for(b"Ctrl-T h")
    desk.type(b"\x03")
    assert desk.end() == 130
    desk = Desk(["--serial-port", board.port, "--raw", "--ctrl-c", "board"])
    desk.wait_for(b"Ctrl-T h")
    desk.type(b"\x03m")
    desk.wait_for(b"keys: 1 bms")
    assert "\x03" in board.keys
    desk.type(b"\x14q")
    assert desk.end() == 0


@pytest.mark.parametrize("how", ["signal", "quit", "ctrl-c"])
def test_the_terminal_is_given_back(board: FakeConsole, how: str) -> None:
    """A shell in between keeps the terminal, and says what it was left as."""
    script = f"""stty -a >&2; {" ".join(COMMAND)} --serial-port {board.port} --raw; stty -a >&2"""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execv("/bin/sh", ["/bin/sh", "-c", script])  # noqa: S606  ours
    shown = b""
    ended = False
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            shown += os.read(terminal, 65_536)
        except OSError:
            break
        if b"Ctrl-T h" in shown and not ended:
            ended = True
            if how == "signal":
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                os.kill(int(children[0]), 15)
            else:
                os.write(terminal, b"\x1d" if how == "quit" else b"\x03")
    os.waitpid(pid, 0)
    os.close(terminal)
    first, _, rest = shown.replace(b"\r", b"").partition(b"-echoprt")
    assert rest
    last = rest[rest.rindex(b"speed ") :].partition(b"-echoprt")[0]
    assert last == first[first.index(b"speed ") :]


def test_quitting_while_the_port_is_away_is_exit_code_3(board: FakeConsole, tmp_path: Path) -> None:
    link = tmp_path / "board"
    link.symlink_to(board.port)
    desk = Desk(["--serial-port", str(link), "--raw"])
    desk.wait_for(b"Ctrl-T h")
    link.unlink()
    board.vanish()
    desk.wait_for(b"waiting for it to return")
    desk.type(b"\x1d")
    assert desk.end() == 3
    assert b"disappeared" in desk.shown


SECONDS = "as many seconds as it takes"
ENDS: list[tuple[int, tuple[str, ...]]] = [
    (0, ("--until", "bms", "--timeout", "30")),
    (1, ("--until", "never", "--timeout", SECONDS)),
    (1, ("--send", "s", "--for", SECONDS)),
    (1, ("--fail-on", "bms", "--timeout", "30", "--count", "999")),
    (1, ("--raw", "--log", "no/such/folder/log")),
    (2, ("--raw", "--json")),
    (2, ("--include", "(")),
    (2, ("--show-secrets", "--raw")),
    (2, ("--serial-port", "usb=nonsense")),
    (2, ("--serial-port", "socket://nowhere")),
    (3, ("--serial-port", "no/such/port", "--raw")),
    (3, ("--serial-port", "socket://127.0.0.1:1", "--raw")),
    (3, ("--serial-port", "serial=NO-SUCH-NUMBER")),
]


@pytest.mark.parametrize(("code", "arguments"), ENDS, ids=str)
def test_exit_codes_without_a_terminal(
    board: FakeConsole, tmp_path: Path, code: int, arguments: tuple[str, ...]
) -> None:
    board.answers["s"] = BOOT + "\r\nGuru Meditation Error: Core  1 panic'ed (LoadProhibited)"
    port = () if "--serial-port" in arguments else ("--serial-port", board.port)
    done = with_patience(
        lambda seconds: monitor(
            *port, *(seconds if each is SECONDS else each for each in arguments), cwd=tmp_path
        ),
        lambda done: done.returncode == code or SECONDS not in arguments,
    )
    assert done.returncode == code, done.stderr
    assert code == 0 or done.stderr


def test_several_ports_have_their_names_before_their_lines(
    board: FakeConsole, other: FakeConsole, tmp_path: Path
) -> None:
    names = [board.port, other.port]
    ports = [word for name in names for word in ("--serial-port", name)]
    log = tmp_path / "log"
    both = tmp_path / "both.evs"
    both.write_text("@1 wait bms within 60s\n@2 wait bms within 60s\n")
    script = ("--view", "1", "--script", str(both))
    done = monitor(*ports, *script, "--log", str(log), "--plain")
    assert done.returncode == 0, done.stderr
    for name in names:
        assert f"{name.rpartition('/')[2]} | [bms] v=72.00V".encode() in done.stdout.replace(
            b"  |", b" |"
        )
        assert f"Z <{name}> [bms] v=72.00V" in log.read_text()
    done = monitor(*ports, *script, "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {event["serial_port"] for event in events if event["event"] == "record"} == set(names)


def test_a_log_for_each_port(board: FakeConsole, other: FakeConsole, tmp_path: Path) -> None:
    ports = ("--serial-port", board.port, "--serial-port", other.port)
    done = with_patience(
        lambda seconds: monitor(*ports, "--for", seconds, "--log", str(tmp_path / "log-{port}")),
        lambda done: done.returncode == 0,  # both have said something
    )
    assert done.returncode == 0, done.stderr
    assert len([*tmp_path.iterdir()]) == 2
    raw = monitor(*ports, "--raw", "--log", str(tmp_path / "one"), "--log-raw")
    assert raw.returncode == 2
    assert b"{port}" in raw.stderr


def test_what_a_pipe_has_goes_to_the_board(board: FakeConsole) -> None:
    done = subprocess.run(
        [*COMMAND, "--serial-port", board.port, "--raw", "--until", "^keys:"],
        input=b"m",
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"keys: 1 bms" in done.stdout
    assert board.keys == "m"


def test_a_file_is_pasted_first(board: FakeConsole, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("1\n2\n3\nm")
    arguments = ("--raw", "--paste", str(text), "--pace", "20:5", "--until", "^keys:")
    done = monitor("--serial-port", board.port, *arguments)
    assert done.returncode == 0, done.stderr
    assert board.keys == "1\n2\n3\nm"


def test_a_board_is_found_by_what_it_says_at_its_start(
    board: FakeConsole, other: FakeConsole, tmp_path: Path
) -> None:
    (tmp_path / "a").symlink_to(board.port)
    (tmp_path / "b").symlink_to(other.port)
    with subprocess.Popen(
        [*COMMAND, "--serial-port", f"board=CP-0001@{tmp_path}/?", "--json", "--count", "1"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        deadline = time.monotonic() + LIMIT_S
        while process.poll() is None and time.monotonic() < deadline:
            board.say(BOOT.replace("CP-0001", "CP-0002"))
            other.say(BOOT)
            time.sleep(0.1)
        process.kill()
        assert process.stdout is not None
        documents = [json.loads(line) for line in process.stdout]
    assert process.returncode == 0
    assert documents[0]["serial_port"] == f"board=CP-0001@{tmp_path}/?"
    assert "5" in other.keys
    assert board.keys == ""
