# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that evtool runs (pio, esptool): one place that starts them and ends them.

The child gets a process group of its own, so that whatever it starts can be ended with it,
and so that Ctrl-C reaches it exactly once, from here. No shell is ever involved.
"""

from __future__ import annotations

import codecs
import os
import re
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Self

from evtool.errors import Stopped, ToolError

# Enough for the log of a whole build; what is older than that nobody scrolls back to.
_KEPT_LINES = 20_000
_POLL_S = 0.1
# Most programs end at once when they have closed their output.
_FIRST_PAUSE_S = 0.001
_GRACE_S = 3.0
# Nothing that the environment or the current folder holds is imported (-I, -S).
_GUARD = (sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py")))
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LINE_END = re.compile(r"[\r\n]")


class CommandTimeout(ToolError):
    """The program was still running when its time was up; it and its children are ended."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a program ended: its exit code (negative: killed by that signal) and its lines."""

    return_code: int
    output: str


class CommandRunner:
    """Runs programs to their end, a line at a time, within a time limit.

    Args:
        keep_open: descriptors that the programs get as well, such as that of a lock.
        guarded: the programs, and what they start, are killed where we are (`link.guard`); one
            that cannot be started ends with 127.
        stop: asked again and again while a program runs, whether it is to end; for threads,
            which Ctrl-C does not reach.
    """

    def __init__(
        self,
        keep_open: Sequence[int] = (),
        stop: Callable[[], bool] | None = None,
        *,
        guarded: bool = False,
    ) -> None:
        self._keep_open = tuple(keep_open)
        self._guarded = guarded
        self._stop = stop

    def run(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float,
        on_line: Callable[[str], None] | None = None,
    ) -> CommandResult:
        """Run `argv` and return when it has ended, whatever its exit code is.

        Args:
            argv: program and arguments; secrets do not belong here (any user can read them).
            cwd: the folder to run in.
            env: the whole environment; None passes on our own.
            timeout_s: after so many seconds the whole process group is ended.
            on_line: called with every line of stdout and stderr as it comes, without its
                end; a carriage return ends a line too (progress bars).

        Raises:
            ToolError: the program cannot be started.
            CommandTimeout: it did not end in time.
            KeyboardInterrupt: Ctrl-C; passed on to the program, which has ended by then.
            Stopped: `stop` said so; the program has ended by then.
        """
        command = [os.fspath(part) for part in argv]
        deadline = time.monotonic() + timeout_s
        lines: deque[str] = deque(maxlen=_KEPT_LINES)
        with _Signals() as signals, ExitStack() as stack:
            started, keep_open = command, self._keep_open
            if self._guarded:
                guard = stack.enter_context(_guard())
                started, keep_open = [*_GUARD, str(guard), *command], (*keep_open, guard)
            process = None
            try:
                with signals.held_back():  # an exception inside Popen would lose the program
                    process = _start(started, cwd, env, keep_open)
                ended = _follow(process, deadline, lines, on_line, self._stop)
                if not ended:
                    _end(process, signal.SIGTERM)
            except KeyboardInterrupt:
                _end(process, signal.SIGINT)
                raise
            except (SystemExit, Stopped):
                _end(process, signal.SIGTERM)
                raise
            finally:
                _end(process, signal.SIGKILL)
        output = "\n".join(lines)
        if not ended:
            raise CommandTimeout(
                f"{Path(command[0]).name} did not finish within {timeout_s:g} s and was ended",
                argv=command,
                output=output,
            )
        return CommandResult(process.returncode, output)


@contextmanager
def _guard() -> Iterator[int]:
    """The end of a pipe that is closed at the other end when we leave, or die."""
    watched, ours = os.pipe()
    try:
        yield watched
    finally:
        os.close(watched)
        os.close(ours)


def _start(
    command: list[str],
    cwd: Path | None,
    env: Mapping[str, str] | None,
    keep_open: tuple[int, ...],
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # closed by _end, which every way out passes through
            command,
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
            pass_fds=keep_open,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ToolError(
            f"cannot start {command[0]}: {reason}",
            argv=command,
            fix="check that it is installed; `evtool doctor` looks for what evtool needs",
        ) from error


def _follow(
    process: subprocess.Popen[bytes],
    deadline: float,
    lines: deque[str],
    on_line: Callable[[str], None] | None,
    stop: Callable[[], bool] | None,
) -> bool:
    """Hand on the output until the program has ended (True) or the deadline passed (False).

    Raises:
        Stopped: `stop` said so.
    """
    splitter = LineSplitter()

    def take(texts: Iterator[str]) -> None:
        for text in texts:
            lines.append(text)
            if on_line is not None:
                on_line(text)

    assert process.stdout is not None  # noqa: S101 - stdout=PIPE above; for the type checker
    descriptor = process.stdout.fileno()
    is_open = True
    pause_s = _FIRST_PAUSE_S
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            if stop is not None and stop():
                raise Stopped("stopped before it was done", fix="run the command again")
            ended = _has_ended(process)  # asked first: then all that it has said is there to read
            remaining = deadline - time.monotonic()
            wait_s = 0.0 if ended else max(0.0, min(_POLL_S, remaining))
            readable = bool(selector.select(wait_s)) if is_open else False
            if readable:
                chunk = os.read(descriptor, 65536)
                take(splitter.feed(chunk))
                if not chunk:
                    is_open = False
                    selector.unregister(descriptor)
            # A grandchild may hold the pipe open for ever: the program's own end counts.
            elif ended:
                take(splitter.finish())
                return True
            elif not is_open:
                time.sleep(min(pause_s, max(0.0, remaining)))
                pause_s = min(2 * pause_s, _POLL_S)
            if remaining <= 0:
                take(splitter.finish())
                return ended


class LineSplitter:
    """Bytes in any chunking to lines; `\\r`, `\\n` and `\\r\\n` end one, empty ones are dropped."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The lines that `chunk` completes."""
        *complete, self._rest = _LINE_END.split(self._rest + self._decoder.decode(chunk))
        return (line.rstrip() for line in complete if line.strip())

    def finish(self) -> Iterator[str]:
        """What stands after the last line end."""
        rest = self._rest + self._decoder.decode(b"", final=True)
        self._rest = ""
        return (line.rstrip() for line in _LINE_END.split(rest) if line.strip())


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the program has ended, without reaping it.

    As long as it is a zombie its process group cannot be anyone else's, so `_end` may
    signal the group safely.
    """
    if process.returncode is not None:
        return True
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, flags) is not None


def _end(process: subprocess.Popen[bytes] | None, first_signal: signal.Signals) -> None:
    """Signal the group, grant it a moment, then kill what is left of it, and reap."""
    if process is None or process.returncode is not None:
        return
    try:
        if first_signal != signal.SIGKILL:
            _signal_group(process, first_signal)
            limit = time.monotonic() + _GRACE_S
            while time.monotonic() < limit and not _has_ended(process):
                time.sleep(_POLL_S / 5)
    finally:  # a second Ctrl-C ends the moment of grace
        _signal_group(process, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
    except PermissionError:  # macOS says this of a group whose only member is a zombie
        return


class _Signals:
    """While a program runs, SIGTERM and SIGHUP unwind evtool instead of orphaning it.

    Python's default for both is to die on the spot. Only the main thread may set handlers;
    in any other one the main thread's handler is in charge. A caller's own handler, and what
    nohup ignores, stay as they are.
    """

    def __init__(self) -> None:
        self._previous: dict[int, Any] = {}
        self._is_holding = False
        self._held: list[int] = []

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _ENDING:
                handler = signal.getsignal(number)
                if handler == signal.SIG_DFL or callable(handler):
                    self._previous[number] = handler
                    signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """What comes inside takes effect at its end."""
        self._is_holding = True
        try:
            yield
        finally:
            self._is_holding = False
            while self._held:
                self._receive(self._held.pop(0), None)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._is_holding:
            self._held.append(number)
        elif callable(handler := self._previous[number]):
            handler(number, frame)
        else:
            raise SystemExit(128 + number)
