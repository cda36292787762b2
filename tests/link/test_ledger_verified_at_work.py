# SPDX-License-Identifier: GPL-3.0-or-later
"""A ledger that is verified while other stations go on with it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from evtool.link.ledger_database import SqlLedger
from evtool.link.ledger_schema import claims
from evtool.protocol.ledger_record import Claim
from evtool.provision.ledger.verify import verify

OpenAt = Callable[..., SqlLedger]


def test_what_others_do_meanwhile_is_no_fault_and_hides_none(
    open_at: OpenAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = open_at("office"), open_at("line-1")
    with theirs.change() as change:
        for number in range(3):
            change.claim(f"OLD-{number}", [("identity", f"OLD-{number}")])
    read, numbers = ours.claims, itertools.count()

    def read_later() -> Iterator[Claim]:
        number = next(numbers)
        with theirs.change() as change:
            change.release(f"OLD-{number}", [("identity", f"old-{number}")])
        # A station that nobody knew of when the chains were read.
        with open_at(f"new-{number}").change() as change:
            change.claim(f"CP-{number}", [("identity", f"CP-{number}")])
        return read()

    monkeypatch.setattr(ours, "claims", read_later)
    assert verify(ours).breaks == ()
    with ours._engine.begin() as connection:
        connection.execute(claims.delete().where(claims.c.value == "OLD-2"))
    [found] = verify(ours).breaks
    assert "OLD-2 claimed the identity OLD-2 and never released it" in found.reason
