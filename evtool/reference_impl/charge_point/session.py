# SPDX-License-Identifier: GPL-3.0-or-later
"""One person's way from identification to the end of the transaction.

==============  ========  ==============  ==============================================
phase           event     next phase      when
==============  ========  ==============  ==============================================
idle            identify  authorizing     id_tag presented; the CSMS is asked
idle            admit     authorized      RemoteStart that needs no Authorize
authorizing     admit     authorized      the CSMS accepts, or offline rules do
authorizing     cancel    idle            refused; time-out; the same person again
authorized      begin     running         plugged and operative: StartTransaction
authorized      cancel    idle            ConnectionTimeOut; the same person again
running         end       idle            StopTransaction
==============  ========  ==============  ==============================================

An absent pair means: stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from evtool.protocol import ocpp16


class Phase(Enum):
    """Where a session is."""

    IDLE = "idle"
    AUTHORIZING = "authorizing"
    AUTHORIZED = "authorized"
    RUNNING = "running"


class Event(Enum):
    """What moves it on."""

    IDENTIFY = "identify"
    ADMIT = "admit"
    CANCEL = "cancel"
    BEGIN = "begin"
    END = "end"


TABLE: Mapping[tuple[Phase, Event], Phase] = MappingProxyType(
    {
        (Phase.IDLE, Event.IDENTIFY): Phase.AUTHORIZING,
        (Phase.IDLE, Event.ADMIT): Phase.AUTHORIZED,
        (Phase.AUTHORIZING, Event.ADMIT): Phase.AUTHORIZED,
        (Phase.AUTHORIZING, Event.CANCEL): Phase.IDLE,
        (Phase.AUTHORIZED, Event.BEGIN): Phase.RUNNING,
        (Phase.AUTHORIZED, Event.CANCEL): Phase.IDLE,
        (Phase.RUNNING, Event.END): Phase.IDLE,
    }
)


@dataclass(slots=True)
class Transaction:
    """A transaction that runs, or one whose messages still wait to be delivered.

    Attributes:
        transaction_id: the CSMS's; None until it has answered StartTransaction. If it never
            does, StopTransaction says -1.
        refused: the CSMS did not accept the id_tag; no energy flows.
        records: (time, sampled values) for the transactionData of StopTransaction.
    """

    id_tag: str
    started_ms: int
    transaction_id: int | None = None
    refused: bool = False
    records: list[tuple[int, list[dict[str, str]]]] = field(default_factory=list)


@dataclass(slots=True)
class Session:
    """The session of the connector; there is always one, mostly idle."""

    phase: Phase = Phase.IDLE
    id_tag: str = ""
    since_ms: int = 0
    transaction: Transaction | None = None
    tx_profile: ocpp16.Payload | None = None
    """A charging profile that came with RemoteStart, for the transaction to come."""

    def move(self, event: Event) -> bool:
        """Take `event`; False where the table has no such step and nothing changes."""
        phase = TABLE.get((self.phase, event))
        if phase is None:
            return False
        self.phase = phase
        if phase is Phase.IDLE:
            self.id_tag = ""
            self.transaction = None
            self.tx_profile = None
        return True
