# SPDX-License-Identifier: GPL-3.0-or-later
"""Delta debugging: the few items of many that are enough to fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shrink(
    items: Sequence[T], fails: Callable[[list[T]], bool], out_of_time: Callable[[], bool]
) -> list[T]:
    """A part of `items`, in their order, that still fails.

    It leaves out blocks, large ones first, as long as what remains fails. In the end no single
    item can go, unless the time was up before.

    Args:
        items: a list that fails.
        fails: whether a shorter list fails; never asked for an empty one.
        out_of_time: asked before every try.
    """
    kept = list(items)
    size = max(1, len(kept) // 2)
    while True:
        before = len(kept)
        position = 0
        while position < len(kept) and len(kept) > 1:
            if out_of_time():
                return kept
            candidate = kept[:position] + kept[position + size :]
            if candidate and fails(candidate):
                kept = candidate
            else:
                position += size
        if size > 1:
            size //= 2
        elif len(kept) == before:
            return kept
