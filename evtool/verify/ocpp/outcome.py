# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a scenario with both sides of the wire."""

from __future__ import annotations

from dataclasses import dataclass

from evtool.verify.ocpp.compare import WireDifference


@dataclass(frozen=True, slots=True)
class Explained:
    """Differences that a known departure explains.

    Attributes:
        name, title: of the departure.
        first: the first of them.
    """

    name: str
    title: str
    count: int
    first: WireDifference


@dataclass(frozen=True, slots=True)
class WireOutcome:
    """The comparison of two lives.

    Attributes:
        unexplained: in the order of time.
        sides: for each stream with an unexplained difference, both sequences about it.
    """

    unexplained: tuple[WireDifference, ...]
    explained: tuple[Explained, ...]
    sides: tuple[str, ...]

    def as_document(self) -> dict[str, object]:
        """For `--json`; times in milliseconds."""
        return {
            "unexplained": [document_of(each) for each in self.unexplained],
            "explained": [
                {
                    "name": each.name,
                    "title": each.title,
                    "count": each.count,
                    "first": document_of(each.first),
                }
                for each in self.explained
            ],
        }


def document_of(difference: WireDifference) -> dict[str, object]:
    """A difference for `--json`."""
    return {
        "time_ms": difference.at_ms,
        "stream": difference.stream,
        "what": difference.what,
        "field": difference.field,
        "reference": difference.reference,
        "device": difference.device,
    }
