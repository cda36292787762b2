# SPDX-License-Identifier: GPL-3.0-or-later
"""esptool's words, kept apart by the thread that they are said in.

esptool has one logger for the whole process. This one hands each line to whoever listens in the
thread that says it; without a listener it is dropped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from esptool.logger import TemplateLogger, log
from esptool.reset import ResetStrategy

_here = threading.local()


class _ThreadLogger(TemplateLogger):  # type: ignore[misc]  # esptool ships no types
    """The interface that esptool documents for scripts."""

    def print(self, *args: object, **kwargs: object) -> None:
        end = kwargs.get("end", "\n")
        _say("".join(str(part) for part in args) + str(end))

    def note(self, message: str) -> None:
        _say(f"note: {message}\n")

    def warning(self, message: str) -> None:
        _say(f"warning: {message}\n")

    def error(self, message: str) -> None:
        _say(f"error: {message}\n")

    def stage(self, finish: bool = False) -> None:
        """Stages are for terminals."""

    def progress_bar(self, *args: object, **kwargs: object) -> None:
        """Progress is told by whoever writes."""

    def set_verbosity(self, verbosity: str) -> None:
        """There is one only."""


def _say(text: str) -> None:
    listener: Callable[[str], None] | None = getattr(_here, "listener", None)
    if listener is None:
        return
    # esptool writes "Connecting" and each dot after it without a line end.
    *lines, _here.rest = (getattr(_here, "rest", "") + text).split("\n")
    for line in lines:
        if line.strip():
            listener(line.rstrip())


@contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """While it lasts, hand each line that esptool says in this thread to `listener`."""
    _here.listener, _here.rest = listener, ""
    try:
        yield
    finally:
        if _here.rest.strip():
            listener(_here.rest.rstrip())
        _here.listener = None


log.set_logger(_ThreadLogger())
# One warning keeps to the logger that was there at esptool's import, and is given once for the
# whole process: that a pseudo-terminal has no reset line. Here it counts as given.
if hasattr(ResetStrategy, "print_once"):
    ResetStrategy.print_once.already_printed = True
