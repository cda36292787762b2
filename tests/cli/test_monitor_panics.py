# SPDX-License-Identifier: GPL-3.0-or-later
"""A board breaks down, and `evtool monitor` shows where: with the right ELF file, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import panic_samples as samples
import pytest
from board_images import APP0, application, parts
from fake_console import BOOT, FakeConsole
from monitor_terminal import Terminal
from running_board import flashed_board

LIMIT_S = 100

pytestmark = pytest.mark.skipif(
    shutil.which("g++") is None or shutil.which("nm") is None, reason="needs g++ and nm"
)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> samples.Program:
    return samples.build_program(tmp_path_factory.mktemp("elf"))


def monitor(
    *arguments: str, cwd: Path | None = None, packages: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evtool", "monitor", *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env=os.environ | {"PLATFORMIO_CORE_DIR": str(packages or "/nowhere")},
    )


def play(panic: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The monitor's answer to a panic, which the script wants."""
    with FakeConsole() as board:
        board.answers["m"] = panic
        script = ("--send", "m", "--expect", "Guru|abort|assert", "--expect", "Rebooting")
        return monitor("--serial-port", board.port, "--view", "0", *script, *arguments, cwd=cwd)


def test_a_backtrace_becomes_lines_of_source(program: samples.Program) -> None:
    done = play(program.panic(), "--elf", str(program.path))
    assert done.returncode == 0, done.stderr
    assert f"decoded with {program.path} (ELF file SHA256 {program.sha256[:16]})" in done.stderr
    assert "LoadProhibited: it read from an invalid address" in done.stderr
    assert "ev::Gate::open" in done.stderr
    assert "crash_1a2b3c4d.cpp:9\n" in done.stderr
    assert "crash_1a2b3c4d.cpp:13\n" in done.stderr


def test_programs_read_the_frames(program: samples.Program) -> None:
    done = play(program.panic(), "--elf", str(program.path), "--json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    (decoded,) = [event for event in events if event["event"] == "panic_decoded"]
    assert decoded["elf"] == str(program.path)
    (trace,) = decoded["backtraces"]
    assert [int(frame["address"], 16) for frame in trace["frames"]] == list(program.crash)
    assert [frame["places"][0]["line"] for frame in trace["frames"]] == [9, 13]


def test_another_programs_file_is_not_used(program: samples.Program, tmp_path: Path) -> None:
    other = samples.build_program(tmp_path, "99999999")
    done = play(program.panic(), "--elf", str(other.path))
    assert done.returncode == 0, done.stderr
    assert "addresses are not decoded: no ELF file here has the SHA-256" in done.stderr
    assert f"{other.path} is {other.sha256[:9]}, build 99999999" in done.stderr
    assert "Gate::open" not in done.stderr
    both = play(program.panic(), "--elf", str(other.path), "--elf", str(program.path))
    assert "ev::Gate::open" in both.stderr


def test_without_a_word_of_the_board_there_is_no_guess(program: samples.Program) -> None:
    done = play(program.panic(""), "--elf", str(program.path))
    assert "the board has not said which program it runs" in done.stderr
    assert "Gate::open" not in done.stderr
    assert f"#0  {program.crash[0]:#010x}\n" in done.stderr


@pytest.mark.parametrize("build", ["1a2b3c4d", "12345678"])
def test_a_boot_lines_build_id_stands_in_for_a_hash_of_zeros(
    program: samples.Program, build: str
) -> None:
    boot = BOOT.replace("1a2b3c4d", build)
    done = play(f"{boot}\r\n{program.panic('0' * 16)}", "--elf", str(program.path))
    assert done.returncode == 0, done.stderr
    assert ("ev::Gate::open" in done.stderr) == (build == "1a2b3c4d")
    assert f"build {build}" in done.stderr


def test_the_projects_own_build_is_found(program: samples.Program, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "evtool", "init", "p", "--identity", "CP-0001"]
    subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True, timeout=LIMIT_S)
    build = tmp_path / "p" / "firmware" / ".pio" / "build" / "esp32dev"
    build.mkdir(parents=True)
    shutil.copy(program.path, build / "firmware.elf")
    done = play(program.panic(), cwd=tmp_path / "p")
    assert done.returncode == 0, done.stderr
    assert f"decoded with {build / 'firmware.elf'}" in done.stderr
    assert "ev::Gate::open" in done.stderr


@pytest.mark.parametrize("goal", ["--expect", "--until"])
def test_a_panic_that_ends_the_watch_is_read_and_decoded_to_its_end(
    program: samples.Program, goal: str
) -> None:
    with FakeConsole() as board:
        board.answers["m"] = program.panic()
        script = ("--send", "m", goal, "never said", "--elf", str(program.path))
        done = monitor("--serial-port", board.port, *script)
    assert done.returncode == 1
    assert "ev::Gate::open" in done.stderr
    assert "broke down: Guru Meditation" in done.stderr


def test_a_watchdogs_reset_is_explained() -> None:
    done = play("Guru\r\nrst:0x8 (TG1WDT_SYS_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\nRebooting")
    assert "TG1WDT_SYS_RESET (0x8): main watchdog 1" in done.stderr
    done = play("Guru\r\nrst:0x8 (TG1WDT_SYS_RESET),boot:0x13\r\nRebooting", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert "reset_reason" in {event.get("event") for event in events}


@pytest.mark.skipif(sys.platform != "linux", reason="the virtual board needs Linux")
def test_a_virtual_board_panics_and_its_program_is_found(tmp_path: Path) -> None:
    """From the program in the board's flash to the line of source, and the exit code."""
    program = samples.build_program(tmp_path, runs=True)
    images = parts() | {APP0: application(program.path.read_bytes())}
    board = flashed_board(tmp_path / "board", images)
    try:
        board.wait_for("app")
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "evtool", "monitor", "--serial-port", board.serial_port),
                *("--expect", "never said", "--timeout", "90", "--elf", str(tmp_path), "--json"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "connected"
        board.tell("panic " + " ".join(f"{address:#x}" for address in program.crash))
        events = [json.loads(line) for line in process.communicate(timeout=LIMIT_S)[0].splitlines()]
    finally:
        board.end()
    assert process.returncode == 1, events
    (decoded,) = [event for event in events if event.get("event") == "panic_decoded"]
    assert decoded["elf"] == str(program.path)
    (trace,) = decoded["backtraces"]
    assert [frame["places"][0]["function"] for frame in trace["frames"]] == [
        "ev::Gate::open",
        "control_task",
    ]


def test_a_log_from_the_field_is_decoded(program: samples.Program, tmp_path: Path) -> None:
    log = tmp_path / "field.log"
    log.write_text("hello\n" + program.panic().replace("\r\n", "\n") + "and on\n")
    argv = [sys.executable, "-m", "evtool", "monitor", "replay", str(log)]
    done = subprocess.run(
        [*argv, "--elf", str(program.path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "ev::Gate::open" in done.stderr
    assert done.stdout.endswith("and on\n")


@pytest.fixture
def slow_elf(tmp_path: Path) -> Path:
    """What nobody comes to an end with: whoever opens it waits for a writer."""
    path = tmp_path / "slow.elf"
    os.mkfifo(path)
    return path


def test_q_waits_for_no_decoder(slow_elf: Path) -> None:
    panic = samples.xtensa_panic((0x400D1F24,), "4d2e6c5b7a8f9e01")
    with FakeConsole() as board:
        board.answers["m"] = panic
        screen = Terminal("--serial-port", board.port, "--elf", str(slow_elf))
        try:
            screen.read_until("Session energy")
            screen.press(b"m")
            screen.read_until("Rebooting...")
            screen.press(b"q")
            assert screen.end() == 0
        finally:
            screen.close()
    _, _, behind_tables = screen.text.rpartition("\x1b[?1049l")
    assert "not decoded, the watch was over: Guru Meditation Error" in behind_tables


def test_a_signal_waits_for_no_decoder(slow_elf: Path) -> None:
    panic = samples.xtensa_panic((0x400D1F24,), "4d2e6c5b7a8f9e01")
    with FakeConsole() as board:
        board.answers["m"] = panic
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "evtool", "monitor", "--serial-port", board.port),
                *("--elf", str(slow_elf), "--send", "m", "--json"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        told = []
        for line in process.stdout:
            told.append(json.loads(line))
            if told[-1].get("text") == "Rebooting...":
                process.send_signal(signal.SIGTERM)
        process.stdout.close()
        assert process.wait(timeout=LIMIT_S) == 143
    (left,) = [event for event in told if event["event"] == "panics_not_decoded"]
    assert "not decoded, the watch was over: Guru Meditation Error" in left["text"]
