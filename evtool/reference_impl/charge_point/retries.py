# SPDX-License-Identifier: GPL-3.0-or-later
"""How often something is tried, as `retries` and `retryInterval` of a request say."""

from __future__ import annotations

from dataclasses import dataclass

from evtool.protocol import ocpp16

MOST = 1_000
LONGEST_S = 30 * 86_400


@dataclass(slots=True)
class Retries:
    """Attempts that are left, and the pause between two of them.

    Attributes:
        left: further attempts after the present one.
        interval_ms: from the end of one attempt to the start of the next.
    """

    left: int
    interval_ms: int

    @classmethod
    def of(cls, payload: ocpp16.Payload, default_interval_s: int, *, counts_first: bool) -> Retries:
        """What a request asks for; without a number there is one attempt.

        Args:
            payload: with `retries` and `retryInterval`, both optional.
            default_interval_s: where the request names none.
            counts_first: `retries` counts the first attempt too (MicroOcpp).
        """
        wanted = payload.get("retries", 0) - (1 if counts_first else 0)
        interval_s = payload.get("retryInterval", default_interval_s)
        return cls(min(max(wanted, 0), MOST), min(max(interval_s, 0), LONGEST_S) * 1000)

    def take(self) -> bool:
        """Use up one further attempt; False where none is left."""
        if self.left == 0:
            return False
        self.left -= 1
        return True
