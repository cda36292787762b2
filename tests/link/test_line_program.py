# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that answers lines, and what is done with one that does not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from evtool.errors import ConfigError
from evtool.link.clock import monotonic_ms
from evtool.link.line_program import LineProgram
from evtool.verify.device_under_test import HostProgram

ECHO = """
for line in sys.stdin:
    print(line + "ok", flush=True)
"""


def start(code: str) -> LineProgram:
    return LineProgram([sys.executable, "-c", f"import sys, os, time\n{code}"])


def script(tmp_path: Path, code: str, patience_s: float = 60.0) -> HostProgram:
    program = tmp_path / "program"
    program.write_text(f"#!{sys.executable}\nimport sys, os, time\n{code}")
    program.chmod(0o755)
    return HostProgram(program, LineProgram, patience_s=patience_s)


def test_answers_come_whole_and_in_order() -> None:
    program = start(ECHO)
    try:
        program.send("a\nb\nc\n")
        assert program.receive(1, 60) == "a\nok\n"
        assert program.receive(2, 60) == "b\nok\nc\nok\n"
        assert program.finish() == (0, "")
    finally:
        program.close()


def test_answers_of_nothing_but_ok_count_each() -> None:
    program = start("for line in sys.stdin: print('ok', flush=True)")
    try:
        program.send("1\n2\n3\n4\n")
        assert [program.receive(count, 60) for count in (1, 3)] == ["ok\n", "ok\nok\nok\n"]
    finally:
        program.close()


def test_more_than_all_pipes_hold_passes_through() -> None:
    program = start(ECHO)
    try:
        lines = [f"{n:0100}" for n in range(40_000)]
        program.send("".join(f"{line}\n" for line in lines))
        answers = program.receive(len(lines), 60)
        assert answers == "".join(f"{line}\nok\n" for line in lines)
    finally:
        program.close()


def test_a_program_that_dies_tells_how_far_it_came(tmp_path: Path) -> None:
    session = script(
        tmp_path,
        "print(input() + '\\nok', flush=True)\n"
        "print('x.cpp:3: runtime error: shift\\n  #0 here', file=sys.stderr)\n"
        "os.abort()",
    ).start()
    try:
        session.give(["one", "two"])
        assert session.answers(2) == "one\nok\n"
        assert session.ended().splitlines() == [
            "the program was ended by signal 6",
            "    x.cpp:3: runtime error: shift",
            "      #0 here",
        ]
    finally:
        session.close()


def test_a_program_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = script(tmp_path, "print(input() + '\\nok', flush=True)\ntime.sleep(600)").start()
    try:
        session.give(["one", "two"])
        assert session.answers(1) == "one\nok\n"
        monkeypatch.setattr(session, "_patience_s", 1)
        assert session.answers(1) == ""
        assert "no answer within" in session.ended()
    finally:
        session.close()


def test_a_program_that_refuses_a_line_says_which(tmp_path: Path) -> None:
    session = script(tmp_path, "print('malformed bad can', flush=True)\nsys.exit(2)").start()
    try:
        session.give(["@0 can"])
        assert session.answers(1) == "malformed bad can\n"
        assert "code 2\n    malformed bad can" in session.ended()
    finally:
        session.close()


def test_what_cannot_be_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot run"):
        LineProgram([str(tmp_path / "nothing")])


@pytest.mark.parametrize(
    "code",
    [
        "while True: sys.stdout.write('x' * 79 + chr(10))",
        "while True: sys.stdout.write('x' * 65536)",
        "while True: sys.stderr.write('x' * 65536)",
    ],
    ids=["lines", "one-line", "stderr"],
)
def test_a_program_that_writes_without_end_is_ended(tmp_path: Path, code: str) -> None:
    session = script(tmp_path, code, patience_s=120).start()
    try:
        session.give(["tick"])
        session.answers(1)
        assert session.ended() == "the program writes without end"
    finally:
        session.close()


def test_an_answer_that_is_there_counts_however_late_it_is_fetched() -> None:
    """Whoever asks may have been stopped for longer than the program was given."""
    program = start("print('a\\nok', flush=True)")
    try:
        assert program._process.wait(60) == 0
        assert program.receive(1, 0) == "a\nok\n"
    finally:
        program.close()


def test_what_the_program_started_ends_with_it(tmp_path: Path) -> None:
    """Its child holds the pipe open, which is no reason to wait for an answer."""
    code = """
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
print(child.pid, flush=True)
os._exit(3)
"""
    session = script(tmp_path, code, patience_s=120).start()
    try:
        session.give(["tick"])
        child = int(session.answers(1))
        assert session.ended() == "the program ended with code 3"
    finally:
        session.close()
    deadline = monotonic_ms() + 60_000
    while _is_running(child):
        assert monotonic_ms() < deadline


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")
