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
idle            resume    running         a transaction that a power cut interrupted goes on
running         end       idle            StopTransaction
==============  ========  ==============  ==============================================

An absent pair means: stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

from evtool.protocol import ocpp16

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.outbox import Request
    from evtool.reference_impl.charge_point.transactions import Transaction


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
    RESUME = "resume"
    END = "end"


TABLE: Mapping[tuple[Phase, Event], Phase] = MappingProxyType(
    {
        (Phase.IDLE, Event.IDENTIFY): Phase.AUTHORIZING,
        (Phase.IDLE, Event.ADMIT): Phase.AUTHORIZED,
        (Phase.AUTHORIZING, Event.ADMIT): Phase.AUTHORIZED,
        (Phase.AUTHORIZING, Event.CANCEL): Phase.IDLE,
        (Phase.AUTHORIZED, Event.BEGIN): Phase.RUNNING,
        (Phase.AUTHORIZED, Event.CANCEL): Phase.IDLE,
        (Phase.IDLE, Event.RESUME): Phase.RUNNING,
        (Phase.RUNNING, Event.END): Phase.IDLE,
    }
)


@dataclass(slots=True)
class Session:
    """The session of a connector; there is always one, mostly idle.

    Attributes:
        since_ms: when it left idle; `since_unix_ms` by the CSMS's clock, where it was known.
        parent_id_tag: of who identified, where it is known.
        floats: it belongs to whichever connector is plugged in first: nobody has named one.
        request: the Authorize that it waits for.
        transaction: the one that runs.
        tx_profile: a charging profile that came with RemoteStart, for the transaction to come.
    """

    phase: Phase = Phase.IDLE
    id_tag: str = ""
    parent_id_tag: str = ""
    since_ms: int = 0
    since_unix_ms: int | None = None
    floats: bool = False
    request: Request | None = None
    transaction: Transaction | None = None
    tx_profile: ocpp16.Payload | None = None

    def move(self, event: Event) -> bool:
        """Take `event`; False where the table has no such step and nothing changes."""
        phase = TABLE.get((self.phase, event))
        if phase is None:
            return False
        self.phase = phase
        if phase is not Phase.AUTHORIZING:
            self.request = None
        if phase is Phase.IDLE:
            self.id_tag = self.parent_id_tag = ""
            self.floats = False
            self.transaction = None
            self.tx_profile = None
        return True
