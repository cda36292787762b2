# SPDX-License-Identifier: GPL-3.0-or-later
"""A thread for each port, and none of them can hold up the others or the end of the program.

Whatever a thread works with has deadlines of its own; where they fail (a driver that never comes
back from a call), the thread is given up: its port is reported, its later words are not heard,
and as a daemon it ends with the process.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

R = TypeVar("R")

Tell = Callable[[str, Mapping[str, object]], None]
# On top of what a thread's own deadline allows.
_GRACE_S = 15.0
_STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class Word(Generic[R]):
    """What a port's thread says.

    Attributes:
        name: of the step; "" where the thread has ended.
        result: where it ended in order.
        crash: the traceback where it did not; "given up" where it was waited for in vain.
    """

    port: str
    name: str
    fields: Mapping[str, object]
    result: R | None = None
    crash: str = ""


class Rack(Generic[R]):
    """Runs the same work at many ports.

    Args:
        work: does it at one port; is given its port, a function to tell steps with (a step with
            the field `deadline_s` sets how long it may take from there on), and a function that
            says whether to stop. Runs in a thread of its own.
        now_s: a clock that only goes forward.
    """

    def __init__(
        self,
        work: Callable[[str, Tell, Callable[[], bool]], R],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work = work
        self._now_s = now_s
        self._words: queue.SimpleQueue[tuple[int, Word[R]]] = queue.SimpleQueue()
        self._running: dict[str, int] = {}
        self._give_up_s: dict[str, float] = {}
        self._count = 0
        self._stopping = threading.Event()
        self._stop_s = 0.0

    @property
    def running(self) -> tuple[str, ...]:
        """The ports whose threads have not ended."""
        return tuple(self._running)

    def start(self, port: str, deadline_s: float) -> None:
        """Begin the work at a port, which may take so long until it says otherwise."""
        self._count += 1
        self._running[port] = self._count
        self._give_up_s[port] = self._now_s() + deadline_s + _GRACE_S
        threading.Thread(
            target=self._run, args=(self._count, port), name=f"evtool {port}", daemon=True
        ).start()

    def stop(self) -> None:
        """Ask every thread to end; `next` gives those up that do not."""
        self._stopping.set()
        self._stop_s = self._now_s() + _STOP_S

    def next(self, timeout_s: float) -> Word[R] | None:
        """The next word of any port; None when there is none in time."""
        overdue = self._overdue()
        if overdue is not None:
            return overdue
        try:
            number, word = self._words.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if self._running.get(word.port) != number:
            return None  # of a thread that was given up
        deadline_s = word.fields.get("deadline_s")
        if isinstance(deadline_s, float):
            self._give_up_s[word.port] = self._now_s() + deadline_s + _GRACE_S
        if not word.name:
            del self._running[word.port]
        return word

    def _overdue(self) -> Word[R] | None:
        now = self._now_s()
        late = self._stopping.is_set() and now >= self._stop_s
        for port in self._running:
            if late or now >= self._give_up_s[port]:
                del self._running[port]
                return Word(port, "", {}, crash="given up")
        return None

    def _run(self, number: int, port: str) -> None:
        def tell(name: str, fields: Mapping[str, object]) -> None:
            self._words.put((number, Word(port, name, fields)))

        try:
            result = self._work(port, tell, self._stopping.is_set)
        except Exception:  # noqa: BLE001 - a bug at one port; the others go on, and it is shown
            self._words.put((number, Word(port, "", {}, crash=traceback.format_exc())))
        else:
            self._words.put((number, Word(port, "", {}, result=result)))
