# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the decoding process (`panic_worker`), which is started when it is first needed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from evtool.errors import ToolError

TIMEOUT_S = 60.0
_PROGRAMS = {b"\x02\0", b"\x03\0"}  # ET_EXEC, ET_DYN


class PanicProcess:
    """The decoding process; for one thread. A context manager."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[str] | None = None
        self._over = False

    def __enter__(self) -> PanicProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request of `panic_worker`.

        Raises:
            ToolError: the process ended or did not answer in time; the next request starts another.
        """
        process = self._running()
        assert process.stdin is not None  # noqa: S101 - stdin=PIPE
        assert process.stdout is not None  # noqa: S101 - stdout=PIPE
        limit = threading.Timer(self._timeout_s, self._kill, [process])
        limit.daemon = True
        limit.start()
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except (OSError, ValueError):
            line = ""
        finally:
            limit.cancel()
        if not line.endswith("\n"):  # it may have been killed in the middle of an answer
            self.close()
            raise ToolError(
                f"the panic decoder ended or said nothing for {self._timeout_s:g} s",
                fix="decode the addresses by hand with the toolchain's addr2line",
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """End it for good, from any thread: who is asking gets a ToolError at once."""
        self._over = True
        self.close()

    def close(self) -> None:
        """End it, and what it has started; the next request starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        self._kill(process)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _running(self) -> subprocess.Popen[str]:
        if self._over:
            raise ToolError("the panic decoder was ended")
        if self._process is None:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "evtool.link.panic_worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    encoding="utf-8",
                    process_group=0,
                )
            except OSError as error:
                raise ToolError(
                    f"cannot start the panic decoder: {error.strerror or error}",
                    fix="check that evtool's installation is whole: `evtool doctor`",
                ) from error
        return self._process

    @staticmethod
    def _kill(process: subprocess.Popen[str]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def elf_candidates(named: list[Path], build_folders: list[Path]) -> list[Path]:
    """ELF files to look into: those that were named (a folder: all in it), else those of builds.

    Newest first. Links are followed once; the same file is there once.
    """
    found: dict[Path, None] = {}
    for path in named:
        files = path.rglob("*") if path.is_dir() else [path]
        for file in sorted(files):
            if path == file or (file.is_file() and _is_elf(file)):
                found[file.resolve()] = None
    if not named:
        for folder in build_folders:
            for name in ("*/firmware.elf", "*/program"):
                for file in folder.glob(name):
                    if file.is_file() and _is_elf(file):
                        found[file.resolve()] = None
        return sorted(found, key=lambda file: -file.stat().st_mtime)
    return list(found)


def _is_elf(path: Path) -> bool:
    """Whether it is a linked program, not one of the objects that it was linked from."""
    try:
        with path.open("rb") as stream:
            head = stream.read(18)
    except OSError:
        return False
    return head[:4] == b"\x7fELF" and head[16:18] in _PROGRAMS
