# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts with `evtool monitor` as a process with no terminal, and every exit code of theirs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from board_images import parts
from fake_console import BOOT, FakeConsole
from patience import with_patience
from running_board import flashed_board

LIMIT_S = 60
PANIC = "Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled."


@pytest.fixture
def board() -> Iterator[FakeConsole]:
    with FakeConsole() as console:
        yield console


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "evtool", "monitor", *arguments]


def monitor(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env=os.environ | {"TERM": "dumb"},
    )


def run_script(
    board: FakeConsole, folder: Path, text: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    script = folder / "try.evs"
    script.write_text(text)
    return monitor("--serial-port", board.port, "--script", str(script), *arguments)


def events(text: str, kind: str) -> list[dict[str, object]]:
    found = (json.loads(line) for line in text.splitlines())
    return [event for event in found if event.get("event") == kind]


SCRIPT = """
wait terminal within 20s
terminal.v between 60 and 84 for 500ms
send "s"
expect /start state=(?P<state>\\w+)/ within 20s
assert "${state}" is "requested"
"""


def test_a_script_passes(board: FakeConsole, tmp_path: Path) -> None:
    junit = tmp_path / "made" / "junit.xml"
    done = run_script(board, tmp_path, SCRIPT, "--json", "--junit", str(junit))
    assert done.returncode == 0, done.stderr
    assert [step["outcome"] for step in events(done.stdout, "step")] == ["passed"] * 5
    (summary,) = events(done.stdout, "script")
    assert summary["outcome"] == "passed"
    assert done.stdout.splitlines()[-1] == json.dumps(summary)
    suite = ET.parse(junit).getroot().find("testsuite")  # noqa: S314 - evtool wrote it
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("5", "0", "0")
    assert junit.stat().st_mode & 0o777 == 0o600


def test_people_read_the_steps_on_stderr(board: FakeConsole, tmp_path: Path) -> None:
    done = run_script(board, tmp_path, SCRIPT, "--view", "4")
    assert done.returncode == 0, done.stderr
    assert "ok     " in done.stderr
    assert "5 of 5 steps passed" in done.stderr
    assert all(line.startswith("[") for line in done.stdout.splitlines())


def test_expects_of_the_command_line_are_met_in_order(board: FakeConsole) -> None:
    port = ("--serial-port", board.port, "--view", "0")
    done = monitor(*port, "--send", "sm", "--expect", "requested", "--expect", "^keys:")
    assert done.returncode == 0, done.stderr
    turned = with_patience(
        lambda seconds: monitor(
            *(*port, "--send", "sm", "--expect", "^keys:", "--expect", "requested"),
            *("--timeout", seconds),
        ),
        lambda done: done.returncode != 3,  # it has said something
    )
    assert turned.returncode == 1, turned.stderr
    assert "--expect requested" in turned.stderr


SECONDS = "as many seconds as it takes"


@pytest.mark.parametrize(
    ("text", "arguments", "code"),
    [
        ("wait terminal within 50s\nexpect /never said/ within 300ms", (), 1),
        ("expect /never said/", ("--timeout", SECONDS), 1),
        ("terminal.v < 60", (), 1),
        ("expect-not /terminal/ for 20s", (), 1),
        ("sleep 20s", ("--fail-on", "bms"), 1),
        ("reset", (), 3),
        ("expct /x/", (), 2),
        ("@other reset", (), 2),
    ],
)
def test_every_failure_has_its_exit_code(
    board: FakeConsole, tmp_path: Path, text: str, arguments: tuple[str, ...], code: int
) -> None:
    junit = tmp_path / "junit.xml"
    done = with_patience(
        lambda seconds: run_script(
            *(board, tmp_path, text, "--junit", str(junit)),
            *(seconds if each is SECONDS else each for each in arguments),
        ),
        lambda done: done.returncode == code or SECONDS not in arguments,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    if code != 2:
        suite = ET.parse(junit).getroot().find("testsuite")  # noqa: S314 - evtool wrote it
        assert suite is not None
        assert int(suite.get("failures", 0)) + int(suite.get("errors", 0)) == 1


def test_a_panic_is_1_and_an_expected_one_is_0(board: FakeConsole, tmp_path: Path) -> None:
    board.answers["m"] = f"{PANIC}\r\nRebooting...\r\n{BOOT}"
    done = run_script(board, tmp_path, 'send "m"\nexpect /boot/')
    assert done.returncode == 1
    assert "broke down" in done.stderr
    done = run_script(board, tmp_path, 'send "m"\nexpect-panic\nexpect /boot/')
    assert done.returncode == 0, done.stderr


def test_a_panic_ends_every_watch_that_has_an_end(board: FakeConsole) -> None:
    board.answers["m"] = PANIC
    done = monitor("--serial-port", board.port, "--send", "m", "--count", "100000")
    assert done.returncode == 1, done.stderr


def test_a_missing_port_is_3_and_no_success_in_junit(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    done = monitor(
        *("--serial-port", str(tmp_path / "none"), "--expect", "x", "--junit", str(junit))
    )
    assert done.returncode == 3
    assert b"<error " in junit.read_bytes()


def test_no_results_of_an_earlier_run_stay_where_no_port_is_found(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text('<testsuites><testsuite name="yesterday" failures="0"/></testsuites>')
    port = ("--serial-port", str(tmp_path / "ttyUSB*"))
    done = monitor(*port, "--expect", "x", "--junit", str(junit))
    assert done.returncode == 3
    (suite,) = ET.parse(junit).getroot()  # noqa: S314  our own file
    assert (suite.get("errors"), suite.get("skipped")) == ("1", "1")
    (said,) = suite.iter("error")
    assert "no serial port is" in said.get("message", "")


YESTERDAY = '<testsuites><testsuite name="yesterday" failures="0"/></testsuites>'


@pytest.mark.parametrize(
    ("arguments", "says_why"),  # CI reads why, where it is known what was to be run
    [
        (("--expect", "("), False),
        (("--expect", "x", "--bogus"), False),
        (("--expect", "x", "--until", "y"), False),
        (("--script", "there-is-none.evs"), True),
        (("--script", "wrong.evs"), True),
        (("--expect", "x", "--project", "wrong.toml"), True),
    ],
)
def test_a_mistake_leaves_no_results_of_an_earlier_run(
    tmp_path: Path, arguments: tuple[str, ...], says_why: bool
) -> None:
    (tmp_path / "wrong.evs").write_text("dance /x/\n")
    (tmp_path / "wrong.toml").write_text("x = \n")
    file = tmp_path / "junit.xml"
    for junit in (("--junit", "junit.xml"), ("--junit=junit.xml",)):
        file.write_text(YESTERDAY)
        done = monitor("--serial-port", "none", *arguments, *junit, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        left = file.read_text() if file.exists() else ""
        assert "yesterday" not in left
        assert ("<error " in left) == says_why


def test_a_file_that_holds_no_results_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text("precious\n")
    done = monitor(
        *("--serial-port", "none", "--expect", "x", "--junit", "run.log", "--log", "run.log"),
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "the same file" in done.stderr
    assert (tmp_path / "run.log").read_text() == "precious\n"


def test_a_killed_run_leaves_no_results_of_an_earlier_one(
    board: FakeConsole, tmp_path: Path
) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text(YESTERDAY)
    process = subprocess.Popen(
        command(
            *("--serial-port", board.port, "--json", "--junit", str(junit)),
            *("--expect", "never said", "--timeout", "100"),
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "connected"
    process.kill()
    process.communicate(timeout=LIMIT_S)
    assert not junit.exists()


@pytest.mark.parametrize("option", ["--expect", "--include"])
def test_an_expression_that_takes_for_ever_is_2(
    board: FakeConsole, tmp_path: Path, option: str
) -> None:
    board.answers["m"] = "a" * 100 + "!"
    junit = tmp_path / "junit.xml"
    expect = () if option == "--expect" else ("--expect", "never said")
    port = ("--serial-port", board.port, "--send", "m", "--timeout", "500")
    done = monitor(*port, option, "(a+)+$", *expect, "--junit", str(junit))
    assert done.returncode == 2, done.stderr
    assert "(a+)+$" in done.stderr
    assert "Traceback" not in done.stderr
    assert 'errors="1"' in junit.read_text()


def test_a_failure_quotes_a_long_line_in_part(board: FakeConsole, tmp_path: Path) -> None:
    board.answers["m"] = "the beginning" + "a" * 900 + "the end"
    text = 'send "m"\nexpect "the beginning" within 60s\nexpect /never/ within 500ms\n'
    done = run_script(board, tmp_path, text, "--view", "0")
    assert done.returncode == 1, done.stderr
    assert "the last line that came: aaa" in done.stderr
    assert "the end" not in done.stderr


def test_a_silent_board_is_3(tmp_path: Path) -> None:
    with FakeConsole(answers=False) as board:
        done = run_script(board, tmp_path, "expect /x/ within 300ms")
    assert done.returncode == 3
    assert "said nothing" in done.stderr


def test_a_lost_port_is_3(tmp_path: Path) -> None:
    script = tmp_path / "try.evs"
    script.write_text('expect "[terminal]" within 20s\nprint "here"\nexpect /never/ within 50s\n')
    with FakeConsole() as board:
        process = subprocess.Popen(
            command(
                *("--serial-port", board.port, "--script", str(script), "--json"),
                "--no-reconnect",  # else the port may return until time is up
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line).get("text") == "here":
                break
        board.vanish()
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait(timeout=LIMIT_S) == 3, rest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_has_its_code_and_the_results_are_written(
    board: FakeConsole, tmp_path: Path, number: signal.Signals
) -> None:
    junit = tmp_path / "junit.xml"
    process = subprocess.Popen(
        command(
            *("--serial-port", board.port, "--json", "--junit", str(junit)),
            *("--expect", "never said", "--timeout", "100"),
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    limit = threading.Timer(LIMIT_S, process.kill)
    limit.start()
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "connected"
    process.send_signal(number)
    process.communicate()
    limit.cancel()
    assert process.returncode == 128 + number
    assert b"<error " in junit.read_bytes()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--expect", "("),
        ("--script", "/there-is-none.evs"),
        ("--script", "x", "--expect", "y"),
        ("--junit", "x"),
        ("--expect", "x", "--until", "y"),
        ("--expect", "x", "--for", "3"),
        ("--send", "\\q"),
    ],
)
def test_options_that_make_no_sense_are_2(board: FakeConsole, arguments: tuple[str, ...]) -> None:
    done = monitor("--serial-port", board.port, *arguments)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr


def test_the_example_runs(board: FakeConsole) -> None:
    folder = Path(__file__).parents[2] / "examples" / "monitor_script"
    done = monitor("--serial-port", board.port, "--script", str(folder / "smoke.evs"))
    assert done.returncode == 0, done.stderr


def test_a_secret_comes_from_the_environment_and_shows_nowhere(
    board: FakeConsole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTS_PASSWORD", "correct-horse")
    board.answers["m"] = "you said correct-horse"
    text = 'secret password SCRIPTS_PASSWORD\nsend "${password}"\nsend "m"\nexpect /you said/\n'
    text += 'set copy "${password}"\nassert "${copy}" is "x"'
    junit = tmp_path / "junit.xml"
    done = run_script(board, tmp_path, text, "--json", "--view", "0", "--junit", str(junit))
    assert done.returncode == 1, done.stderr
    assert "correct-horse" in board.keys
    assert "horse" not in done.stdout + done.stderr + junit.read_text()
    assert "you said ****" in done.stdout
    monkeypatch.delenv("SCRIPTS_PASSWORD")
    done = run_script(board, tmp_path, text)
    assert done.returncode == 2
    assert "try.evs:1:1: the environment variable SCRIPTS_PASSWORD is not set" in done.stderr


@pytest.mark.parametrize(
    ("secret", "step"),
    [
        ("it's horses", 'assert "${password}" is "x"'),  # quoted in another way for its '
        ("horse\"quote's", 'assert "x" is not "${password}"\nassert "${password}" matches /x/'),
        ("pa$$horse", 'assert "x" is "pa\\$\\$horse"'),
        ("pass-horse", 'assert "x" matches /pass\\-horse/'),
        ("pass-horse", 'assert "x" is "pass\\x2dhorse"'),
        ("pass-horse", "pass-horse now"),  # a mistake, told before the first step
    ],
)
def test_a_failure_quotes_no_secret(
    board: FakeConsole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str, step: str
) -> None:
    monkeypatch.setenv("SCRIPTS_PASSWORD", secret)
    monkeypatch.setenv("EVTOOL_WIFI_PASSPHRASE", secret)
    subprocess.run([sys.executable, "-m", "evtool", "init", "."], cwd=tmp_path, check=True)
    junit = tmp_path / "junit.xml"
    script = tmp_path / "try.evs"
    script.write_text(f"secret password SCRIPTS_PASSWORD\n{step}\n")
    done = monitor(
        *("--serial-port", board.port, "--script", "try.evs", "--junit", str(junit)), cwd=tmp_path
    )
    assert done.returncode in (1, 2), done.stderr
    shown = done.stdout + done.stderr + (junit.read_text() if junit.exists() else "")
    assert "try.evs:2" in shown
    assert "****" in shown
    assert "horse" not in shown


@pytest.mark.parametrize("option", ["--expect", "--until", "--fail-on"])
def test_an_option_quotes_no_secret(
    board: FakeConsole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setenv("EVTOOL_WIFI_PASSPHRASE", "it's a-horse")
    subprocess.run([sys.executable, "-m", "evtool", "init", "."], cwd=tmp_path, check=True)
    board.answers["m"] = "you said it's a-horse!"
    pattern = {"--fail-on": r"you said|it's a\-horse", "--until": r"^it's a\-horse"}
    arguments = [option, pattern.get(option, r"it's a\-horse"), "--send", "m"]
    if option == "--fail-on":
        arguments += ["--count", "9999"]
    port = ("--serial-port", board.port)
    done = with_patience(
        lambda seconds: monitor(*port, *arguments, "--timeout", seconds, cwd=tmp_path),
        lambda done: done.returncode == 1 and "you said" in done.stdout,
    )
    assert done.returncode == 1, done.stderr
    assert "****" in done.stderr
    assert "horse" not in done.stdout + done.stderr


def test_one_script_talks_to_several_boards(board: FakeConsole, tmp_path: Path) -> None:
    with FakeConsole() as other:
        other.answers["s"] = "the other one"
        script = tmp_path / "try.evs"
        script.write_text(
            f'@{board.port} send "s"\n@1 expect /requested/\n'
            f'port "{other.port}"\nsend "s"\n@2 expect /the other one/\n'
            "terminal.v between 60 and 84\n"
        )
        ports = ("--serial-port", board.port, "--serial-port", other.port)
        done = monitor(*ports, "--script", str(script), "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        steps = events(done.stdout, "step")
        assert [step["port"] for step in steps] == [board.port] * 2 + [other.port] * 3
        done = monitor(*ports, "--expect", "x")
        assert done.returncode == 2
        assert "--expect goes with one port" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the virtual board needs Linux")
def test_a_board_is_reset_crashed_and_awaited(tmp_path: Path) -> None:
    """A real boot's text, over a port that carries the reset line."""
    script = tmp_path / "try.evs"
    script.write_text(
        "within 30s\n"
        'send "5"\n'
        "expect /^key 5/  # what the board has said before comes first\n"
        "reset\n"
        "expect /rst:0x1 \\(POWERON_RESET\\)/\n"
        "wait event boot reset=power_on\n"
        'send "7"\n'
        "expect /^key 7/\n"
        'send "c"\n'
        "expect-panic\n"
        "expect /ELF file SHA256: [0-9a-f]+/\n"
        "wait event boot reset=panic\n"
    )
    board = flashed_board(tmp_path / "board", parts(), "--transport", "rfc2217")
    try:
        board.wait_for("app")
        done = monitor("--serial-port", board.serial_port, "--script", str(script), "--view", "0")
    finally:
        board.end()
    assert done.returncode == 0, done.stdout + done.stderr
