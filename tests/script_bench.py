# SPDX-License-Identifier: GPL-3.0-or-later
"""A script against a console made of lines and times, with no port."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from evtool.errors import ConfigError, EvtoolError
from evtool.monitor.follow import Follower, Line
from evtool.monitor.script.parse import parse_script
from evtool.monitor.script.results import Summary
from evtool.monitor.script.run import ScriptRun
from evtool.monitor.script.steps import Program
from evtool.monitor.stream import Batch, News

NAME = Path("try.evs")


def program(text: str, **files: str) -> Program:
    """The program of a script; `files` are what it may include, by their names without .evs."""

    def read(path: Path) -> str:
        if path == NAME:
            return text
        if path.stem not in files:
            raise ConfigError(f"cannot read {path}: No such file or directory")
        return files[path.stem]

    return parse_script(NAME, read)


class ScriptBench:
    """Runs a script; is the board that it speaks to.

    Attributes:
        sent: (port, bytes) in order.
        resets: the ports that were reset.
        error: what ended the run; None where it ended well, or has not ended.
    """

    def __init__(
        self,
        text: str,
        ports: Sequence[str] = ("p",),
        *,
        timeout_ms: int | None = None,
        mask: Callable[[str], str] = str,
        **files: str,
    ) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.resets: list[str] = []
        self.error: EvtoolError | None = None
        self.ended = False
        self.here = set(ports)
        self.has_reset = True
        self.now_ms = 0
        self._followers = {port: Follower(0) for port in ports}
        self.run = ScriptRun(program(text, **files), self, ports, timeout_ms=timeout_ms, mask=mask)
        for port in ports:
            self.news("connected", port)
        self.run.on_time(0)

    def write(self, data: bytes, port: str = "") -> bool:
        if port in self.here:
            self.sent.append((port, data))
        return port in self.here

    def reset(self, port: str = "") -> bool:
        if self.has_reset:
            self.resets.append(port)
        return self.has_reset

    def end(self, error: EvtoolError | None = None) -> None:
        self.ended, self.error = True, error

    def feed(self, data: bytes, port: str = "p") -> None:
        """The board says these bytes, now."""
        self.run.on_batch(Batch(port, 0, self.now_ms, data))
        heard = self._followers[port].feed(data, self.now_ms)
        lines = [replace(line, port=port) for line in heard if isinstance(line, Line)]
        if lines:
            self.run.on_lines(lines)
        self.run.on_time(self.now_ms)

    def say(self, *lines: str, port: str = "p") -> None:
        """The board says these lines, now."""
        for line in lines:
            self.feed(line.encode() + b"\r\n", port)

    def news(self, event: str, port: str = "p") -> None:
        """The port comes or goes."""
        (self.here.discard if event == "disconnected" else self.here.add)(port)
        self.run.on_news(News(port, 0, self.now_ms, event, f"{port} {event}"))

    def wait(self, ms: int) -> None:
        """Time passes; the run is woken when it asked to be."""
        end_ms = self.now_ms + ms
        while (due_ms := self.run.on_time(self.now_ms)) is not None and due_ms <= end_ms:
            self.now_ms = max(due_ms, self.now_ms + 1)
        self.now_ms = end_ms
        self.run.on_time(end_ms)

    @property
    def summary(self) -> Summary:
        return self.run.summary(self.now_ms)

    @property
    def outcomes(self) -> list[str]:
        return [step.outcome for step in self.summary.steps]
