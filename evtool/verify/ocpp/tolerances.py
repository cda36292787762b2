# SPDX-License-Identifier: GPL-3.0-or-later
"""What two charge points may differ in, field by field; everything else must be equal."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Tolerances:
    """Each is the most that is allowed.

    Attributes:
        sent_ms: between the moments at which the two send the same message.
        timestamp_s: between the times that they tell: timestamps, the start of a schedule, and
            the seconds of its periods.
        fleeting_s: a status that lasted no longer, by the timestamps of it and of the next, need
            not be told (OCPP 1.6, 4.9).
        energy_wh: between two readings of the register that stand for the same moment.
        sample_ms: how far from the time of a sample a value of the reference's controller may
            lie that it is compared with; each of them counts.
        sample_percent: and how much it may differ from all of those.
    """

    sent_ms: int = 2_000
    timestamp_s: int = 2
    fleeting_s: int = 1
    energy_wh: int = 2
    sample_ms: int = 2_500
    sample_percent: int = 1

    def as_dict(self) -> dict[str, int]:
        """By name, as reports show them."""
        return asdict(self)
