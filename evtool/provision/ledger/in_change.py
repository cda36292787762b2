# SPDX-License-Identifier: GPL-3.0-or-later
"""Work in one transaction that is done again where the database undid it for another's sake."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from evtool.errors import ChangeUndone
from evtool.provision.ledger.store import Change, Ledger

_TRIES = 5

T = TypeVar("T")


def in_change(ledger: Ledger, work: Callable[[Change], T]) -> T:
    """What `work` returns, on the disk.

    Two stations that take the same things in another order wait for one another: the server
    undoes what one of them did, whole. It is done again a few times.

    Args:
        work: may be called several times; what it leaves outside of its change is what its last
            call leaves.

    Raises:
        ChangeUndone: the last time as well.
    """

    def once() -> T:
        with ledger.change() as change:
            return work(change)

    return again(once)


def again(work: Callable[[], T]) -> T:
    """The same for a whole transaction of another kind."""
    for _ in range(_TRIES - 1):
        try:
            return work()
        except ChangeUndone:
            continue
    return work()
