# SPDX-License-Identifier: GPL-3.0-or-later
"""Charging profiles as a CSMS sends them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def moment(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat()


def payload(
    purpose: str = "TxDefaultProfile",
    periods: Any = ((0, 16),),
    *,
    number: int = 1,
    level: int = 0,
    kind: str = "Absolute",
    unit: str = "A",
    **more: Any,
) -> dict[str, Any]:
    schedule: dict[str, Any] = {
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [
            {"startPeriod": start, "limit": limit} | ({"numberPhases": phases[0]} if phases else {})
            for start, limit, *phases in periods
        ],
    }
    for name in ("duration", "startSchedule", "minChargingRate"):
        if name in more:
            schedule[name] = more.pop(name)
    return {
        "chargingProfileId": number,
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": schedule,
    } | more
