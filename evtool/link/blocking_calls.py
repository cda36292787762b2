# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocking calls beside an event loop, for which the end of the program does not wait.

`asyncio.to_thread` cannot be left: the loop's end waits for what a silent server holds up.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class BlockingCalls:
    """At most so many calls at once, each in a thread of its own; others wait for their turn.

    Args:
        most: how many.
    """

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)

    async def run(self, call: Callable[[], T]) -> T:
        """What `call` returns or raises.

        Whoever is cancelled here hears nothing of it any more; the call itself goes on, and
        takes its place until it ends.
        """
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()

        def tell(deliver: Callable[[], None]) -> None:
            self._free.release()
            if not result.done():
                deliver()

        def work() -> None:
            try:
                value = call()
            except Exception as error:  # noqa: BLE001 - it is raised where the result is awaited
                raised = error
                _post(loop, lambda: tell(lambda: result.set_exception(raised)))
            else:
                _post(loop, lambda: tell(lambda: result.set_result(value)))

        threading.Thread(target=work, name="blocking call", daemon=True).start()
        return await result


def _post(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:  # the loop has ended; nobody wants to know
        return
