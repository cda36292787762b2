# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks up now and then while this program computes, and never while it waits."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

_PERIOD_S = 0.2


class ProcessorAlarm:
    """Inside a `with`, calls `act` at every `period_s` of this program's own processor time, in
    the middle of whatever it does; what that raises is raised there. For the main thread.
    """

    def __init__(self, act: Callable[[], None], period_s: float = _PERIOD_S) -> None:
        self._act = act
        self._period_s = period_s
        self._saved: Any = None

    def __enter__(self) -> ProcessorAlarm:
        self._saved = signal.signal(signal.SIGVTALRM, self._ring)
        signal.setitimer(signal.ITIMER_VIRTUAL, self._period_s, self._period_s)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, self._saved)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        self._act()
