# SPDX-License-Identifier: GPL-3.0-or-later
"""Work spread over processes, because Python computes on one core only."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

# Enough to keep every worker busy, few enough to stop soon.
_AHEAD = 2


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


class WorkerPool:
    """A context manager; one worker is this process itself.

    Functions and items travel to the workers: both must be importable or plain values.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._executor: ProcessPoolExecutor | None = None
        if workers > 1:
            # Forked: everything that is needed is imported already.
            context = multiprocessing.get_context("fork")
            self._executor = ProcessPoolExecutor(workers, context, initializer=_leave_interrupts)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._executor is None:
            return
        if kind is not None:
            for child in multiprocessing.active_children():
                child.terminate()
        self._executor.shutdown(cancel_futures=True)

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """`function` of each item, in the order of the items; raises what it raises."""
        if self._executor is None:
            yield from map(function, items)
            return
        under_way: deque[Future[R]] = deque()
        source = iter(items)
        while True:
            for item in source:
                under_way.append(self._executor.submit(function, item))
                if len(under_way) >= _AHEAD * self._workers:
                    break
            if not under_way:
                return
            yield under_way.popleft().result()


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; the first one decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
