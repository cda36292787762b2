# SPDX-License-Identifier: GPL-3.0-or-later
"""What a single board claims: an identity, its MAC, and a key that no other unit has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fleet_rig import FleetRig, MemoryBoard, mac_of, make_rig

from evtool.cli.ledger_entry import LedgerEntry, key_claims
from evtool.cli.output import Output
from evtool.link.ledger_database import open_ledger
from evtool.project import Secret
from evtool.protocol.ledger_record import ClaimTaken
from evtool.provision.identity import Identity
from evtool.provision.secrets.fingerprint import key_fingerprint

KEY = "K3y-of-the-first-one"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[FleetRig]:
    ledger = open_ledger(tmp_path / "ledger.db", "line-1")
    yield make_rig(tmp_path / "project", ledger, 1)
    ledger.close()


def entry(rig: FleetRig, unit: str, key: str, *, reassign: bool = False) -> LedgerEntry:
    project = rig.project
    project = replace(project, charge_point=replace(project.charge_point, identity=unit))
    identity = Identity(
        project.charge_point, "bench", Secret("passphrase"), "ws://csms", "ws://csms/x",
        Secret(key), 1, None, (),
    )  # fmt: skip
    claims = key_claims(identity)
    return LedgerEntry(Output(True), project, rig.ledger, claims, reassign=reassign)


def test_a_key_that_another_unit_has_is_refused_and_nothing_claimed(rig: FleetRig) -> None:
    entry(rig, "CP-A", KEY).claim(mac_of(1))
    assert [each.kind for each in rig.ledger.claims_of("CP-A")] == [
        "identity", "key", "mac", "serial",
    ]  # fmt: skip
    with pytest.raises(ClaimTaken, match=r"key \w{12}\.\.\. belongs to CP-A") as taken:
        # The same key in its other form.
        entry(rig, "CP-B", KEY.encode().hex()).claim(mac_of(2))
    assert "`shared`" in str(taken.value)
    assert KEY not in str(taken.value)
    assert rig.ledger.claims_of("CP-B") == []
    entry(rig, "CP-B", "K3y-of-the-second-on").claim(mac_of(2))
    entry(rig, "CP-A", KEY).claim(mac_of(1))  # its own: nothing is in its way


def test_a_key_is_never_taken_over_with_an_identity(
    rig: FleetRig, capsys: pytest.CaptureFixture[str]
) -> None:
    entry(rig, "CP-A", KEY).claim(mac_of(1))
    entry(rig, "CP-B", "K3y-of-the-second-on").claim(mac_of(2))
    # CP-B's board shall be CP-C now, with the key of CP-A.
    capsys.readouterr()
    with pytest.raises(ClaimTaken, match="belongs to CP-A"):
        entry(rig, "CP-C", KEY, reassign=True).claim(mac_of(2))
    assert capsys.readouterr().out == ""
    assert "overridden" not in [each.event for each in rig.ledger.history(unit="CP-C")]
    holder = rig.ledger.claim_holder("mac", mac_of(2))
    assert holder is not None
    assert holder.unit == "CP-B"
    # A board that changes its identity takes its key along.
    entry(rig, "CP-C", "K3y-of-the-second-on", reassign=True).claim(mac_of(2))
    assert '"reassigned"' in capsys.readouterr().out
    assert "key" in [each.kind for each in rig.ledger.claims_of("CP-C")]


def test_the_key_of_a_fleets_unit_is_no_single_boards(rig: FleetRig) -> None:
    [done] = rig.run(MemoryBoard(1))
    assert done.error is None
    made = rig.secrets.generation("CP-001", "authorization_key", 1)
    assert made is not None
    holder = rig.ledger.claim_holder("key", key_fingerprint(made.reveal()))
    assert holder is not None
    with pytest.raises(ClaimTaken, match="belongs to CP-001"):
        entry(rig, "CP-B", made.reveal()).claim(mac_of(2))


def test_an_identity_in_other_letters_is_refused_until_it_is_reassigned(rig: FleetRig) -> None:
    entry(rig, "CP-A", KEY).claim(mac_of(1))
    with pytest.raises(ClaimTaken, match="cannot have the identity cp-a") as taken:
        entry(rig, "cp-a", "K3y-of-the-second-on").claim(mac_of(2))
    assert "--reassign" in str(taken.value)
    assert rig.ledger.claims_of("cp-a") == []
    entry(rig, "cp-a", "K3y-of-the-second-on", reassign=True).claim(mac_of(2))
    assert rig.ledger.claims_of("CP-A") == []
