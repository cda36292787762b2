# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from evtool.provision.report.rows import UnitRow, days_left


@dataclass(frozen=True, slots=True)
class Root:
    """A root certificate, and how many units trust it.

    Attributes:
        days_left: until it ends; negative once it has; None where its end is not known.
    """

    sha256: str
    subject: str
    not_after: str
    days_left: int | None
    units: int


@dataclass(slots=True)
class Summary:
    """The figures; `add` takes the units one by one, so that no list of them is needed.

    Args:
        now: aware; what certificates are counted against.
        expiring_days: a certificate that ends within so many days is counted.

    Attributes:
        total: units, without those that left the fleet.
        gone: units that left it.
        statuses: units by status.
        failures: units by (step, cause, reason) of their latest failure;
        unmended: those of them that are still in it.
        tried, first_pass: units that were proved or failed, and those of them that never failed.
        expiring: units of which a certificate has ended or is about to.
        proofs: units by the day (UTC, YYYY-MM-DD) of their latest proof.
    """

    now: datetime
    expiring_days: int
    total: int = 0
    done: int = 0
    gone: int = 0
    tried: int = 0
    first_pass: int = 0
    expiring: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    failures: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    unmended: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    proofs: Counter[str] = field(default_factory=Counter)
    _roots: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, row: UnitRow) -> None:
        """Count a unit."""
        self.statuses[row.status] += 1
        if row.is_gone:
            self.gone += 1
            return
        self.total += 1
        self.done += row.is_done
        self.tried += row.first_pass is not None
        self.first_pass += row.first_pass is True
        self.expiring += row.expires_within(self.expiring_days, self.now)
        if row.first_pass is False:
            cause = (row.failed_step, row.failed_cause, row.failed_reason)
            self.failures[cause] += 1
            self.unmended[cause] += row.status == "failed"
        if row.proved_at:
            self.proofs[row.proved_at[:10]] += 1
        if row.ca_sha256:
            self._roots[row.ca_sha256, row.ca_subject, row.ca_not_after] += 1

    def roots(self) -> list[Root]:
        """The roots that units trust, the one that ends first at the head."""
        found = [
            Root(sha256, subject, not_after, days_left(not_after, self.now), units)
            for (sha256, subject, not_after), units in self._roots.items()
        ]
        return sorted(found, key=lambda root: (root.not_after or "~", root.sha256))

    def yield_percent(self) -> float | None:
        """Units that never failed, of those that were tried; None before any was."""
        return 100 * self.first_pass / self.tried if self.tried else None

    def as_dict(self) -> dict[str, object]:
        """As `--json` prints it."""
        rate = self.yield_percent()
        return {
            "total": self.total,
            "done": self.done,
            "gone": self.gone,
            "tried": self.tried,
            "first_pass": self.first_pass,
            "first_pass_yield_percent": None if rate is None else round(rate, 2),
            "expiring": self.expiring,
            "expiring_days": self.expiring_days,
            "statuses": dict(sorted(self.statuses.items())),
            "failures": [
                {
                    "step": step,
                    "cause": cause,
                    "reason": reason,
                    "units": units,
                    "unmended": self.unmended[step, cause, reason],
                }
                for (step, cause, reason), units in self.failures.most_common()
            ],
            "roots": [
                {
                    "sha256": root.sha256,
                    "subject": root.subject,
                    "not_after": root.not_after,
                    "days_left": root.days_left,
                    "units": root.units,
                }
                for root in self.roots()
            ],
        }


def summarize(rows: Iterable[UnitRow], now: datetime, expiring_days: int) -> Summary:
    """The figures of all `rows`."""
    summary = Summary(now, expiring_days)
    for row in rows:
        summary.add(row)
    return summary
