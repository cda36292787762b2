# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the power path that the mutation run found untested."""

from __future__ import annotations

from controller_rig import Rig


def test_an_excess_ends_with_the_gate(rig: Rig) -> None:
    """What was above the setpoint for a moment is no fault of a module that is off since."""
    rig.energise()
    rig.terminal(80, 60)
    rig.do("tick", 100)
    rig.word(transaction=0)
    rig.run(900, rig.request, rig.temperature)
    assert rig.state["faults"] == "-"


def test_over_current_stays_while_the_current_is_above_what_was_exceeded(rig: Rig) -> None:
    rig.energise()
    rig.terminal(72, 40)
    rig.run(500)
    assert rig.state["faults"] == "over_current"
    rig.run(3200, rig.temperature)
    assert rig.state["plugged"] == "0"
    rig.terminal(72, 34.001)
    assert "over_current" in rig.state["faults"]
    rig.terminal(72, 34)
    assert "over_current" not in rig.state["faults"]
