# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger of an older evtool: taken in once, whatever a crash left of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.cli.ledger_old import has_old_ledger, take_in_old_ledger
from evtool.link.ledger_database import SqlLedger, open_ledger
from evtool.protocol.ledger_record import NO_HEAD, Record, next_record
from evtool.provision.ledger.old_lines import (
    TAKEN_IN,
    holders,
    not_taken_in,
    old_records,
    taken_in_fields,
)
from evtool.provision.ledger.verify import verify


def line(event: str, unit: str, mac: str, **fields: object) -> bytes:
    record = {"time": "2029-01-01T00:00:00.000+00:00", "event": event, "charge_point": unit}
    return json.dumps(record | {"mac": mac} | fields).encode() + b"\n"


CONTENT = (
    line("written", "CP-1", "m1", image_sha256="00")
    + line("not_proved", "CP-1", "m1", reason="silent")
    + line("written", "CP-2", "m2")
    + line("written", "CP-1", "m3")
    + line("written", "CP-3", "m2")
)


def test_lines_become_records() -> None:
    first, failed, *_ = old_records(CONTENT)
    assert (first.event, first.unit, first.mac) == ("written", "CP-1", "m1")
    assert first.time == datetime(2029, 1, 1, tzinfo=UTC)
    assert (failed.event, failed.fields["step"], failed.fields["reason"]) == (
        "failed", "boot", "silent",
    )  # fmt: skip
    given_last = [(each.unit, each.mac) for each in holders(old_records(CONTENT))]
    assert given_last == [("CP-1", "m1"), ("CP-1", "m3"), ("CP-3", "m2")]


@given(st.binary(max_size=200), st.integers(0, 600))
def test_any_bytes_are_read_past(junk: bytes, cut: int) -> None:
    for content in (junk, CONTENT[:cut], CONTENT + junk, junk + b"\n" + CONTENT):
        for record in old_records(content):
            next_record(
                "s", NO_HEAD, "t", record.event, unit=record.unit, mac=record.mac,
                fields=record.fields,
            )  # fmt: skip
    assert len(old_records(junk.replace(b"{", b"") + b"\n" + CONTENT)) == 5


def test_what_was_added_since_is_all_that_is_taken() -> None:
    more = CONTENT + line("proved", "CP-3", "m2")
    mark = Record("s", 1, "t", TAKEN_IN, None, None, taken_in_fields(CONTENT, CONTENT), "", "")
    assert not_taken_in(more, []) == more
    assert not_taken_in(CONTENT, [mark]) == b""
    assert not_taken_in(more, [mark]) == line("proved", "CP-3", "m2")
    assert not_taken_in(CONTENT[:-9], [mark]) == CONTENT[:-9]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with such a ledger."""
    (tmp_path / ".evtool").mkdir()
    (tmp_path / ".evtool" / "ledger.jsonl").write_bytes(CONTENT)
    return tmp_path


def _check(ledger: SqlLedger, root: Path) -> None:
    assert not has_old_ledger(root)
    assert [each.event for each in ledger.history(mac="m1")] == ["written", "failed", "claimed"]
    holder = ledger.claim_holder("identity", "CP-1")
    assert holder is not None
    assert holder.mac == "m1"
    assert [(each.kind, each.mac) for each in ledger.contested()] == [("identity", "m3")]
    assert ledger.claim_holder("identity", "CP-2") is None
    assert verify(ledger).breaks == ()
    assert sum(each.event == "written" for each in ledger.chain("s")) == 4


def test_it_is_taken_in_once_and_kept_under_another_name(root: Path) -> None:
    ledger = open_ledger(root / ".evtool" / "ledger.db", "s")
    take_in_old_ledger(ledger, root)
    take_in_old_ledger(ledger, root)
    _check(ledger, root)
    assert (root / ".evtool" / "ledger.jsonl.taken-in").read_bytes() == CONTENT
    ledger.close()


def test_ended_between_the_records_and_the_new_name_it_is_not_taken_twice(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = open_ledger(root / ".evtool" / "ledger.db", "s")

    def ended(_path: Path, _target: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", ended)
        with pytest.raises(KeyboardInterrupt):
            take_in_old_ledger(ledger, root)
    assert has_old_ledger(root)
    take_in_old_ledger(ledger, root)
    _check(ledger, root)
    ledger.close()
