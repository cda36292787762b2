# SPDX-License-Identifier: GPL-3.0-or-later
"""Which status a connector has: the first row that fits.

==  ==========================================================  ===================
1   a fault of the charge point itself                          Faulted
2   not operative, and no transaction                           Unavailable
3   transaction, and the vehicle is gone                        SuspendedEV
4   transaction, and not permitted or the EVSE is not ready     SuspendedEVSE
5   transaction, and the vehicle is not ready                   SuspendedEV
6   transaction                                                 Charging
7   nobody identified, not plugged                              Available
8   was Charging, Suspended or Finishing before                 Finishing
9   else                                                        Preparing
==  ==========================================================  ===================

What the vehicle or the bus causes (a silent module, a lost bus) is reported with its error
code but is not Faulted: a transaction is suspended meanwhile and goes on by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from evtool.protocol import ocpp16

_AFTER_A_TRANSACTION = frozenset({"Charging", "SuspendedEV", "SuspendedEVSE", "Finishing"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What the status of connector 1 depends on."""

    faulted: bool
    operative: bool
    transaction: bool
    identified: bool
    permitted: bool
    plugged: bool
    ev_ready: bool
    evse_ready: bool
    previous: str


def connector_status(facts: Facts) -> str:
    """The status of connector 1 (OCPP 1.6, ChargePointStatus)."""
    rows = (
        (facts.faulted, "Faulted"),
        (not facts.operative and not facts.transaction, "Unavailable"),
        (facts.transaction and not facts.plugged, "SuspendedEV"),
        (facts.transaction and not (facts.permitted and facts.evse_ready), "SuspendedEVSE"),
        (facts.transaction and not facts.ev_ready, "SuspendedEV"),
        (facts.transaction, "Charging"),
        (not facts.identified and not facts.plugged, "Available"),
        (facts.previous in _AFTER_A_TRANSACTION, "Finishing"),
    )
    return next((status for fits, status in rows if fits), "Preparing")


class StatusReporter:
    """Says when a status has been stable for long enough to be sent, and since when."""

    def __init__(self) -> None:
        self.current: tuple[str, str] | None = None  # (status, error code)
        self.since_ms = 0
        self._sent: tuple[str, str] | None = None

    def observe(self, status: str, error: str, minimum_ms: int, now_ms: int) -> bool:
        """Take the status of this moment; True where it is to be sent now."""
        error = error if error in ocpp16.ERROR_CODES else "OtherError"
        if (status, error) != self.current:
            self.current = (status, error)
            self.since_ms = now_ms
        if self.current == self._sent or now_ms - self.since_ms < minimum_ms:
            return False
        self._sent = self.current
        return True
