# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool monitor` as a process of its own, against a board on a pty."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_console import BOOT, RECORDS, FakeConsole
from monitor_terminal import Terminal
from patience import with_patience

LIMIT_S = 60


@pytest.fixture
def board() -> Iterator[FakeConsole]:
    with FakeConsole() as console:
        yield console


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "evtool", "monitor", *arguments]


def monitor(
    *arguments: str, cwd: Path | None = None, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=os.environ | (environment or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def test_json_lines_carry_integers_with_units(board: FakeConsole) -> None:
    done = monitor("--serial-port", board.port, "--json", "--count", "4", "--timeout", "20")
    assert done.returncode == 0, done.stderr
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert documents[0]["event"] == "connected"
    records = {doc["name"]: doc["fields"] for doc in documents if doc["event"] == "record"}
    assert set(records) == {"bms", "power_module", "output", "terminal"}
    assert records["bms"]["voltage_mv"] == 72000
    assert records["bms"]["soc_permille"] == 551
    assert records["output"]["temperature_mdegc"] == 41200
    assert records["terminal"]["energy_mwh"] == 12345000
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z", doc["time"]) for doc in documents)
    assert done.stderr == ""


def test_plain_lines_are_the_boards_own(board: FakeConsole) -> None:
    done = monitor("--serial-port", board.port, "--view", "1", "--count", "2", "--timeout", "20")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{RECORDS['1']}\n" * 2
    assert done.stderr == ""


def test_lines_of_before_are_not_taken_for_news(board: FakeConsole) -> None:
    board.say("[event] plug state=in")
    port = ("--serial-port", board.port)
    done = with_patience(
        lambda seconds: monitor(*port, "--until", "plug", "--timeout", seconds),
        lambda done: done.returncode != 3,  # it has said something else
    )
    assert done.returncode == 1, (done.stdout, done.stderr)


def test_two_views_are_picked_out_of_all(board: FakeConsole) -> None:
    done = monitor(
        "--serial-port", board.port, "--view", "4", "--view", "2", "--count", "2", "--timeout", "20"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{RECORDS['2']}\n{RECORDS['4']}\n"
    assert board.keys == "5"


def test_send_and_until(board: FakeConsole) -> None:
    done = monitor(
        *("--serial-port", board.port, "--view", "0", "--send", "s", "--json"),
        *("--until", r"^\[event\] start", "--timeout", "20"),
    )
    assert done.returncode == 0, done.stderr
    event = json.loads(done.stdout.splitlines()[-1])
    assert event.pop("time")
    assert event == {"event": "board_event", "name": "start", "fields": {"state": "requested"}}
    assert board.keys == "0s"


def test_exit_codes_tell_what_went_wrong(board: FakeConsole) -> None:
    port = ("--serial-port", board.port)
    not_reached = with_patience(
        lambda seconds: monitor(*port, "--until", "never said", "--timeout", seconds, "--json"),
        lambda done: done.returncode != 3,  # it has said something else
    )
    assert not_reached.returncode == 1
    assert json.loads(not_reached.stdout.splitlines()[-1])["error"] == "CheckFailed"
    assert monitor(*port, "--fail-on", "switch=on", "--for", "20").returncode == 1
    missing = monitor("--serial-port", "/dev/there-is-none", "--until", "x", "--timeout", "9")
    assert missing.returncode == 3
    assert "no serial port" in missing.stderr
    assert "Traceback" not in missing.stderr


def test_a_board_that_says_nothing_is_3() -> None:
    with FakeConsole(answers=False) as board:
        done = monitor("--serial-port", board.port, "--for", "0.3")
        assert done.returncode == 3
        assert "said nothing" in done.stderr
        assert monitor("--serial-port", board.port, "--for", "0.3", "--view", "0").returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--until", "("),
        ("--view", "7"),
        ("--timeout", "3"),
        ("--for", "3", "--count", "1"),
        ("--for", "nan"),
        ("--timeout", "inf", "--count", "1"),
        ("--view", "0", "--view", "1"),
        ("--view", "0", "--count", "1"),
        ("--count", "0"),
        ("--baudrate", "0"),
        ("--project", "/there-is-none/evtool.toml"),
        ("--baudrate", "123456789012"),
        ("--log", "/nowhere/x", "--csv", "/nowhere/../nowhere/x"),
        ("--junit", "/nowhere/x", "--expect", "y", "--log", "/nowhere/x", "--csv", "/nowhere/x"),
    ],
)
def test_options_that_make_no_sense_are_2(board: FakeConsole, arguments: tuple[str, ...]) -> None:
    done = monitor("--serial-port", board.port, *arguments)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr


# evtool, which keeps next to nothing for a reader that is slow
_KEEPS_LITTLE = """
from evtool.cli.group import run
from evtool.link.outlet import Outlet
Outlet.__init__.__defaults__ = (1000,)
run()
"""


@pytest.mark.parametrize("output", [("--json",), ("--jsonl", "-")])
def test_a_reader_that_takes_nothing_keeps_no_watch_from_ending_and_hears_what_is_lost(
    board: FakeConsole, output: tuple[str, ...]
) -> None:
    board.answers["m"] = "\r\n".join([RECORDS["1"]] * 20)
    board.answers["?"] = "enough"
    with subprocess.Popen(
        [
            *(sys.executable, "-c", _KEEPS_LITTLE, "monitor", "--serial-port", board.port),
            *("--send", "m" * 40 + "?", "--until", "enough", "--timeout", "25", *output),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.wait(timeout=LIMIT_S) == 0
            assert process.stderr is not None
            assert "bytes were not printed" in process.stderr.read()
        finally:
            process.kill()


def test_a_log_that_cannot_be_written_is_said(board: FakeConsole, tmp_path: Path) -> None:
    done = monitor("--serial-port", board.port, "--log", str(tmp_path / "no" / "log"))
    assert done.returncode == 1
    assert "No such file or directory" in done.stderr
    full = monitor("--serial-port", board.port, "--log", "/dev/full", "--count", "3")
    assert full.returncode == 1
    assert "No space left" in full.stderr


@pytest.mark.parametrize("how", [("--plain",), ("--json",), ("--raw", "--view", "all")], ids=str)
def test_an_output_that_is_full_is_said(board: FakeConsole, how: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("--serial-port", board.port, *how),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    assert done.returncode == 1, done.stderr
    assert done.stderr == "evtool: cannot write the output: No space left on device\n"


def test_the_log_grows_and_the_projects_secrets_are_masked(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "evtool", "init", "p", "--identity", "CP-0001"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=LIMIT_S,
    )
    project = tmp_path / "p"
    made = project / ".evtool" / "secrets"
    made.mkdir(parents=True, exist_ok=True)
    (made / "CP-0001_authorization_key").write_text("Zx81kkGeneratedKey09\n")
    log = tmp_path / "log"
    with FakeConsole() as board:
        board.answers["m"] = "header Basic Q1AtMDAwMTpaeDgxa2tHZW5lcmF0ZWRLZXkwOQ=="
        board.answers["?"] = "key Zx81kkGeneratedKey09 end"
        board.answers["!"] = "\r\n".join([RECORDS["1"], RECORDS["1"], "last"])
        for _ in range(2):
            done = monitor(
                *("--serial-port", board.port, "--log", str(log)),
                *("--view", "0", "--until", "^last", "--timeout", "20", "--send", "m?!"),
                cwd=project,
            )
            assert done.returncode == 0, done.stderr
            text = log.read_text()
            assert "key **** end" in text
            assert "Zx81kk" not in text + done.stdout
            assert "aeDgxa2t" not in text + done.stdout
    assert text.count(RECORDS["1"]) == 4
    assert re.match(r"\d{4}-\d\d-\d\dT\S+Z ", text)
    assert log.stat().st_mode & 0o777 == 0o600


def watch_that_loses(board: FakeConsole, *arguments: str) -> subprocess.Popen[str]:
    """A watch whose board has just vanished."""
    process = subprocess.Popen(
        command(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    board.vanish()
    return process


def test_a_port_that_disappears_ends_it_without_reconnect() -> None:
    with FakeConsole() as board:
        process = watch_that_loses(board, "--serial-port", board.port, "--no-reconnect")
        _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 3
    assert "disappeared" in errors


@pytest.mark.parametrize("prefix", ["", "path=", "/dev/.."])
def test_a_pseudo_terminal_is_not_waited_for_by_its_number(prefix: str) -> None:
    """The next one, perhaps somebody's screen, gets it."""
    with FakeConsole() as board:
        port = prefix + board.port
        process = watch_that_loses(board, "--serial-port", port, "--for", str(LIMIT_S))
        master, slave = os.openpty()
        _, errors = process.communicate(timeout=LIMIT_S)
        os.close(master)
        os.close(slave)
    assert process.returncode == 3
    assert "it does not return" in errors


def test_a_port_that_returns_is_taken_up_again(tmp_path: Path) -> None:
    """The port is a link, as /dev/serial/by-id has them, so that it can return by its name."""
    port = tmp_path / "board"
    with FakeConsole() as board:
        port.symlink_to(board.port)
        process = subprocess.Popen(
            command("--serial-port", str(port), "--json", "--until", "back", "--timeout", "25"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        events = (json.loads(line) for line in process.stdout)
        assert next(events)["event"] == "connected"
        port.unlink()  # first: another test's terminal may get the number at once
        board.vanish()
        assert any(event["event"] == "disconnected" for event in events)
    with FakeConsole() as board:
        board.say(BOOT.replace("power_on", "back"))
        port.symlink_to(board.port)
        rest = [event["event"] for event in events]
        process.stdout.close()
        assert process.wait(timeout=LIMIT_S) == 0
    assert rest[0] == "connected"
    assert "board_event" in rest


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*arguments: str, **how: Any) -> Terminal:
        opened.append(Terminal(*arguments, **how))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


ALTERNATE_SCREEN, MAIN_SCREEN, SHOW_CURSOR = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"


def test_the_screen_shows_tables_and_passes_keys(
    board: FakeConsole, terminal: Callable[..., Terminal]
) -> None:
    screen = terminal("--serial-port", board.port)
    screen.read_until("Requested voltage")
    screen.read_until("Session energy")
    screen.press(b"s")
    screen.read_until("is live: send s (start: power may flow)? y: yes")
    screen.press(b"y")
    screen.read_until("[event] start state=requested")
    screen.press(b"1")
    screen.read_until(lambda _: "1" in board.keys)
    screen.press(b"q")
    assert screen.end() == 0
    assert board.keys == "5s1"
    assert screen.text.index(ALTERNATE_SCREEN) < screen.text.rindex(MAIN_SCREEN)
    assert termios.tcgetattr(screen.slave) == screen.before


def test_quitting_before_what_is_waited_for_is_no_success(
    board: FakeConsole, terminal: Callable[..., Terminal]
) -> None:
    screen = terminal("--serial-port", board.port, "--until", "never said")
    screen.read_until("Session energy")
    screen.press(b"q")
    assert screen.end() == 130


IGNORES_HANG_UP = ("sh", "-c", 'trap "" HUP; exec "$@"', "sh")


@pytest.mark.parametrize("raw", [(), ("--raw", "--view", "all")], ids=["tables", "raw"])
@pytest.mark.parametrize("started_by", [(), ("setsid", "-w")], ids=["shell", "no job control"])
def test_a_closed_terminal_is_no_success(
    board: FakeConsole,
    terminal: Callable[..., Terminal],
    raw: tuple[str, ...],
    started_by: tuple[str, ...],
) -> None:
    screen = terminal("--serial-port", board.port, *raw, started_by=started_by)
    screen.read_until(lambda text: "terminal" in text)
    screen.hang_up()
    assert screen.process.wait(timeout=LIMIT_S) in (129, -signal.SIGHUP)


@pytest.mark.parametrize("raw", [(), ("--raw", "--view", "all")], ids=["tables", "raw"])
def test_where_the_end_of_the_terminal_is_ignored_the_watch_goes_on(
    board: FakeConsole, terminal: Callable[..., Terminal], tmp_path: Path, raw: tuple[str, ...]
) -> None:
    log = tmp_path / "run.log"
    screen = terminal(
        *("--serial-port", board.port, "--until", "^said later", "--log", str(log), *raw),
        started_by=IGNORES_HANG_UP,
    )
    screen.read_until(lambda text: "terminal" in text)
    screen.hang_up()
    size = log.stat().st_size
    deadline = time.monotonic() + LIMIT_S
    while log.stat().st_size <= size + 1000:
        time.sleep(0.02)
        assert screen.process.poll() is None
        assert time.monotonic() < deadline
    board.say("said later")
    assert screen.process.wait(timeout=LIMIT_S) == 0


@pytest.mark.parametrize(
    ("stop", "code"),
    [
        (lambda screen: screen.press(b"\x03"), 130),
        (lambda screen: screen.process.send_signal(signal.SIGTERM), 143),
        (lambda screen: screen.process.send_signal(signal.SIGHUP), 129),
    ],
    ids=["Ctrl-C", "SIGTERM", "SIGHUP"],
)
def test_the_terminal_is_given_back(
    board: FakeConsole,
    terminal: Callable[..., Terminal],
    stop: Callable[[Terminal], None],
    code: int,
) -> None:
    screen = terminal("--serial-port", board.port)
    screen.read_until("Requested voltage")
    stop(screen)
    assert screen.end() == code
    assert MAIN_SCREEN in screen.text
    assert screen.text.rindex(SHOW_CURSOR) > screen.text.index(ALTERNATE_SCREEN)
    assert termios.tcgetattr(screen.slave) == screen.before
    assert "Traceback" not in screen.text


def test_the_terminal_is_given_back_before_an_error_is_said(
    terminal: Callable[..., Terminal],
) -> None:
    with FakeConsole() as board:
        screen = terminal("--serial-port", board.port, "--no-reconnect")
        screen.read_until("Requested voltage")
        board.vanish()
        assert screen.end() == 3
    assert "disappeared" in screen.text[screen.text.rindex(MAIN_SCREEN) :]
    assert termios.tcgetattr(screen.slave) == screen.before


def test_no_color_and_a_dumb_terminal_are_respected(
    board: FakeConsole, terminal: Callable[..., Terminal]
) -> None:
    plain = terminal("--serial-port", board.port, environment={"NO_COLOR": "1"})
    plain.read_until("Session energy")
    plain.press(b"q")
    assert plain.end() == 0
    assert not re.search(r"\x1b\[(?:\d+;)*3\d", plain.text)
    dumb = terminal("--serial-port", board.port, environment={"TERM": "dumb"})
    dumb.read_until(RECORDS["3"])
    dumb.press(b"q")
    assert dumb.end() == 0
    assert "\x1b" not in dumb.text


@pytest.mark.parametrize("how", [(), ("--json",), ("--raw", "--view", "all"), ("--jsonl", "-")])
def test_a_reader_that_goes_away_ends_the_watch(board: FakeConsole, how: tuple[str, ...]) -> None:
    process = subprocess.Popen(
        command("--serial-port", board.port, *how),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=LIMIT_S) == 141
    assert process.stderr.read() == b""
    process.stderr.close()
