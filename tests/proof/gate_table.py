# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate's answer to every combination of its facts; the twin of gate_table.cpp."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from evtool.reference_impl import charge_gate, permission
from evtool.reference_impl.controller_types import GateReason, OcppWord

BITS = (False, True)
LIMITS = (None, -5, 0, 1, 32000, 2**31 - 1)
TEMPERATURES = (None, -1, 60000, 70000, 70001, 2**31 - 1)
AGES_MS = (0, 1, 4998, 4999, 5000, 5001, 1000000)
WORDS = tuple(OcppWord(*word) for word in itertools.product(BITS, BITS, BITS, LIMITS))


def table_lines() -> Iterator[str]:
    """Every line that gate_table.cpp prints."""
    for a, b, c, d, e, f in itertools.product(BITS, repeat=6):
        for temperature, word in itertools.product(TEMPERATURES, (None, *WORDS)):
            facts = charge_gate.GateFacts(a, b, c, d, e, f, temperature, word)
            yield charge_gate.judge(facts).value
    absent = charge_gate.GateFacts()
    yield charge_gate.judge(absent).value
    word = OcppWord(True, True, True)
    well = charge_gate.GateFacts(True, True, True, True, False, True, 25000, word)
    for name in well._fields:
        yield charge_gate.judge(well._replace(**{name: getattr(absent, name)})).value
    yield _permission_line(permission.Permission(), 0)
    for word in WORDS:
        told = permission.Permission()
        told.set(word, 1000)
        for age_ms in AGES_MS:
            yield _permission_line(told, 1000 + age_ms)


def _permission_line(told: permission.Permission, now_ms: int) -> str:
    word = told.current(now_ms)
    connected = word is not None and word.connected
    granted = charge_gate.judge_permission(word) is GateReason.OPEN
    bits = (connected, granted, told.in_transaction())
    limit = None if word is None else word.limit_ma
    return "".join(str(int(bit)) for bit in bits) + f" {-2 if limit is None else limit}"
