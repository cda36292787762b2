# SPDX-License-Identifier: GPL-3.0-or-later
"""What the `aiohttp` package logs of broken requests, as one line each instead of tracebacks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError

UNREADABLE = (HttpProcessingError, RequestPayloadError, ValueError, AssertionError)
"""What the package raises of a body, or of a form's parts, that breaks its own rules."""


def fault_logger(report: Callable[[str], None]) -> logging.Logger:
    """A logger for a server.

    Args:
        report: is told what was wrong with a request that was none. Anything else that the
            server logs is a bug of ours, and goes where asyncio tells bugs.
    """
    logger = logging.Logger("evtool.http", logging.DEBUG)
    logger.addHandler(_Faults(report))
    return logger


class _Faults(logging.Handler):
    def __init__(self, report: Callable[[str], None]) -> None:
        super().__init__()
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError | RequestPayloadError):
            words = str(getattr(error, "message", error)).split()
            text = " ".join(words).encode("ascii", "backslashreplace").decode()
            self._report(f"no HTTP request: {text[:100]}")
        elif record.levelno >= logging.ERROR:
            context: dict[str, object] = {"message": record.getMessage()}
            if error is not None:
                context["exception"] = error
            asyncio.get_running_loop().call_exception_handler(context)
