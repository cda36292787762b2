# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeded choices, cheap enough for a million lines a minute."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """The same seed, the same throws. A weight is written as how often a choice is listed."""

    def __init__(self, seed: int) -> None:
        source = random.Random(seed)  # noqa: S311 - tests must repeat, not be secret
        self._throw = source.random
        self.bits = source.getrandbits
        self.bytes = source.randbytes

    def one_of(self, choices: Sequence[T]) -> T:
        """Any of them, each as likely as the others."""
        return choices[int(self._throw() * len(choices))]

    def below(self, limit: int) -> int:
        """0 to `limit` - 1; `limit` is below 2**50."""
        return int(self._throw() * limit)

    def chance(self, probability: float) -> bool:
        """True that often."""
        return self._throw() < probability
