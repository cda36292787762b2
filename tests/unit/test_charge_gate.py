# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate over every combination of its facts, against the rule as one sentence."""

from __future__ import annotations

import itertools

import pytest

from evtool.reference_impl.charge_gate import GateFacts, judge
from evtool.reference_impl.controller_types import GateReason, OcppWord

FLAGS = (False, True)
WORDS = (
    None,
    *(
        OcppWord(connected, transaction, permitted, limit)
        for connected in FLAGS
        for transaction in FLAGS
        for permitted in FLAGS
        for limit in (None, -5, 0, 1, 32000)
    ),
)
TEMPERATURES = (None, -1, 60000, 70000, 70001)
WELL = GateFacts(
    plugged=True,
    switch_allowed=True,
    in_range=True,
    buses_running=True,
    fault=False,
    module_alive=True,
    temperature_mdegc=25000,
    word=OcppWord(True, True, True, None),
)


def may_flow(facts: GateFacts) -> bool:
    """energise = plugged and ev_ready and evse_ready and permitted and cool, in one piece."""
    ev_ready = facts.plugged and facts.in_range and facts.switch_allowed
    evse_ready = facts.module_alive and facts.buses_running and not facts.fault
    word = facts.word
    permitted = bool(word and word.transaction and word.permitted)
    limit = True if word is None or word.limit_ma is None else word.limit_ma > 0
    cool = facts.temperature_mdegc is not None and facts.temperature_mdegc <= 70000
    return ev_ready and evse_ready and permitted and limit and cool


def test_open_exactly_when_the_rule_says_so() -> None:
    for bits in itertools.product(FLAGS, repeat=6):
        for temperature, word in itertools.product(TEMPERATURES, WORDS):
            a, b, c, d, e, f = bits
            facts = GateFacts(a, b, c, d, e, f, temperature, word)
            assert (judge(facts) is GateReason.OPEN) == may_flow(facts), facts


def test_closed_by_default() -> None:
    assert judge(GateFacts()) is GateReason.NO_VEHICLE
    for name in GateFacts._fields:
        default = getattr(GateFacts(), name)
        assert judge(WELL._replace(**{name: default})) is not GateReason.OPEN


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, GateReason.OPEN),
        ({"plugged": False}, GateReason.NO_VEHICLE),
        ({"switch_allowed": False}, GateReason.VEHICLE_SWITCH_OFF),
        ({"in_range": False}, GateReason.REQUEST_OUT_OF_RANGE),
        ({"buses_running": False}, GateReason.BUS_DOWN),
        ({"fault": True}, GateReason.FAULT),
        ({"module_alive": False}, GateReason.MODULE_SILENT),
        ({"temperature_mdegc": None}, GateReason.TEMPERATURE_UNKNOWN),
        ({"temperature_mdegc": 70001}, GateReason.TOO_HOT),
        ({"word": None}, GateReason.PERMISSION_STALE),
        ({"word": OcppWord(True, False, True)}, GateReason.NOT_PERMITTED),
        ({"word": OcppWord(True, True, False)}, GateReason.NOT_PERMITTED),
        ({"word": OcppWord(True, True, True, 0)}, GateReason.LIMIT_ZERO),
    ],
)
def test_each_condition_has_its_reason(change: dict[str, object], reason: GateReason) -> None:
    assert judge(WELL._replace(**change)) is reason  # type: ignore[arg-type] # fields by name
