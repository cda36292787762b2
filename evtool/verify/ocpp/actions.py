# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scenario with a table `[ocpp]` may say beside, and instead of, what others may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evtool.protocol import ocpp16

ACTIONS: dict[str, dict[str, type]] = {
    "card": {"id_tag": str},
    "error": {"code": str},
    "csms": {"mode": str},
    "drop": {},
    "call": {"action": str, "payload": dict},
    "answer": {
        "action": str, "with": str, "code": str, "payload": dict, "next": int, "delay_ms": int,
    },
    "id_tag": {"id_tag": str, "status": str, "parent": str},
}  # fmt: skip
OPTIONAL = {
    "call": {"payload"},
    "answer": {"code", "payload", "next", "delay_ms"},
    "id_tag": {"parent"},
}
CHOICES: dict[tuple[str, str], tuple[str, ...]] = {
    ("csms", "mode"): ("online", "offline", "silent"),
    ("answer", "with"): ("error", "silence", "drop", "payload"),
    ("answer", "code"): tuple(sorted(ocpp16.CALL_ERROR_CODES)),
    ("id_tag", "status"): ("Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"),
    ("error", "code"): ("-", *sorted(ocpp16.ERROR_CODES - {"NoError"})),
    ("call", "action"): tuple(sorted(ocpp16.ACTIONS)),
    ("answer", "action"): tuple(sorted(ocpp16.ACTIONS)),
}
RANGES: dict[tuple[str, str], range] = {
    ("answer", "next"): range(1, 1001),
    ("answer", "delay_ms"): range(600_001),
}
WORDS_FOR_OCPP = frozenset(
    {"remote_start", "remote_stop", "ocpp", "limit", "word", "report", "jump", "lose"}
)
"""What says OCPP's word in its place, or counts what only one of two lives has."""

_KEYS = {"boot", "interval", "configuration", "id_tags"}


def table_problems(table: Mapping[str, Any]) -> list[str]:
    """What is wrong with a table `[ocpp]`."""
    problems = [f"ocpp: unknown key {key}" for key in sorted(set(table) - _KEYS)]
    boot = table.get("boot", ["Accepted"])
    known = {"Accepted", "Pending", "Rejected"}
    if not isinstance(boot, list) or not boot or not all(each in known for each in boot):
        problems.append('ocpp: boot must be a list such as ["Pending", "Accepted"]')
    interval = table.get("interval", 0)
    if isinstance(interval, bool) or not isinstance(interval, int) or interval < 0:
        problems.append("ocpp: interval must be a number of seconds")
    configuration = table.get("configuration", {})
    if not isinstance(configuration, dict) or not all(
        isinstance(value, str) for value in configuration.values()
    ):
        problems.append('ocpp: configuration must be a table such as { ResetRetries = "1" }')
    id_tags = table.get("id_tags", {})
    statuses = CHOICES["id_tag", "status"]
    if not isinstance(id_tags, dict) or not all(each in statuses for each in id_tags.values()):
        problems.append("ocpp: id_tags: each is one of: " + ", ".join(statuses))
    return problems
