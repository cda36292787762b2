# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of `evtool monitor`: one file, or one for each port, with times or as bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from evtool.errors import ConfigError
from evtool.link.rotating_log import RotatingLog
from evtool.monitor.line_printer import LinePrinter, LineStyle

if TYPE_CHECKING:
    from evtool.cli.monitor_options import StreamOptions
    from evtool.monitor.block import Block
    from evtool.monitor.stream import Audience, Batch

_PORT = "{port}"
_STRANGE = re.compile(r"[^A-Za-z0-9._-]+")


class LineLog:
    """Every line with its time, into the log of its port; one write for each block."""

    def __init__(
        self, logs: Mapping[str, Callable[[bytes], None]], marks: Mapping[str, bytes] | None
    ) -> None:
        style = LineStyle(timestamps="iso", marks=marks)
        self._printers = {port: LinePrinter(write, style, 0) for port, write in logs.items()}

    def on_block(self, block: Block) -> None:
        """Keep it."""
        self._printers[block.port].on_block(block)


class RawLog:
    """The bytes of each port as they came, masked."""

    def __init__(self, logs: Mapping[str, Callable[[bytes], None]]) -> None:
        self._logs = logs

    def on_batch(self, batch: Batch) -> None:
        """Keep it."""
        self._logs[batch.port](batch.data)


def add_log(
    stack: ExitStack, options: StreamOptions, names: Sequence[str], audience: Audience
) -> None:
    """Have everything logged that was asked for; closed with `stack`.

    Raises:
        EvtoolError: a file cannot be opened.
        ConfigError: bytes of several ports into one file, in which nobody could tell them apart;
            or two ports whose files would be one.
    """
    path = options.log_path
    if path is None:
        return
    separate = _PORT in str(path)
    if options.log_raw and len(names) > 1 and not separate:
        raise ConfigError(
            f"--log-raw {path}: one file for the bytes of {len(names)} ports",
            fix=f"write {_PORT} into the name: a file for each port",
        )
    files: dict[Path, RotatingLog] = {}
    logs: dict[str, Callable[[bytes], None]] = {}
    for name in names:
        file = Path(str(path).replace(_PORT, _STRANGE.sub("-", name).strip("-")))
        if separate and file in files:
            raise ConfigError(
                f"--log {path}: {name} and another port would have the same file {file}",
                fix="name the ports by paths that differ in letters or digits",
            )
        if file not in files:
            files[file] = _opened(stack, file, options)
        logs[name] = files[file].write
    if options.log_raw:
        audience.prompt.append(RawLog(logs))
        return
    several = len(names) > 1 and not separate
    marks = {name: f"<{name}> ".encode() for name in names} if several else None
    audience.logs.append(LineLog(logs, marks))


def _opened(stack: ExitStack, path: Path, options: StreamOptions) -> RotatingLog:
    rotation = options.log_rotate
    log = RotatingLog(
        path,
        rotation.max_bytes,
        options.log_keep,
        daily=rotation.daily,
        of_lines=not options.log_raw,
    )
    stack.callback(log.close)
    return log
