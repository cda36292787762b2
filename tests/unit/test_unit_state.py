# SPDX-License-Identifier: GPL-3.0-or-later
"""What the records of a unit say about it now."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.protocol.ledger_record import Record
from evtool.provision.ledger.claim_book import ClaimBook, by_time
from evtool.provision.ledger.unit_state import fold

BOUND: dict[str, object] = {"left": [["identity", "CP-1"], ["mac", "m1"]]}


def record(
    event: str, mac: str | None = "m1", seq: int = 1, fields: dict[str, object] | None = None
) -> Record:
    return Record(
        "s", seq, f"2030-01-01T00:00:{seq:02}.000Z", event, "CP-1", mac, fields or {}, "", ""
    )


def course(*events: str) -> list[Record]:
    return [record(event, seq=number) for number, event in enumerate(events, 1)]


@pytest.mark.parametrize(
    ("events", "status"),
    [
        (["serial_taken"], "new"),
        (["claimed"], "claimed"),
        (["claimed", "planned", "written"], "written"),
        (["claimed", "written", "read_back", "proved", "label", "exported"], "proved"),
        (["written", "proved", "failed"], "failed"),
        (["written", "proved", "failed", "unchanged"], "proved"),
        (["written", "failed", "unchanged"], "written"),
        (["written", "proved", "rotated"], "rotated"),
        (["written", "proved", "decommissioned"], "decommissioned"),
    ],
)
def test_the_last_step_is_the_status(events: Sequence[str], status: str) -> None:
    found = fold(course(*events))
    assert found is not None
    assert found.status == status
    assert found.last.event == events[-1]
    assert (found.failed is not None) == (status == "failed")


def test_a_proof_counts_for_what_was_written_before_it() -> None:
    found = fold(course("written", "proved", "written"))
    assert found is not None
    assert found.proved is None
    assert found.written is not None
    assert found.written.seq == 3


def test_the_board_is_known_until_the_unit_gives_it_up() -> None:
    kept = fold([record("written"), record("released", fields=BOUND), record("label", None)])
    assert kept is not None
    assert (kept.mac, kept.status) == ("m1", "written")
    left = fold([record("written"), record("released", fields={"left": [["serial", "S1"]]})])
    assert left is not None
    assert (left.mac, left.status) == (None, "released")
    out = fold([record("written"), record("decommissioned")])
    assert out is not None
    assert out.mac is None
    assert fold([]) is None


EVENTS = st.sampled_from(
    ["claimed", "planned", "written", "read_back", "proved", "failed", "unchanged", "label",
     "rotated", "rolled_back", "decommissioned", "exported"]
)  # fmt: skip
STEPS = st.lists(
    st.tuples(EVENTS, st.sampled_from(["m1", "m2", None])) | st.just(("released", "m1")),
    min_size=1,
    max_size=30,
)


@given(STEPS, st.booleans())
def test_the_latest_of_each_event_and_board_are_enough(
    steps: list[tuple[str, str | None]], bound: bool
) -> None:
    everything = [
        record(event, mac, seq, (BOUND if bound else {}) if event == "released" else None)
        for seq, (event, mac) in enumerate(steps, 1)
    ]
    latest = {(each.event, each.mac): each for each in everything}
    assert fold(sorted(latest.values(), key=lambda each: each.seq)) == fold(everything)


def test_claims_follow_from_the_records_in_their_order() -> None:
    def claims(event: str, unit: str, mac: str | None, seq: int, *values: str) -> Record:
        fields = {"claims": [["identity", value] for value in values]}
        return Record("s", seq, f"{seq:04}", event, unit, mac, fields, "", "")

    book = ClaimBook()
    for each in by_time(
        [
            [claims("claimed", "A", None, 1, "x", "y"), claims("claimed", "A", "m1", 4, "x")],
            [claims("claimed", "B", "m2", 2, "x"), claims("released", "A", "m1", 5, "x", "z")],
        ]
    ):
        book.add(each)
    found = {key[1]: [(each.unit, each.mac) for each in rows] for key, rows in book.claims.items()}
    assert found == {"y": [("A", None)], "x": [("B", "m2")]}
    book.add(Record("s", 9, "9", "claimed", "C", None, {"claims": ["odd", [1, 2], None]}, "", ""))
    assert len(book.claims) == 2
