# SPDX-License-Identifier: GPL-3.0-or-later
"""How long it takes to find a good payload good: `find_violation`, and what else could do it.

They run in turn; each time is the median of many, and the ratio is to `find_violation`.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from importlib.resources import files
from typing import Any

import fastjsonschema
import jsonschema

from evtool.protocol.ocpp16 import find_violation

ROUNDS = 15
CALLS = 200

PAYLOADS: dict[str, dict[str, Any]] = {
    "Heartbeat": {},
    "StatusNotification": {
        "connectorId": 1,
        "errorCode": "NoError",
        "status": "Charging",
        "timestamp": "2024-05-01T12:00:00Z",
    },
    "MeterValues": {
        "connectorId": 1,
        "transactionId": 7,
        "meterValue": [
            {
                "timestamp": "2024-05-01T12:00:00Z",
                "sampledValue": [
                    {
                        "value": "5000",
                        "context": "Sample.Periodic",
                        "measurand": measurand,
                        "unit": unit,
                    }
                    for measurand, unit in (
                        ("Energy.Active.Import.Register", "Wh"),
                        ("Power.Active.Import", "W"),
                        ("Voltage", "V"),
                        ("Current.Import", "A"),
                        ("SoC", "Percent"),
                    )
                ],
            }
        ],
    },
    "SetChargingProfile": {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [
                    {"startPeriod": hour * 3600, "limit": 6 + hour / 10} for hour in range(24)
                ],
            },
        },
    },
}


def schema(action: str, parse_float: Callable[[str], Any] = float) -> Any:
    text = (files("ocpp") / "v16" / "schemas" / f"{action}.json").read_text("utf-8-sig")
    return json.loads(text, parse_float=parse_float)


def ways(action: str, payload: dict[str, Any]) -> dict[str, Callable[[], object]]:
    """Each way, ready to be called."""
    exact = jsonschema.Draft4Validator(schema(action, Decimal))
    plain = jsonschema.Draft4Validator(schema(action))
    compiled = fastjsonschema.compile(schema(action))
    found = {
        "find_violation": lambda: find_violation(action, payload),
        "jsonschema, exact": lambda: exact.validate(
            json.loads(json.dumps(payload), parse_float=Decimal)
        ),
    }
    if action != "SetChargingProfile":  # they take no tenth for one
        found["jsonschema"] = lambda: plain.validate(payload)
        found["fastjsonschema"] = lambda: compiled(payload)
    return found


def main() -> None:
    for action, payload in PAYLOADS.items():
        found = ways(action, payload)
        times: dict[str, list[float]] = {name: [] for name in found}
        for name, check in found.items():
            assert not check() or name == "fastjsonschema"  # which returns the payload
        for _ in range(ROUNDS):
            for name, check in found.items():
                begin = time.perf_counter()
                for _ in range(CALLS):
                    check()
                times[name].append((time.perf_counter() - begin) / CALLS * 1e6)
        yardstick = statistics.median(times["find_violation"])
        for name, each in times.items():
            median = statistics.median(each)
            sys.stdout.write(f"{action:20}{name:20} {median:8.1f} us  {median / yardstick:6.1f}\n")


if __name__ == "__main__":
    main()
