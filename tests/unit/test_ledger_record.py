# SPDX-License-Identifier: GPL-3.0-or-later
"""Records and their chain: whatever is changed, taken out, put in or cut off is seen."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.protocol.ledger_record import (
    NO_HASH,
    NO_HEAD,
    Break,
    Claim,
    ClaimTaken,
    Head,
    Record,
    canonical_json,
    chain_of,
    first_break,
    next_record,
    time_text,
)

NOON = "2030-01-01T12:00:00.000Z"
TEXTS = st.text(max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
FIELDS = st.dictionaries(TEXTS, VALUES, max_size=4)


def chain(*fields: dict[str, object], station: str = "s") -> list[Record]:
    records: list[Record] = []
    head = NO_HEAD
    for each in fields or ({"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}):
        record = next_record(station, head, NOON, "written", unit="CP-1", mac="m", fields=each)
        records.append(record)
        head = Head(record.seq, record.hash)
    return records


def head_of(records: list[Record]) -> Head:
    return Head(records[-1].seq, records[-1].hash)


def test_the_hash_is_what_the_documentation_says() -> None:
    record = next_record("s", NO_HEAD, NOON, "written", unit="CP-1", fields={"b": 1, "a": "ü"})
    text = (
        '{"event":"written","fields":{"a":"\\u00fc","b":1},"mac":null,"previous_hash":"'
        + "0" * 64
        + '","seq":1,"station":"s","time":"2030-01-01T12:00:00.000Z","unit":"CP-1"}'
    )
    assert record.hash == hashlib.sha256(text.encode()).hexdigest()
    assert record.previous_hash == NO_HASH
    assert record.as_dict() == json.loads(text) | {"hash": record.hash}


@given(st.lists(FIELDS, min_size=1, max_size=5))
def test_a_chain_survives_being_written_down(fields: list[dict[str, object]]) -> None:
    records = chain(*fields)
    read = [
        dataclasses.replace(record, fields=json.loads(canonical_json(dict(record.fields))))
        for record in records
    ]
    assert first_break("s", read, head_of(records)) is None
    assert list(chain_of(read)) == records


@given(st.data())
def test_every_change_of_a_record_is_seen_at_its_place(data: st.DataObject) -> None:
    records = chain()
    place = data.draw(st.integers(0, 3))
    changes: dict[str, object] = {
        "station": "t", "seq": 9, "time": "2031-01-01T12:00:00.000Z", "event": "proved",
        "unit": None, "mac": "other", "fields": {"n": 1.0}, "previous_hash": "1" * 64,
        "hash": "2" * 64,
    }  # fmt: skip
    name = data.draw(st.sampled_from(sorted(changes)))
    changed = list(records)
    changed[place] = dataclasses.replace(records[place], **{name: changes[name]})  # type: ignore[arg-type]  # by name
    found = first_break("s", changed, head_of(records))
    assert isinstance(found, Break)
    assert found.seq == place + 1


@given(st.permutations(range(4)).filter(lambda order: order != [0, 1, 2, 3]))
def test_another_order_is_seen(order: list[int]) -> None:
    records = chain()
    found = first_break("s", [records[n] for n in order], head_of(records))
    assert found is not None
    assert found.seq == next(n for n in range(4) if order[n] != n) + 1


@given(st.sets(st.integers(0, 3), min_size=1))
def test_a_missing_record_is_named(missing: set[int]) -> None:
    records = chain()
    left = [record for n, record in enumerate(records) if n not in missing]
    assert first_break("s", left, head_of(records)) == Break(
        "s",
        min(missing) + 1,
        first_break("s", left, head_of(records)).reason,  # type: ignore[union-attr]  # it is one
    )
    if left:
        # A chain that is cut at its end is whole in itself: only the head tells.
        cut = first_break("s", left, head_of(left))
        assert (cut is None) == (min(missing) >= len(left))


def test_a_record_that_replaces_the_last_is_seen_by_the_head() -> None:
    records = chain()
    other = chain({"n": 1}, {"n": 2}, {"n": 3}, {"n": 5})
    found = first_break("s", other, head_of(records))
    assert found == Break("s", 4, "not the head that the ledger holds")
    with pytest.raises(ValueError, match="s 3: record 2 is missing"):
        list(chain_of([records[0], records[2]]))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"x", object()])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        next_record("s", NO_HEAD, NOON, "written", fields={"x": value})


def test_times_are_utc_with_milliseconds() -> None:
    east = timezone(timedelta(hours=2))
    assert time_text(datetime(2030, 1, 1, 14, 0, 0, 1999, east)) == "2030-01-01T12:00:00.001Z"
    assert time_text(datetime(2030, 1, 1, tzinfo=UTC)) == "2030-01-01T00:00:00.000Z"
    with pytest.raises(ValueError, match="time zone"):
        time_text(datetime(2030, 1, 1))


def test_who_fits_a_claim() -> None:
    claim = Claim("identity", "CP-1", "CP-1", "m1", "s", 1, NOON)
    assert claim.fits("CP-1", "m1")
    assert claim.fits("CP-1", None)
    assert not claim.fits("CP-1", "m2")
    assert not claim.fits("CP-2", "m1")
    assert dataclasses.replace(claim, mac=None).fits("CP-1", "m2")


def test_a_lost_claim_names_the_holder_and_no_whole_fingerprint() -> None:
    secret = "f" * 64
    error = ClaimTaken(Claim("key", secret, "CP-1", "m1", "s", 1, NOON), "CP-2", "m2")
    assert secret not in str(error)
    assert "CP-1 on board m1 since 2030-01-01T12:00:00.000Z (station s)" in str(error)
    assert error.as_dict()["holder"] == {"unit": "CP-1", "mac": "m1", "station": "s"}
    assert error.exit_code == 2
