# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that is given a time, on a machine that may be too busy to do anything within it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_SECONDS = ("0.5", "5", "40")


def with_patience(run: Callable[[str], T], wanted: Callable[[T], bool]) -> T:
    """What `run` does in so many seconds, of which the least are tried that are enough.

    Args:
        run: told the seconds.
        wanted: whether there was time enough. What the test is about is asserted by the test.
    """
    for seconds in _SECONDS:
        done = run(seconds)
        if wanted(done):
            break
    return done
