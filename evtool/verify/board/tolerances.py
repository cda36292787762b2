# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a board may be from the reference before that is a difference."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Tolerances:
    """Times in milliseconds, each on top of `base_ms`; docs/verify.md explains them.

    Attributes:
        base_ms: what bus, console and this computer may take; part of every bound below.
        off_ms: from the moment the reference closes its gate to the board's off.
        on_ms: from the moment it opens to the board's on.
        setpoint_ms: until a changed setpoint is on the bus (it may wait 100 ms for its turn).
        switch_gap_ms: between two repetitions of the switch.
        turn_gap_ms: between two repetitions of a setpoint.
        period_ms: how much longer than its period a question or a feedback may take.
        feedback_ms: age of what charge_feedback says.
        event_ms: a console event.
        fault_ms: a fault, which waits for a sample: those come every 200 ms.
        record_ms: a console record, and age of what it says.
        age_ms: a record's own field `age`.
        energy_mwh: energy and session: a whole Wh is cut off, and samples come a little apart.
        ocpp_ms: what OCPP does over the network.
        reconnect_ms: the board's way back to the CSMS.
        expect_ms: around the time of a scenario's own expectation.
    """

    base_ms: int = 200
    off_ms: int = 50
    on_ms: int = 50
    setpoint_ms: int = 150
    switch_gap_ms: int = 500
    turn_gap_ms: int = 300
    period_ms: int = 50
    feedback_ms: int = 50
    event_ms: int = 50
    fault_ms: int = 350
    record_ms: int = 100
    age_ms: int = 150
    energy_mwh: int = 2_000
    ocpp_ms: int = 2_000
    reconnect_ms: int = 60_000
    expect_ms: int = 1_000

    def as_document(self) -> dict[str, int]:
        """For `--json` and the reports."""
        return asdict(self)

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())
