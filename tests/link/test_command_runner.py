# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that evtool runs: their lines, their deadline, and nothing left behind."""

from __future__ import annotations

import fcntl
import os
import select
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.errors import ToolError
from evtool.link import command
from evtool.link.command import CommandRunner, CommandTimeout, LineSplitter

_LONG_S = 60.0


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _is_running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def _wait_until_gone(pid: int) -> None:
    limit = time.monotonic() + 60
    while _is_running(pid):
        assert time.monotonic() < limit, f"process {pid} was left running"
        time.sleep(0.02)


def _wait_for_pid(path: Path) -> int:
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        if path.exists() and (text := path.read_text().strip()):
            return int(text)
        time.sleep(0.02)
    raise AssertionError("the program did not start")


def test_lines_end_at_carriage_returns_too_and_both_outputs_count() -> None:
    seen: list[str] = []
    code = r"import sys; sys.stdout.write('10 %\r20 %\r\n\nend'); sys.exit(3)"
    result = CommandRunner().run(_python(code), timeout_s=_LONG_S, on_line=seen.append)
    assert seen == ["10 %", "20 %", "end"]
    assert (result.return_code, result.output) == (3, "10 %\n20 %\nend")
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    assert CommandRunner().run(_python(code), timeout_s=_LONG_S).output == "out\nerr"


@given(st.text(), st.lists(st.integers(0, 60)))
def test_the_chunking_of_the_output_does_not_matter(text: str, cuts: list[int]) -> None:
    data = text.encode("utf-8", "replace")
    whole = LineSplitter()
    expected = [*whole.feed(data), *whole.finish()]
    pieces, splitter = sorted({0, *cuts, len(data)}), LineSplitter()
    found: list[str] = []
    for start, end in zip(pieces, [*pieces[1:], len(data)], strict=True):
        found += splitter.feed(data[start:end])
    assert [*found, *splitter.finish()] == expected


def test_bytes_that_are_no_text_do_not_stop_it() -> None:
    code = r"import os; os.write(1, b'a\xff\xfeb\n')"
    assert CommandRunner().run(_python(code), timeout_s=_LONG_S).output == "a\ufffd\ufffdb"


def test_what_it_says_at_its_end_is_heard_however_late_we_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Late(selectors.DefaultSelector):
        """Finds nothing at first; by the time that it has said so the program has ended."""

        was_late = False

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if self.was_late:
                return super().select(timeout)
            self.was_late = True
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
            return []

    monkeypatch.setattr(selectors, "DefaultSelector", Late)
    result = CommandRunner().run(_python("print('the end')"), timeout_s=_LONG_S)
    assert (result.return_code, result.output) == (0, "the end")


def test_what_a_killed_program_means() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert CommandRunner().run(_python(code), timeout_s=_LONG_S).return_code == -signal.SIGKILL


class _LeapingTime:
    """The time, which leaps by an hour once a line was said."""

    sleep = staticmethod(time.sleep)

    def __init__(self) -> None:
        self._leap_s = 0

    def leap(self, _line: str) -> None:
        self._leap_s = 3600

    def monotonic(self) -> float:
        return time.monotonic() + self._leap_s


def test_at_the_deadline_the_whole_group_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaping = _LeapingTime()
    monkeypatch.setattr(command, "time", leaping)
    script = f"sleep 600 & echo $! > {tmp_path}/pid; echo waiting; wait"
    with pytest.raises(CommandTimeout) as caught:
        CommandRunner().run(["sh", "-c", script], timeout_s=_LONG_S, on_line=leaping.leap)
    assert "did not finish within 60 s" in str(caught.value)
    assert caught.value.output == "waiting"
    _wait_until_gone(_wait_for_pid(tmp_path / "pid"))


def test_a_program_that_ignores_the_request_is_killed_at_the_deadline() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    with pytest.raises(CommandTimeout):
        CommandRunner().run(_python(code), timeout_s=0.5)


def test_a_grandchild_that_keeps_the_output_open_does_not_hold_us_up(tmp_path: Path) -> None:
    script = f"sleep 600 & echo $! > {tmp_path}/pid; echo done"
    assert CommandRunner().run(["sh", "-c", script], timeout_s=_LONG_S).output == "done"
    _wait_until_gone(_wait_for_pid(tmp_path / "pid"))


def test_a_program_that_closes_its_output_is_still_waited_for() -> None:
    code = "import os, sys, time; os.close(1); os.close(2); time.sleep(0.3); os._exit(5)"
    assert CommandRunner().run(_python(code), timeout_s=_LONG_S).return_code == 5


def test_an_error_in_the_callback_ends_the_program(tmp_path: Path) -> None:
    def refuse(line: str) -> None:
        raise LookupError(line)

    script = f"echo $$ > {tmp_path}/pid; echo line; exec sleep 600"
    with pytest.raises(LookupError):
        CommandRunner().run(["sh", "-c", script], timeout_s=_LONG_S, on_line=refuse)
    assert not _is_running(_wait_for_pid(tmp_path / "pid"))


@pytest.mark.parametrize(
    "argv", [["/no/such/program"], ["/"], ["a\0b"]], ids=["missing", "folder", "nul"]
)
def test_a_program_that_cannot_start_is_named(argv: list[str]) -> None:
    with pytest.raises(ToolError, match="cannot start"):
        CommandRunner().run(argv, timeout_s=_LONG_S)


_CHILD = """
import os, signal, sys, time
def note(number, frame):
    open(sys.argv[1] + "/signal", "w").write(str(number))
    sys.exit(0)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, note)
open(sys.argv[1] + "/pid", "w").write(str(os.getpid()))
time.sleep(600)
"""
_PARENT = """
import sys
from evtool.link import command
command._GRACE_S = 60  # however busy the machine is
command.CommandRunner().run([sys.executable, "-c", sys.argv[1], sys.argv[2]], timeout_s=60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_being_stopped_is_passed_on_and_leaves_no_orphan(
    tmp_path: Path, number: signal.Signals
) -> None:
    argv = [*_python(_PARENT), _CHILD, str(tmp_path)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, process_group=0) as parent:
        child = _wait_for_pid(tmp_path / "pid")
        os.kill(parent.pid, number)
        _, errors = parent.communicate(timeout=30)
    assert (tmp_path / "signal").read_text() == str(int(number))
    assert not _is_running(child)
    if number == signal.SIGINT:
        assert b"KeyboardInterrupt" in errors
    else:
        assert parent.returncode == 128 + signal.SIGTERM


_LATE_PARENT = """
import os, pathlib, signal, subprocess, sys, time
class Late(subprocess.Popen):  # another process runs first: the signal comes before it returns
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        pid = pathlib.Path(sys.argv[2], "pid")
        while not (pid.exists() and pid.stat().st_size):
            time.sleep(0.01)
        os.kill(os.getpid(), int(sys.argv[3]))
subprocess.Popen = Late
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_being_stopped_while_the_program_starts_leaves_no_orphan(
    tmp_path: Path, number: signal.Signals
) -> None:
    argv = [*_python(_LATE_PARENT + _PARENT), _CHILD, str(tmp_path), str(int(number))]
    parent = subprocess.run(argv, check=False, capture_output=True, timeout=60, process_group=0)
    child = _wait_for_pid(tmp_path / "pid")
    gone = not _is_running(child)
    if not gone:
        os.kill(child, signal.SIGKILL)
    assert gone
    if number == signal.SIGINT:
        assert b"KeyboardInterrupt" in parent.stderr
    else:
        assert parent.returncode == 128 + number


_LATE_GUARD = """
import os, pathlib, signal, sys, time
from evtool.link import guard
fork = os.fork
def late():
    program = fork()
    if program:
        pid = pathlib.Path(sys.argv[3], "pid")
        while not (pid.exists() and pid.stat().st_size):
            time.sleep(0.01)
        os.killpg(0, int(sys.argv[4]))
    return program
os.fork = late
watched, ours = os.pipe()
guard.main(watched, [sys.executable, "-c", *sys.argv[2:]])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_guard_that_is_late_still_waits_for_its_program(
    tmp_path: Path, number: signal.Signals
) -> None:
    argv = [*_python(_LATE_GUARD), "guard", _CHILD, str(tmp_path), str(int(number))]
    done = subprocess.run(argv, check=False, capture_output=True, timeout=60, process_group=0)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "signal").read_text() == str(int(number))


def test_a_guarded_program_dies_with_us_and_so_does_what_it_started(tmp_path: Path) -> None:
    """PlatformIO waits for ever when nobody reads it any more, with the build's lock in hand."""
    script = """
import sys
from evtool.link.command import CommandRunner
child = f"sleep 600 & echo $$ > {sys.argv[1]}/new; mv {sys.argv[1]}/new {sys.argv[1]}/pid; wait"
CommandRunner([int(sys.argv[2])], guarded=True).run(["sh", "-c", child], timeout_s=60)
"""
    ours, theirs = os.pipe()
    with subprocess.Popen(
        [*_python(script), str(tmp_path), str(theirs)], pass_fds=[theirs]
    ) as parent:
        os.close(theirs)
        _wait_for_pid(tmp_path / "pid")
        parent.kill()
    with os.fdopen(ours, "rb", buffering=0) as end:
        # Readable once nobody holds the other end: neither the program nor what it started.
        assert select.select([end], [], [], 60)[0]
        assert end.read(1) == b""


def test_a_guarded_program_is_run_as_any_other(tmp_path: Path) -> None:
    runner = CommandRunner(guarded=True)
    ignored = ["grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"]
    assert runner.run(ignored, timeout_s=_LONG_S) == CommandRunner().run(ignored, timeout_s=_LONG_S)
    folder = tmp_path / "json.py"
    folder.mkdir()
    done = runner.run(
        ["sh", "-c", "pwd; echo $MARK; exit 7"],
        cwd=folder,
        env={"MARK": "here", "PATH": os.environ["PATH"]},
        timeout_s=_LONG_S,
    )
    assert (done.return_code, done.output) == (7, f"{folder}\nhere")
    assert runner.run(["sh", "-c", "kill -9 $$"], timeout_s=_LONG_S).return_code == -9
    assert runner.run(["sh", "-c", "kill -TERM $$"], timeout_s=_LONG_S).return_code == -15
    assert "cannot start" in runner.run(["/no/such/program"], timeout_s=_LONG_S).output
    with pytest.raises(CommandTimeout) as late:
        runner.run(["sleep", "600"], timeout_s=0.2)
    assert late.value.argv == ("sleep", "600")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_guarded_program_hears_why_it_ends(tmp_path: Path, number: signal.Signals) -> None:
    script = _PARENT.replace("CommandRunner()", "CommandRunner(guarded=True)")
    with subprocess.Popen(
        [*_python(script), _CHILD, str(tmp_path)], stderr=subprocess.DEVNULL, process_group=0
    ) as parent:
        child = _wait_for_pid(tmp_path / "pid")
        os.kill(parent.pid, number)
        parent.wait(timeout=30)
    assert (tmp_path / "signal").read_text() == str(int(number))
    assert not _is_running(child)


def test_a_child_that_outlives_us_keeps_the_lock(tmp_path: Path) -> None:
    """kill -9 of evtool leaves PlatformIO running for a moment: no second build beside it."""
    script = """
import os, pathlib, sys
from evtool.link.command import CommandRunner
from evtool.link.workspace import Workspace
pid_file = pathlib.Path(sys.argv[1]) / "pid"
child = f"import os, time; open({str(pid_file)!r} + '.new', 'w').write(str(os.getpid()));"
child += f"os.rename({str(pid_file)!r} + '.new', {str(pid_file)!r}); time.sleep(60)"
with Workspace(lambda: None).lock(pathlib.Path(sys.argv[1]) / "lock") as descriptor:
    CommandRunner([descriptor]).run([sys.executable, "-c", child], timeout_s=60)
"""
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    deadline = time.monotonic() + 30
    while not (tmp_path / "pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    child = int((tmp_path / "pid").read_text())
    with (tmp_path / "lock").open() as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.kill(child, signal.SIGKILL)
        fcntl.flock(lock, fcntl.LOCK_EX)  # returns when the child is gone
