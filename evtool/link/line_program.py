# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that answers lines: fed without waiting, its answers read when they are wanted.

It works on while the caller does something else, as far as the pipes hold what is under way.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import IO

from evtool.errors import ConfigError

# What Linux lets anybody have; without it a pipe holds 64 KiB, a tenth of one batch.
_PIPE_BYTES = 1 << 20
_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", None)
_END_OF_ANSWER = b"\nok\n"
_GRACE_S = 2.0
_LOOK_S = 0.5
# No answer of the controller has more than some dozen lines.
_MOST_BYTES_AN_ANSWER = 16 << 10
_MOST_BYTES = 4 << 20
_MOST_ERRORS = 16 << 20
_SHOWN_ERRORS = 64 << 10


class LineProgram:
    """`argv`, started anew; close it in the end.

    Args:
        argv: the program and its arguments.
        environment: its whole environment; None is ours.

    Raises:
        ConfigError: there is no such program, or it cannot be executed.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._errors = tempfile.TemporaryFile()
        try:
            # A session of its own: Ctrl-C is for evtool, which then ends the program.
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environment,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            self._errors.close()
            raise ConfigError(
                f"cannot run {argv[0]}: {error.strerror or error}",
                fix="build it with `evtool build --env host`, or name it with --program",
            ) from error
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        self._sink = self._process.stdin.fileno()
        self._source = self._process.stdout.fileno()
        for descriptor in (self._sink, self._source):
            os.set_blocking(descriptor, False)
            if _SET_PIPE_SIZE is not None:
                with contextlib.suppress(OSError):  # the administrator allows less: slower only
                    fcntl.fcntl(descriptor, _SET_PIPE_SIZE, _PIPE_BYTES)
        self._answering = select.poll()
        self._answering.register(self._source, select.POLLIN)
        self._both_ways = select.poll()
        self._both_ways.register(self._source, select.POLLIN)
        self._both_ways.register(self._sink, select.POLLOUT)
        self._unsent = memoryview(b"")
        self._arrived = memoryview(bytearray(_PIPE_BYTES))
        self._read = bytearray(b"\n")  # so that an answer of `ok` alone begins like any other
        self._searched = 0
        self._position = 0
        self._ended = False
        self.floods = False

    def send(self, text: str) -> None:
        """Hand over lines of ASCII; what does not fit into the pipe goes with the next call."""
        self._unsent = memoryview(bytes(self._unsent) + text.encode("ascii"))
        self._write()

    def receive(self, count: int, timeout_s: float) -> str:
        """The text of the next `count` answers, each ended by a line `ok`.

        Shorter if the program ended before, did not answer within `timeout_s`, or writes
        without end; then all that it wrote is returned.
        """
        deadline = time.monotonic() + timeout_s
        most = _MOST_BYTES + count * _MOST_BYTES_AN_ANSWER
        end = self._find(count)
        while end is None and not self._ended:
            left_s = deadline - time.monotonic()
            self.floods = len(self._read) > most or self._written_errors() > _MOST_ERRORS
            if self.floods:
                break
            poll = self._both_ways if self._unsent else self._answering
            ready = [
                descriptor for descriptor, _ in poll.poll(max(0.0, min(left_s, _LOOK_S)) * 1000)
            ]
            if self._sink in ready:
                self._write()
            if self._source in ready:
                self._fill()
                end = self._find(count)
            elif left_s <= 0:
                break
            elif self._process.poll() is not None and not self._answering.poll(0):
                break  # a child of its own holds the pipe open
        if end is None:
            end = len(self._read)
        text = self._read[1:end].decode("ascii", "backslashreplace")
        del self._read[1:end]
        self._searched = self._position = 0
        return text

    def finish(self, timeout_s: float = _GRACE_S) -> tuple[int | None, str]:
        """Close its input, wait, and give its exit code and what it wrote to stderr.

        The code is negative for the signal that killed it, None if it had to be killed here.
        """
        self._close_pipe(self._process.stdin)
        return_code: int | None = None
        deadline = time.monotonic() + timeout_s
        while not self._ended and time.monotonic() < deadline:
            if select.select([self._source], [], [], 0.1)[0]:
                self._fill()
                del self._read[1:]  # nobody asks for it any more
            elif self._process.poll() is not None:
                break
        with contextlib.suppress(subprocess.TimeoutExpired):
            return_code = self._process.wait(max(0.0, deadline - time.monotonic()))
        self._errors.seek(max(0, self._written_errors() - _SHOWN_ERRORS))
        return return_code, self._errors.read(_SHOWN_ERRORS).decode("utf-8", "replace")

    def close(self) -> None:
        """End the program, however it is, and whatever it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)  # it leads a session of its own
        self._process.wait()
        self._close_pipe(self._process.stdin)
        self._close_pipe(self._process.stdout)
        self._errors.close()

    def _written_errors(self) -> int:
        return os.fstat(self._errors.fileno()).st_size

    def _find(self, count: int) -> int | None:
        """Where the `count`-th answer ends; None while it is not there.

        The search goes on where it stopped: `_searched` holds how many ends were found, and
        `_position` behind the last of them.
        """
        while self._searched < count:
            found = self._read.find(_END_OF_ANSWER, self._position)
            if found < 0:
                return None
            self._position = found + len(_END_OF_ANSWER) - 1  # its \n begins the next one
            self._searched += 1
        return self._position + 1

    def _fill(self) -> None:
        try:
            count = os.readv(self._source, [self._arrived])
        except BlockingIOError:
            return
        self._read += self._arrived[:count]
        self._ended = count == 0

    def _write(self) -> None:
        while self._unsent:
            try:
                written = os.write(self._sink, self._unsent)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.EPIPE:
                    raise
                self._unsent = memoryview(b"")  # it has ended; its output tells where
                return
            self._unsent = self._unsent[written:]

    @staticmethod
    def _close_pipe(stream: IO[bytes] | None) -> None:
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
