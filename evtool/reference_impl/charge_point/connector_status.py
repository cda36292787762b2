# SPDX-License-Identifier: GPL-3.0-or-later
"""Which status a connector has: the first row that fits.

==  ==========================================================  ===================
1   a fault of the charge point itself                          Faulted
2   not operative, and not in use                               Unavailable
3   transaction, and the vehicle is gone                        SuspendedEV
4   transaction, and not permitted or the EVSE is not ready     SuspendedEVSE
5   transaction, and the vehicle is not ready                   SuspendedEV
6   transaction                                                 Charging
7   reserved, and not identified by who it is reserved for      Reserved
8   nobody identified, not plugged                              Available
9   was Charging, Suspended or Finishing before                 Finishing
10  else                                                        Preparing
==  ==========================================================  ===================

What the vehicle or the bus causes (a silent module, a lost bus) is reported with its error
code but is not Faulted: a transaction is suspended meanwhile and goes on by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from evtool.protocol import ocpp16

AFTER_A_TRANSACTION = frozenset({"Charging", "SuspendedEV", "SuspendedEVSE", "Finishing"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What the status of a connector depends on."""

    faulted: bool
    operative: bool
    in_use: bool
    transaction: bool
    reserved: bool
    identified: bool
    permitted: bool
    plugged: bool
    ev_ready: bool
    evse_ready: bool
    previous: str


def connector_status(facts: Facts) -> str:
    """The status of a connector from 1 on (OCPP 1.6, ChargePointStatus)."""
    if facts.faulted:
        return "Faulted"
    if not facts.operative and not facts.in_use:
        return "Unavailable"
    return _in_transaction(facts) if facts.transaction else _without_transaction(facts)


def _in_transaction(facts: Facts) -> str:
    if not facts.plugged:
        return "SuspendedEV"
    if not (facts.permitted and facts.evse_ready):
        return "SuspendedEVSE"
    return "Charging" if facts.ev_ready else "SuspendedEV"


def _without_transaction(facts: Facts) -> str:
    if facts.reserved:
        return "Reserved"
    if not facts.identified and not facts.plugged:
        return "Available"
    return "Finishing" if facts.previous in AFTER_A_TRANSACTION else "Preparing"


class StatusReporter:
    """Says when a status has been stable for long enough to be sent, and since when.

    Args:
        tells_cleared: an error code that goes while the status stays is told too.
        times_error: an error code that changes alone begins a new time.
    """

    __slots__ = ("_sent", "_tells_cleared", "_times_error", "current", "since_ms")

    def __init__(self, tells_cleared: bool = True, times_error: bool = True) -> None:
        self._times_error = times_error
        self.current: tuple[str, str] | None = None  # (status, error code)
        self.since_ms = 0
        self._sent: tuple[str, str] | None = None
        self._tells_cleared = tells_cleared

    def observe(self, status: str, error: str, minimum_ms: int | None, now_ms: int) -> bool:
        """Take the status of this moment; True where it is to be sent now.

        Args:
            status, error: of the connector.
            minimum_ms: how long a status must have lasted; None where none can be sent yet.
            now_ms: this moment.
        """
        error = error if error in ocpp16.ERROR_CODES else "OtherError"
        if (status, error) != self.current:
            if self.current is None or self._times_error or self.current[0] != status:
                self.since_ms = now_ms
            self.current = (status, error)
        if minimum_ms is None or self.current == self._sent:
            return False
        if now_ms - self.since_ms < minimum_ms:
            return False
        silent = (
            not self._tells_cleared
            and self._sent is not None
            and self._sent[0] == status
            and error == "NoError"
        )
        self._sent = self.current
        return not silent

    def due_ms(self, minimum_ms: int) -> int | None:
        """When what is observed now will have been stable for long enough."""
        if self.current is None or self.current == self._sent:
            return None
        return self.since_ms + minimum_ms
