# SPDX-License-Identifier: GPL-3.0-or-later
"""What a load test counts: Calls, answers, latencies, and what went wrong by its cause."""

from __future__ import annotations

from collections import Counter, defaultdict

from evtool.reference_impl.fleet.latencies import Latencies


class Tally:
    """Counts of a whole test, and the latencies since the last report.

    Attributes:
        sent: Calls by action.
        latencies: by action, of the Calls that were answered.
        recent: of all actions, since `take_recent`.
        asked: the central system's Calls, by action.
        errors: what went wrong, by cause.
        opened, closed: connections.
        transactions: that were begun at the central system.
    """

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.latencies: defaultdict[str, Latencies] = defaultdict(Latencies)
        self.recent = Latencies()
        self.asked: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.opened = 0
        self.closed = 0
        self.transactions = 0

    def answered(self, action: str, milliseconds: float) -> None:
        """A Call got its CallResult."""
        self.latencies[action].add(milliseconds)
        self.recent.add(milliseconds)

    def take_recent(self) -> Latencies:
        """The latencies since the last time."""
        recent, self.recent = self.recent, Latencies()
        return recent

    def describe(self) -> dict[str, object]:
        """The whole test, for JSON."""
        calls = {
            action: {
                "sent": count,
                "answered": self.latencies[action].count,
                "latency_ms": self.latencies[action].describe(),
            }
            for action, count in sorted(self.sent.items())
        }
        return {
            "calls": calls,
            "asked": dict(sorted(self.asked.items())),
            "errors": dict(self.errors.most_common()),
            "connections": {"opened": self.opened, "closed": self.closed},
            "transactions": self.transactions,
        }
