# SPDX-License-Identifier: GPL-3.0-or-later
"""What the central system keeps of transactions and of stations' credentials."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

KEPT_METER_VALUES = 50
"""Of each running transaction in memory; a database keeps more."""

MAX_METER_VALUES = 100_000
"""Of each transaction in a database: one a second for a day."""

MAX_LATE = 100
"""Of those, after its end."""

_MAX_SAMPLES = 40
_MAX_VALUE = 100


@dataclass(slots=True)
class TransactionRecord:
    """What the CSMS knows of one transaction; energy in Wh, times as they came.

    `meter_values` are the latest, as they came (OCPP's MeterValue); `late` counts those that
    came after the end in this run; `is_full` says that some were not kept.
    """

    transaction_id: int
    station: str
    connector_id: int
    id_tag: str
    meter_start: int
    started: str
    meter_stop: int | None = None
    stopped: str | None = None
    reason: str | None = None
    meter_values: deque[dict[str, Any]] = field(
        default_factory=lambda: deque(maxlen=KEPT_METER_VALUES)
    )
    meter_value_count: int = 0
    late: int = 0
    is_full: bool = False

    @property
    def is_running(self) -> bool:
        """Whether no StopTransaction came yet."""
        return self.stopped is None

    def keep(self, meter_value: dict[str, Any]) -> None:
        """Keep a meter value in memory, unless it is out of all proportion."""
        samples = meter_value.get("sampledValue", ())
        if len(samples) <= _MAX_SAMPLES and all(
            len(str(sample.get("value", ""))) <= _MAX_VALUE for sample in samples
        ):
            self.meter_values.append(meter_value)

    def start_key(self) -> tuple[object, ...]:
        """What makes two StartTransaction.req the same one, repeated."""
        return (self.station, self.connector_id, self.id_tag, self.meter_start, self.started)

    def energy_wh(self) -> int | None:
        """What was delivered, or as far as the latest meter value tells."""
        if self.meter_stop is not None:
            return self.meter_stop - self.meter_start
        register = latest_register_wh(self.meter_values)
        return None if register is None else register - self.meter_start

    def describe(self) -> dict[str, object]:
        """The record as JSON, with the number of its meter values instead of them."""
        return {
            "transaction_id": self.transaction_id,
            "station": self.station,
            "connector_id": self.connector_id,
            "id_tag": self.id_tag,
            "meter_start": self.meter_start,
            "started": self.started,
            "meter_stop": self.meter_stop,
            "stopped": self.stopped,
            "reason": self.reason,
            "energy_wh": self.energy_wh(),
            "meter_values": self.meter_value_count,
        }


def latest_register_wh(meter_values: deque[dict[str, Any]]) -> int | None:
    """Energy.Active.Import.Register of the latest meter value that has it, in Wh."""
    for meter_value in reversed(meter_values):
        for sample in meter_value.get("sampledValue", ()):
            measurand = sample.get("measurand", "Energy.Active.Import.Register")
            if measurand != "Energy.Active.Import.Register" or "phase" in sample:
                continue
            try:
                value = float(sample["value"]) * (1000 if sample.get("unit") == "kWh" else 1)
                return round(value)
            except (ValueError, OverflowError):  # signed data, or no number
                continue
    return None


@dataclass(frozen=True, slots=True)
class StoredStation:
    """Credentials that changed after they were configured; keys as bytes, never shown.

    `next_keys` (oldest first) and `next_profile` are accepted beside the present ones until the
    station has come with them.
    """

    identity: str
    key: bytes | None = field(repr=False)
    next_keys: tuple[bytes, ...] = field(repr=False)
    profile: int
    next_profile: int | None
