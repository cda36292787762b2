# SPDX-License-Identifier: GPL-3.0-or-later
"""What the chaos watches for is noticed when it is so."""

from __future__ import annotations

import pytest
from microocpp.truth import Charge, Truth

from evtool.virtual.power_module import PowerModule

CLOSED = {
    "plugged": "1", "in_range": "1", "ev_ready": "1", "module_alive": "1", "evse_ready": "1",
    "transaction": "0", "permitted": "0", "faults": "-", "bus0": "running", "gate": "not_permitted",
    "limit_ma": "-", "energised": "0", "stored_mwh": "5000",
}  # fmt: skip
OPEN = CLOSED | {"transaction": "1", "permitted": "1", "gate": "open", "energised": "1"}


def truth(grants: int = 1) -> Truth:
    return Truth(PowerModule(), lambda: grants)


def test_a_charge_is_kept_with_its_registers() -> None:
    seen = truth()
    seen.see(CLOSED, False, True, 0)
    seen.see(OPEN, True, True, 20)
    seen.see(OPEN | {"stored_mwh": "9000"}, False, True, 40)
    seen.see(CLOSED | {"stored_mwh": "9500"}, False, True, 60)
    assert seen.charges == [Charge(20, 5, (9, 9), 60)]


def test_one_that_a_cut_ends_may_end_in_between() -> None:
    seen = truth()
    seen.see(OPEN, True, True, 0)
    seen.cut(20)
    seen.booted(1000)
    seen.see(CLOSED | {"stored_mwh": "7000"}, False, True, 1020)
    seen.see(CLOSED | {"stored_mwh": "7000"}, False, True, 6000)
    assert seen.charges == [Charge(0, 5, (5, 7), 6000)]


def test_one_that_is_taken_up_again_is_one() -> None:
    seen = truth()
    seen.see(OPEN, True, True, 0)
    seen.cut(20)
    seen.booted(1000)
    seen.see(CLOSED, False, True, 1020)
    seen.see(OPEN, True, True, 4000)
    assert len(seen.charges) == 1
    assert seen.charges[0].stopped_ms is None


def test_a_start_that_nobody_allowed() -> None:
    with pytest.raises(AssertionError, match="nobody had allowed it"):
        truth(grants=0).see(OPEN, True, True, 0)


@pytest.mark.parametrize(
    "wrong",
    [{"permitted": "0"}, {"transaction": "0"}, {"plugged": "0"}, {"faults": "over_temperature"},
     {"bus0": "bus_off"}, {"limit_ma": "0"}, {"energised": "0"}],
)  # fmt: skip
def test_a_gate_that_ought_to_be_closed(wrong: dict[str, str]) -> None:
    with pytest.raises(AssertionError):
        truth().see(OPEN | wrong, False, True, 0)


def test_a_module_that_is_switched_on_behind_a_closed_gate() -> None:
    with pytest.raises(AssertionError, match="switched on"):
        truth().see(CLOSED, True, True, 0)


def test_a_module_that_stays_on() -> None:
    seen = truth()
    seen.see(CLOSED, False, True, 0)
    seen._module.on = True
    with pytest.raises(AssertionError, match="the module is on"):
        seen.see(CLOSED, False, True, 20)
