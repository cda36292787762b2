# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for an answer, for one's turn, for a moment: the only use of asyncio in here.

It opens nothing: futures, a lock and timers of whichever loop runs the central system.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")

sleep = asyncio.sleep
Turn = asyncio.Lock


async def within(seconds: float, work: Awaitable[T]) -> T:
    """Await `work`, no longer than that. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        return await work


class Reply(Generic[T]):
    """A value that comes later."""

    def __init__(self) -> None:
        self._future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def give(self, value: T) -> None:
        """Here it is; what comes after the first is ignored."""
        if not self._future.done():
            self._future.set_result(value)

    async def get(self, timeout_s: float) -> T:
        """Wait for it. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            return await self._future


class Feed(Generic[T]):
    """Values to be read one after the other; the oldest go where too many are unread."""

    def __init__(self, limit: int) -> None:
        self._queue: asyncio.Queue[T] = asyncio.Queue(limit)

    def put(self, value: T) -> None:
        """Add one."""
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(value)

    async def get(self, timeout_s: float) -> T:
        """The next. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            return await self._queue.get()


class Tasks:
    """What goes on beside the conversation; cancelled with it."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin `work`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        """End all of it."""
        for task in list(self._tasks):
            task.cancel()
