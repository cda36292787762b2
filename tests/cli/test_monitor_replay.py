# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool monitor replay` and what a live watch keeps, as a user types it."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import panic_samples as samples
import pytest
from console_logs import NOON_MS, log_of, whole_session
from fake_console import BOOT, RECORDS, FakeConsole
from monitor_terminal import Terminal

from evtool.cli.console_log_file import LONGEST_LINE

LIMIT_S = 90


def evtool(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evtool", *arguments],
        cwd=cwd,
        env=os.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def stamped(at_ms: int, text: str) -> str:
    seconds, ms = divmod(at_ms - NOON_MS + 40_000, 1000)  # past 01:46
    return f"2001-09-09T01:{46 + seconds // 60:02d}:{seconds % 60:02d}.{ms:03d}Z {text}"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "run.log"
    lines = log_of(whole_session())
    path.write_text("".join(f"{stamped(line.at_ms, line.text)}\n" for line in lines))
    return path


def test_lines_with_and_without_their_times(log: Path, tmp_path: Path) -> None:
    done = evtool("monitor", "replay", "run.log", "--view", "terminal", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "[event] gate state=open" in lines
    assert any(line.startswith("[terminal] ") for line in lines)
    assert not any(line.startswith("[bms] ") for line in lines)
    done = evtool("monitor", "replay", "run.log", "--timestamps", cwd=tmp_path)
    assert done.stdout == log.read_text()


def test_every_output_of_a_log(log: Path, tmp_path: Path) -> None:
    done = evtool(
        "monitor", "replay", "run.log", "--csv", "x.csv", "--jsonl", "x.jsonl",
        "--plot", "x.html", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "x.csv").read_text().splitlines()))
    assert {row["quantity"] for row in rows} >= {"terminal.v", "event.gate.state", "bms.raw"}
    assert rows[0]["host_time"].startswith("2001-09-09T01:46:40")
    assert rows[-1]["device_clock"] == "boot"
    assert "Session energy" in (tmp_path / "x.html").read_text()
    # what was kept is a log again, with the same records
    again = evtool("monitor", "replay", "x.jsonl", "--csv", "y.csv", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "y.csv").read_text() == (tmp_path / "x.csv").read_text()


def test_json_lines_on_stdout(log: Path, tmp_path: Path) -> None:
    done = evtool("monitor", "replay", "run.log", "--json", cwd=tmp_path)
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    records = [each for each in documents if each["event"] == "record"]
    assert records[0]["time"].startswith("2001-09-09T01:46:4")
    assert {each["name"] for each in records} == {"bms", "power_module", "output", "terminal"}
    only = evtool("monitor", "replay", "run.log", "--jsonl", "-", cwd=tmp_path)
    kinds = {json.loads(line)["event"] for line in only.stdout.splitlines()}
    assert kinds == {"record", "board_event"}


def test_what_a_user_may_get_wrong(log: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.log").write_bytes(b"")
    (tmp_path / "other.csv").write_text("something else\n")
    for arguments, code, message in (
        (("empty.log",), 2, "holds no line"),
        (("away.log",), 2, "does not exist"),
        (("run.log", "--speed", "fast"), 2, "is no speed"),
        (("run.log", "--speed", "nan"), 2, "is no speed"),
        (("run.log", "--plot", "x.pdf"), 2, "FILE.html or FILE.png"),
        (("run.log", "--plot", "away/x.html"), 1, "no folder"),
        (("run.log", "--csv", "other.csv"), 2, "begins otherwise"),
        (("run.log", "--csv", "-"), 2, "a table is a FILE"),
        (("run.log", "--csv", "x", "--jsonl", "x"), 2, "the same file"),
        (("run.log", "--jsonl", "../" + tmp_path.name + "/run.log"), 2, "the same file"),
        (("run.log", "--port", "nobody"), 2, "holds no line of port nobody"),
    ):
        done = evtool("monitor", "replay", *arguments, cwd=tmp_path)
        assert done.returncode == code, (arguments, done.stderr)
        assert message in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    refused = evtool("monitor", "--serial-port", "x", "replay", "run.log", cwd=tmp_path)
    assert refused.returncode == 2
    assert "put options behind" in refused.stderr


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        opened.append(Terminal(*arguments))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_a_log_plays_on_the_screen(log: Path, terminal: Callable[..., Terminal]) -> None:
    screen = terminal("replay", str(log), "--speed", "400")
    # All that is wanted of a picture is waited for: it may arrive in pieces.
    screen.read_screen(
        lambda lines: (
            "the log's end" in lines[-1]
            and "run.log" in lines[0]
            and "gate closed: no vehicle" in lines[1]
            and "[event] plug state=out" in "\n".join(lines)
            and "STALE" in "\n".join(lines)
        )
    )
    screen.press(b"4")
    screen.read_screen(
        lambda lines: (
            "view terminal" in lines[0] and not any("Vehicle (BMS)" in line for line in lines)
        )
    )
    screen.press(b"q")
    assert screen.end() == 0


def test_ctrl_c_ends_a_replay_and_gives_the_terminal_back(
    log: Path, terminal: Callable[..., Terminal]
) -> None:
    screen = terminal("replay", str(log))
    screen.read_screen(lambda lines: "q quit" in lines[-1])
    screen.press(b"\x03")
    assert screen.end() == 130
    assert "\x1b[?1049l" in screen.text
    assert "Traceback" not in screen.text
    assert termios.tcgetattr(screen.slave) == screen.before


def test_a_live_screen_shows_histories_and_keeps_files(
    tmp_path: Path, terminal: Callable[..., Terminal]
) -> None:
    with FakeConsole() as board:
        screen = terminal(
            "--serial-port", board.port, "--csv", str(tmp_path / "x.csv"),
            "--plot", str(tmp_path / "x.html"),
        )  # fmt: skip
        screen.read_screen(lambda lines: any("Session energy       0.456 kWh" in x for x in lines))
        board.say(BOOT)
        board.say("[event] fault name=over_voltage state=set")
        screen.read_screen(
            lambda lines: (
                "FAULT over voltage" in lines[2]
                and lines[0].startswith("CP-0001  ")
                and any("72.00 V" in line and "▁" in line for line in lines)
            )
        )
        screen.press(b"q")
        assert screen.end() == 0
    assert "terminal.session,0.456,kWh" in (tmp_path / "x.csv").read_text()
    assert "CP-0001" in (tmp_path / "x.html").read_text()


def test_a_live_watch_kept_as_json_lines_is_a_log(tmp_path: Path) -> None:
    with FakeConsole() as board:
        done = evtool(
            "monitor", "--serial-port", board.port, "--count", "8", "--timeout", "60",
            "--jsonl", "-", cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (tmp_path / "x.jsonl").write_text(done.stdout)
    again = evtool("monitor", "replay", "x.jsonl", "--view", "bms", cwd=tmp_path)
    assert set(again.stdout.splitlines()) == {RECORDS["1"]}


def test_a_log_is_verified_and_becomes_a_scenario(log: Path, tmp_path: Path) -> None:
    done = evtool("verify", "--from-log", "run.log", "--save", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "not judged: frames that the unit sent" in done.stderr
    saved = tmp_path / "from-log-run.toml"
    again = evtool("verify", "--device", "reference", str(saved), cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    doctored = log.read_text().replace("reason=no_vehicle", "reason=too_hot")
    (tmp_path / "bad.log").write_text(doctored)
    bad = evtool("verify", "--from-log", "bad.log", "--json", cwd=tmp_path)
    assert bad.returncode == 1
    documents = [json.loads(line) for line in bad.stdout.splitlines()]
    verdict = next(each for each in documents if each["event"] == "verdict")
    assert "reason=too_hot" in json.dumps(verdict)
    assert verdict["not_judged"]
    assert "bad.log" in bad.stderr


def test_a_log_with_nothing_to_judge_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("hello\n" * 20)
    done = evtool("verify", "--from-log", "x.log", cwd=tmp_path)
    assert done.returncode == 2
    assert "nothing in it that could be judged" in done.stderr


def test_a_long_line_is_one_line_and_its_secret_masked(tmp_path: Path) -> None:
    made = evtool("init", ".", "--identity", "CP-0001", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    toml = tmp_path / "evtool.toml"
    toml.write_text(
        re.sub(r"(?m)^passphrase = .*$", 'passphrase = { file = "wifi.txt" }', toml.read_text())
    )
    (tmp_path / "wifi.txt").write_text("correct-horse-battery\n")
    before = (1 << 16) - 10
    (tmp_path / "long.log").write_text(
        "short\n" + "x" * before + "correct-horse-battery" + "y" * 100_000 + "\nlast\n"
    )
    done = evtool("monitor", "replay", "long.log", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "short\n" + "x" * before + "****" + "y" * 100_000 + "\nlast\n"


def test_what_has_no_line_ends_is_no_log(tmp_path: Path) -> None:
    with (tmp_path / "image.bin").open("wb") as file:
        file.truncate(LONGEST_LINE + 2)
    for command in (("monitor", "replay", "image.bin"), ("verify", "--from-log", "image.bin")):
        done = evtool(*command, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert "image.bin:1: the line is longer than 16 MiB" in done.stderr


def test_a_panic_is_decoded_at_the_time_of_the_log(log: Path, tmp_path: Path) -> None:
    last_ms = log_of(whole_session())[-1].at_ms
    with log.open("a") as file:
        for text in samples.xtensa_panic((0x400D1F24,)).splitlines():
            file.write(f"{stamped(last_ms + 1000, text)}\n")
        file.write(f"{stamped(last_ms + 9000, 'rst:0xc (SW_CPU_RESET),boot:0x13')}\n")
    done = evtool("monitor", "replay", "run.log", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    (decoded,) = [each for each in documents if each["event"] == "panic_decoded"]
    assert stamped(last_ms + 1000, "")[:19] <= decoded["time"] <= stamped(last_ms + 9000, "")


def test_a_secret_across_the_rows_of_a_dump_is_masked_in_a_replay(tmp_path: Path) -> None:
    assert evtool("init", ".", "--identity", "CP-0001", cwd=tmp_path).returncode == 0
    data = bytes(10) + b"correct-horse-battery"
    rows = [data[at : at + 16].hex(" ") for at in range(0, len(data), 16)]
    (tmp_path / "run.log").write_text("".join(f"I (1) net: {row} \n" for row in rows) + "last\n")
    environment = os.environ | {"EVTOOL_WIFI_PASSPHRASE": "correct-horse-battery"}
    done = subprocess.run(
        [sys.executable, "-m", "evtool", "monitor", "replay", "run.log"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    zeros = "00 " * 10
    assert done.stdout == f"I (1) net: {zeros}**** \nI (1) net: **** \nlast\n", done.stderr
