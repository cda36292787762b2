# SPDX-License-Identifier: GPL-3.0-or-later
"""A port that cannot be opened for a moment only, and the patience for it."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Collection
from typing import TypeVar

from evtool.errors import EvtoolError

T = TypeVar("T")

# A port that was just plugged in belongs to root for a moment, and then to whatever looks for
# modems. One that is pulled while it is opened gives an error first, and is not there then. A
# program that another thread starts keeps the port of this one locked until it runs.
_PASSING = frozenset({errno.EAGAIN, errno.EBUSY, errno.EACCES, errno.EIO})
_PATIENCE_S, _STEP_S = 5.0, 0.2


def passing_faults(*, was_there: bool) -> frozenset[int]:
    """The system's numbers of them; a port that was there before may be missing for a moment."""
    return _PASSING | {errno.ENOENT} if was_there else _PASSING


def patiently(
    open_port: Callable[[], T],
    stop: Callable[[], bool],
    passing: Collection[int],
    patience_s: float = _PATIENCE_S,
) -> T:
    """What `open_port` returns, which is asked for some seconds where its fault may pass.

    Args:
        stop: whether to wait no longer.
        passing: `passing_faults`, of what is raised or of its cause.

    Raises:
        what `open_port` raises: a fault that does not pass, or has not.
    """
    limit = time.monotonic() + patience_s
    while True:
        try:
            return open_port()
        except (EvtoolError, OSError) as error:
            if _number(error) not in passing or stop() or time.monotonic() >= limit:
                raise
        time.sleep(_STEP_S)


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    return error.__cause__.errno if isinstance(error.__cause__, OSError) else None
