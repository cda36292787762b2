# SPDX-License-Identifier: GPL-3.0-or-later
"""A run at many ports as it goes: a bar for each board, JSON lines, or a line for each step."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Generic, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from evtool.cli.output import Output
    from evtool.errors import EvtoolError

_SAID = ("connected", "unit", "retry")
# Not of the board: it is said beside the bars too, where nothing takes its place.
_NOTED = "row_left_out"


class StationVerdict(Protocol):
    """The last word on a board."""

    @property
    def value(self) -> str:
        """In one word."""

    @property
    def good(self) -> bool:
        """Whether the board needs nothing more."""


class StationResult(Protocol):
    """What became of one board."""

    @property
    def port(self) -> str:
        """Where it was."""

    @property
    def verdict(self) -> StationVerdict:
        """The last word on it."""

    @property
    def error(self) -> EvtoolError | None:
        """What stopped it; None where all is well."""


R = TypeVar("R", bound=StationResult)


class FlashProgress(Generic[R]):
    """Shows what the boards' threads tell; use it in a `with`.

    Args:
        output: where to.
        document: gives a result's fields for the line of JSON.
    """

    def __init__(self, output: Output, document: Callable[[R], Mapping[str, object]]) -> None:
        self._output = output
        self._document = document
        self._bars = None if output.as_json or not sys.stderr.isatty() else _bars()
        self._tasks: dict[str, TaskID] = {}
        self._percent: dict[str, int] = {}

    def __enter__(self) -> FlashProgress[R]:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def step(self, port: str, name: str, fields: Mapping[str, object]) -> None:
        """A board's thread tells of a step."""
        if name == "progress":
            self._progress(port, fields)
            return
        shown = {key: value for key, value in fields.items() if key != "deadline_s"}
        self._output.event(name, serial_port=port, **shown)
        if name == _NOTED:
            text = f"note: {fields['where']}: {fields['unit']} is left out: {fields['reason']}"
            if self._bars is not None:
                self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
            else:
                self._output.say(text)
        elif self._bars is not None:
            text = str(fields.get("phase") or fields.get("unit") or fields.get("mac") or name)
            self._bars.update(self._task(port), phase=text)
        elif name in _SAID:
            words = " ".join(f"{key}={value}" for key, value in shown.items())
            self._output.say(f"{port}: {name} {words}")

    def result(self, result: R) -> None:
        """A board is done with."""
        self._output.event("board", **self._document(result))
        text = result.verdict.value
        if self._bars is not None:
            task = self._task(result.port)
            done = 100 if result.verdict.good else self._percent.get(result.port, 0)
            self._bars.update(task, phase=text, completed=done)
            self._bars.stop_task(task)
        else:
            reason = "" if result.error is None else f": {result.error.message}"
            self._output.say(f"{result.port}: {text}{reason}")
        self._percent.pop(result.port, None)
        self._tasks.pop(result.port, None)

    def _progress(self, port: str, fields: Mapping[str, object]) -> None:
        done, total = fields["done"], fields["total"]
        assert isinstance(done, int)  # noqa: S101 - as run_board tells it
        assert isinstance(total, int)  # noqa: S101
        percent = 100 if not total else done * 100 // total
        if self._percent.get(port) == percent:
            return
        self._percent[port] = percent
        self._output.event("progress", serial_port=port, percent=percent, done=done, total=total)
        if self._bars is not None:
            self._bars.update(self._task(port), completed=percent)

    def _task(self, port: str) -> TaskID:
        assert self._bars is not None  # noqa: S101 - its callers have looked
        if port not in self._tasks:
            self._tasks[port] = self._bars.add_task(port, total=100, phase="")
        return self._tasks[port]


class _Terminal:
    """stderr, which may be closed while boards are at work: that alone ends nothing."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Show it, if somebody still looks."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """The same."""
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[phase]}"),
        TimeElapsedColumn(),
        console=Console(file=cast("IO[str]", _Terminal(sys.stderr))),
        # Drawing sixteen bars is work too.
        refresh_per_second=4,
    )
