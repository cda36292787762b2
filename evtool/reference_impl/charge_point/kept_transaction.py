# SPDX-License-Identifier: GPL-3.0-or-later
"""What outlives a power cut of the transaction that runs, so that its end reaches the CSMS.

Kept from the CSMS's answer to StartTransaction until its answer to StopTransaction. After a
restart the transaction is not resumed, nobody has identified since: it is stopped, with what
was known of its end, or with the cause of the restart. One whose StartTransaction the CSMS
never answered leaves nothing: the CSMS does not know of it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from evtool.protocol import ocpp16

KEY = "transaction"


@dataclass(frozen=True, slots=True)
class KeptTransaction:
    """One transaction that the CSMS knows and whose end it has not confirmed.

    Attributes:
        transaction_id: the CSMS's.
        id_tag: who started it.
        meter_wh: the register at the end; while it runs, the one at the CSMS's answer.
        reason: why it ended; "" while it runs.
        timestamp: when it ended, as on the wire; "" while it runs.
    """

    transaction_id: int
    id_tag: str
    meter_wh: int
    reason: str = ""
    timestamp: str = ""

    def render(self) -> str:
        """The text that `read_kept` understands."""
        return json.dumps(asdict(self))

    def stop_payload(self, restart_reason: str, now: str, register_wh: int) -> ocpp16.Payload:
        """StopTransaction.req after a restart.

        Args:
            restart_reason: why the charge point restarted, where it ran until then.
            now: the timestamp where its own is not known.
            register_wh: the register after the restart. It is no less than what the CSMS was
                told, unless somebody has erased what it was stored in.
        """
        payload: ocpp16.Payload = {
            "transactionId": self.transaction_id,
            "meterStop": self.meter_wh if self.reason else max(self.meter_wh, register_wh),
            "timestamp": self.timestamp or now,
            "reason": self.reason or restart_reason,
        }
        if self.reason == "Local":
            payload["idTag"] = self.id_tag
        return payload


def read_kept(text: str) -> KeptTransaction | None:
    """The transaction in a stored text; None for none, and for a text that is not ours."""
    try:
        kept = KeptTransaction(**json.loads(text))
        payload = kept.stop_payload("PowerLoss", "1970-01-01T00:00:00Z", 0)
    except (ValueError, TypeError, RecursionError):
        return None
    return kept if ocpp16.find_violation("StopTransaction", payload) is None else None
