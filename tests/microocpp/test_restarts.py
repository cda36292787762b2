# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restart leaves open is decided against the flow of energy (docs/firmware.md)."""

from __future__ import annotations

from microocpp.plain_csms import PlainCsms
from microocpp.test_conformance import configure, finish
from microocpp.test_defects import charge, profile
from microocpp.test_offline_tags import refuse
from microocpp.unit import Unit


def restart(unit: Unit, csms: PlainCsms, *, online: bool = True) -> None:
    csms.online = online
    unit.kill()
    unit.boot()


def plug_in(unit: Unit) -> None:
    unit.bench.command("plug_in")
    unit.until(lambda: unit.state["plugged"] == "1", "the vehicle")


def test_who_had_identified_is_forgotten(unit: Unit, csms: PlainCsms) -> None:
    unit.step("card TAG")
    unit.until(lambda: "Preparing" in csms.statuses(), "the card's turn")
    restart(unit, csms)
    plug_in(unit)
    unit.run(10)
    assert csms.sent("StartTransaction") == []
    unit.step("card OTHER")
    unit.until(lambda: csms.sent("StartTransaction"), "the next one's turn")


def test_a_question_without_an_answer_blocks_nobody_after_it(unit: Unit, csms: PlainCsms) -> None:
    csms.mute.add("Authorize")
    plug_in(unit)
    unit.step("card TAG")
    unit.until(lambda: csms.sent("Authorize"), "the question")
    csms.mute.clear()
    restart(unit, csms)
    unit.until(lambda: unit.state.get("plugged") == "1", "the vehicle")
    unit.step("card OTHER")
    unit.until(lambda: csms.sent("StartTransaction"), "the next one's turn")
    assert csms.sent("StartTransaction")[0]["idTag"] == "OTHER"


def test_under_a_profile_nothing_flows_before_the_time_is_known(
    unit: Unit, csms: PlainCsms
) -> None:
    assert csms.ask("SetChargingProfile", profile()) == {"status": "Accepted"}
    charge(unit, csms)
    restart(unit, csms, online=False)
    unit.until(lambda: unit.state.get("transaction") == "1", "the transaction that goes on")
    unit.run(20)
    assert (unit.state["limit_ma"], unit.state["energised"]) == ("0", "0")
    csms.online = True
    unit.until(lambda: unit.state["energised"] == "1", "energy")
    assert unit.state["limit_ma"] == "10000"


def test_before_the_time_is_known_no_schedule_is_told(unit: Unit, csms: PlainCsms) -> None:
    assert csms.ask("SetChargingProfile", profile()) == {"status": "Accepted"}
    charge(unit, csms)
    csms.mute.add("BootNotification")
    restart(unit, csms)
    unit.until(lambda: unit.state.get("transaction") == "1", "the transaction that goes on")
    order = {"connectorId": 1, "duration": 60}
    assert csms.ask("GetCompositeSchedule", order) == {"status": "Rejected"}
    assert unit.state["limit_ma"] == "0", "not what the hardware can do"
    csms.mute.clear()
    unit.until(lambda: unit.state["energised"] == "1", "energy", 90)
    assert csms.ask("GetCompositeSchedule", order)["status"] == "Accepted"


def test_without_a_profile_it_goes_on_offline(unit: Unit, csms: PlainCsms) -> None:
    charge(unit, csms)
    restart(unit, csms, online=False)
    unit.until(lambda: unit.state.get("energised") == "1", "energy")


def test_connection_timeout_needs_no_time_of_day(unit: Unit, csms: PlainCsms) -> None:
    configure(csms, AllowOfflineTxForUnknownId="true", ConnectionTimeOut="20")
    restart(unit, csms, online=False)
    unit.run(5)
    unit.step("card TAG")
    unit.run(25)
    csms.online = True
    unit.until(lambda: len(csms.sent("BootNotification")) == 2, "registration")
    plug_in(unit)
    unit.run(10)
    assert csms.sent("StartTransaction") == []


def test_a_tag_that_was_refused_is_not_unknown_where_nobody_answers(
    unit: Unit, csms: PlainCsms
) -> None:
    configure(csms, AllowOfflineTxForUnknownId="true", ConnectionTimeOut="1")
    refuse(unit, csms, "BAD", {"status": "Blocked"})
    unit.run(5)
    csms.mute.add("Authorize")
    plug_in(unit)
    unit.step("card BAD")
    unit.run(30)
    assert csms.sent("StartTransaction") == []
    unit.step("card STRANGER")
    unit.until(lambda: unit.state["energised"] == "1", "energy")


def test_nor_where_it_is_started_remotely_and_asked_about(unit: Unit, csms: PlainCsms) -> None:
    configure(csms, AllowOfflineTxForUnknownId="true", AuthorizeRemoteTxRequests="true")
    refuse(unit, csms, "BAD", {"status": "Blocked"})
    unit.run(5)
    csms.mute.add("Authorize")
    plug_in(unit)
    order = {"idTag": "BAD", "connectorId": 1}
    assert csms.ask("RemoteStartTransaction", order) == {"status": "Accepted"}
    unit.run(30)
    assert csms.sent("StartTransaction") == []
    csms.mute.clear()
    configure(csms, AuthorizeRemoteTxRequests="false")
    assert csms.ask("RemoteStartTransaction", order) == {"status": "Accepted"}
    unit.until(lambda: csms.sent("StartTransaction"), "what the central system has decided")


def test_a_cached_tag_needs_no_turn_of_the_wire(unit: Unit, csms: PlainCsms) -> None:
    configure(csms, LocalPreAuthorize="true")
    charge(unit, csms)
    finish(unit, csms)
    csms.mute.add("Heartbeat")
    csms.ask("TriggerMessage", requestedMessage="Heartbeat")
    unit.until(lambda: csms.sent("Heartbeat"), "a call without an answer")
    plug_in(unit)
    unit.step("card TAG")
    unit.until(lambda: unit.state["energised"] == "1", "energy", 5)


def test_what_waits_from_before_is_told_first(unit: Unit, csms: PlainCsms) -> None:
    configure(csms, MeterValueSampleInterval="10", TransactionMessageRetryInterval="30")
    charge(unit, csms)
    unit.run(25)
    finish(unit, csms)
    csms.refuse.add("StartTransaction")
    charge(unit, csms)
    unit.run(3)
    told = len(csms.sent("MeterValues"))
    restart(unit, csms)
    unit.until(lambda: unit.state.get("energised") == "1", "energy")
    unit.run(15)
    assert len(csms.sent("MeterValues")) == told
    csms.refuse.clear()
    unit.until(lambda: len(csms.sent("MeterValues")) > told, "samples")
    assert all("transactionId" in each for each in csms.sent("MeterValues"))
