# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: the one predicate that decides whether the power module may be on.

Pure: one snapshot of facts in, one answer out. Nothing else in the controller can open it, and
facts that are missing close it: every default below is the closed one.
"""

from __future__ import annotations

from typing import NamedTuple

from evtool.reference_impl.controller_types import GateReason, OcppWord

MAX_TEMPERATURE_MDEGC = 70000


class GateFacts(NamedTuple):
    """What the gate looks at; `temperature_mdegc` and `word` are None when unknown or stale."""

    plugged: bool = False
    switch_allowed: bool = False
    in_range: bool = False
    buses_running: bool = False
    fault: bool = True
    module_alive: bool = False
    temperature_mdegc: int | None = None
    word: OcppWord | None = None


def judge(facts: GateFacts) -> GateReason:  # noqa: PLR0911 - one return for each condition
    """OPEN if energy may flow, else the first condition that forbids it."""
    if not facts.plugged:
        return GateReason.NO_VEHICLE
    if not facts.switch_allowed:
        return GateReason.VEHICLE_SWITCH_OFF
    if not facts.in_range:
        return GateReason.REQUEST_OUT_OF_RANGE
    if not facts.buses_running:
        return GateReason.BUS_DOWN
    if facts.fault:
        return GateReason.FAULT
    if not facts.module_alive:
        return GateReason.MODULE_SILENT
    if facts.temperature_mdegc is None:
        return GateReason.TEMPERATURE_UNKNOWN
    if facts.temperature_mdegc > MAX_TEMPERATURE_MDEGC:
        return GateReason.TOO_HOT
    return judge_permission(facts.word)


def judge_permission(word: OcppWord | None) -> GateReason:
    """OPEN if OCPP permits energy, else why not; `word` is None when stale."""
    if word is None:
        return GateReason.PERMISSION_STALE
    if not (word.transaction and word.permitted):
        return GateReason.NOT_PERMITTED
    if word.limit_ma is not None and word.limit_ma <= 0:
        return GateReason.LIMIT_ZERO
    return GateReason.OPEN
