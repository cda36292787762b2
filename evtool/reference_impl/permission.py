# SPDX-License-Identifier: GPL-3.0-or-later
"""OCPP's word: whether energy may flow, and how much.

Whoever speaks OCPP repeats the word at least once a second. One that is 5000 ms old is no longer
believed: then nothing is connected, nothing permitted, and no limit known.
"""

from __future__ import annotations

from evtool.reference_impl.controller_types import OcppWord
from evtool.reference_impl.freshness import Timed

YOUNGER_THAN_MS = 5000


class Permission:
    """The last word, and what follows from it."""

    def __init__(self) -> None:
        self._word: Timed[OcppWord] = Timed()

    def set(self, word: OcppWord, now_ms: int) -> None:
        """Take a word."""
        self._word.set(word, now_ms)

    def current(self, now_ms: int) -> OcppWord | None:
        """The word, while it is believed."""
        return self._word.within(YOUNGER_THAN_MS - 1, now_ms)

    def in_transaction(self) -> bool:
        """Whether a transaction runs, by the last word however old: silence does not end one."""
        word = self._word.last()
        return word is not None and word.transaction
