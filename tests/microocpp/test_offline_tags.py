# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cards begin a transaction while the central system cannot be asked (OCPP 1.6, 3.4)."""

from __future__ import annotations

from typing import Any

import pytest
from microocpp.plain_csms import PlainCsms
from microocpp.test_conformance import configure, finish
from microocpp.test_defects import charge
from microocpp.unit import Unit


def card_offline(unit: Unit, csms: PlainCsms, tag: str) -> None:
    csms.drop()
    unit.run(1)
    unit.bench.command("plug_in")
    unit.until(lambda: unit.state["plugged"] == "1", "the vehicle")
    unit.step(f"card {tag}")
    unit.run(4)


def refuse(unit: Unit, csms: PlainCsms, tag: str, info: dict[str, Any]) -> None:
    csms.replies["Authorize"] = {"idTagInfo": info}
    unit.step(f"card {tag}")
    unit.until(lambda: csms.sent("Authorize")[-1:] == [{"idTag": tag}], "the question")
    unit.run(1)
    del csms.replies["Authorize"]


def test_the_local_list_goes_before_the_cache(unit: Unit, csms: PlainCsms) -> None:
    charge(unit, csms)
    finish(unit, csms)
    entries = [{"idTag": "TAG", "idTagInfo": {"status": "Blocked"}}]
    listed = {"listVersion": 1, "updateType": "Full", "localAuthorizationList": entries}
    assert csms.ask("SendLocalList", listed) == {"status": "Accepted"}
    card_offline(unit, csms, "TAG")
    assert unit.state["transaction"] == "0"


@pytest.mark.parametrize(
    "info",
    [{"status": "Blocked"}, {"status": "Accepted", "expiryDate": "2024-05-01T12:00:10Z"}],
)
def test_a_tag_that_was_refused_is_not_unknown(
    unit: Unit, csms: PlainCsms, info: dict[str, Any]
) -> None:
    configure(csms, AllowOfflineTxForUnknownId="true", ConnectionTimeOut="1")
    refuse(unit, csms, "BAD", info)
    unit.run(15)
    card_offline(unit, csms, "BAD")
    assert unit.state["transaction"] == "0"
    unit.step("card STRANGER")
    unit.until(lambda: unit.state["energised"] == "1", "energy")


@pytest.mark.parametrize(("parent", "starts"), [("P", True), ("ELSE", False), (None, False)])
def test_a_reservation_of_a_parent_holds(
    unit: Unit, csms: PlainCsms, parent: str | None, starts: bool
) -> None:
    configure(csms, AuthorizeRemoteTxRequests="true")
    info = {"status": "Accepted"} | ({"parentIdTag": parent} if parent else {})
    csms.replies["StopTransaction"] = {"idTagInfo": info}
    charge(unit, csms)
    finish(unit, csms)
    order = {"connectorId": 1, "idTag": "MINE", "parentIdTag": "P", "reservationId": 7}
    order["expiryDate"] = "2024-05-01T14:00:00Z"
    assert csms.ask("ReserveNow", order) == {"status": "Accepted"}
    card_offline(unit, csms, "TAG")
    assert unit.state["transaction"] == ("1" if starts else "0")


def test_an_answer_that_comes_too_late_drops_no_cached_answer(unit: Unit, csms: PlainCsms) -> None:
    configure(csms, LocalPreAuthorize="true")
    charge(unit, csms)
    finish(unit, csms)
    csms.mute.add("Heartbeat")
    csms.ask("TriggerMessage", requestedMessage="Heartbeat")
    unit.until(lambda: csms.sent("Heartbeat"), "a call without an answer")
    late = csms.ids[-1]
    unit.run(41)
    unit.bench.command("plug_in")
    unit.until(lambda: unit.state["plugged"] == "1", "the vehicle")
    unit.until(lambda: csms.statuses()[-1] == "Preparing", "its status")
    unit.run(1)
    csms.say([3, late, {"currentTime": csms.now()}])
    unit.run(1)
    unit.step("card TAG")
    unit.until(lambda: len(csms.sent("StartTransaction")) == 2, "a start", 5)
