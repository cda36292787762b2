# SPDX-License-Identifier: GPL-3.0-or-later
"""Each OCPP error code, from its cause at the bench to the central system (docs/simulators.md)."""

from __future__ import annotations

import pytest
from microocpp.plain_csms import PlainCsms
from microocpp.unit import Unit

from evtool.protocol.ocpp16 import ERROR_CODES
from evtool.virtual.bench_faults import clear, provoke

LATCHED = ("OverVoltage", "OverCurrentFailure")


def charge(unit: Unit, csms: PlainCsms) -> None:
    unit.bench.command("plug_in")
    unit.until(lambda: unit.state["plugged"] == "1", "the vehicle")
    unit.step("card TAG")
    unit.until(lambda: unit.state["energised"] == "1", "energy")
    unit.until(lambda: csms.statuses(1)[-1] == "Charging", "its status")


def told(csms: PlainCsms) -> tuple[str, str]:
    last = [each for each in csms.sent("StatusNotification") if each["connectorId"] == 1][-1]
    return last["status"], last["errorCode"]


@pytest.mark.parametrize("code", ["HighTemperature", *LATCHED, "GroundFailure", "WeakSignal"])
def test_a_fault_while_charging(unit: Unit, csms: PlainCsms, code: str) -> None:
    charge(unit, csms)
    line = provoke(unit.bench, code)
    unit.step(*([line] if line else []))
    unit.until(lambda: told(csms) == ("Faulted", code), "the fault")
    unit.run(1)
    assert unit.state["energised"] == "0"
    assert not unit.bench.module.on
    unit.step(*clear(unit.bench))
    if code in LATCHED:
        unit.run(30)
        assert told(csms) == ("Faulted", code)
        unit.bench.command("plug_out")
        unit.until(lambda: told(csms) == ("Available", "NoError"), "its end")
    else:
        unit.until(lambda: told(csms) == ("Charging", "NoError"), "its end")
        unit.until(lambda: unit.state["energised"] == "1", "energy again")


def test_a_module_that_leaks_when_it_is_off(unit: Unit, csms: PlainCsms) -> None:
    provoke(unit.bench, "PowerSwitchFailure")
    unit.until(lambda: told(csms) == ("Faulted", "PowerSwitchFailure"), "the fault")
    unit.step(*clear(unit.bench))
    unit.until(lambda: told(csms) == ("Available", "NoError"), "its end: nothing is plugged")


def test_a_bus_that_is_off(unit: Unit, csms: PlainCsms) -> None:
    assert provoke(unit.bench, "InternalError") == "bus 0 bus_off"
    unit.bus_off()
    unit.until(lambda: told(csms) == ("Available", "InternalError"), "the error")
    unit.bus_back()
    unit.until(lambda: told(csms) == ("Available", "NoError"), "its end")


def test_a_vehicle_that_falls_silent(unit: Unit, csms: PlainCsms) -> None:
    csms.ask("ChangeConfiguration", key="StopTransactionOnEVSideDisconnect", value="false")
    charge(unit, csms)
    provoke(unit.bench, "EVCommunicationError")
    unit.until(lambda: told(csms) == ("SuspendedEV", "EVCommunicationError"), "the error")
    unit.step(*clear(unit.bench))
    unit.until(lambda: told(csms) == ("Charging", "NoError"), "its end")


def test_every_code_can_be_reported(unit: Unit, csms: PlainCsms) -> None:
    for code in sorted(ERROR_CODES - {"NoError"}):
        unit.step(f"error {code}")
        unit.until(lambda code=code: told(csms) == ("Faulted", code), code)  # type: ignore[misc]
        unit.step("error -")
        unit.until(lambda: told(csms) == ("Available", "NoError"), "its end")
