# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger: whatever a crash leaves, nothing written before is lost and every line parses."""

from __future__ import annotations

import json
import multiprocessing
import stat
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from evtool.link.append_file import add_to_file
from evtool.provision.ledger.line_file import other_boards, plan_addition, read_records, record_line

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def _added(content: bytes, line: bytes) -> bytes:
    addition = plan_addition(content, line)
    return content[: addition.keep] + addition.data


def _line(number: int) -> bytes:
    return record_line("written", NOW, {"number": number})


def test_a_record_is_one_line_with_its_time() -> None:
    line = record_line("written", NOW, {"name": "a\nb\u2028"})
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "time": "2030-01-01T00:00:00.000+00:00",
        "event": "written",
        "name": "a\nb\u2028",
    }


@given(st.integers(0, 400))
def test_cut_anywhere_the_next_addition_mends_it_and_loses_nothing(cut: int) -> None:
    content = b""
    for number in range(3):
        content = _added(content, _line(number))
    whole = content + _line(3)
    torn = whole[: min(cut, len(whole))]
    before = read_records(torn)
    after = _added(torn, _line(9))
    assert after.endswith(b"\n")
    lines = [json.loads(line) for line in after.splitlines()]
    kept = [line for line in lines if line["event"] != "torn_line"]
    assert kept == [*before, json.loads(_line(9))]
    # the torn piece itself stays as evidence
    pieces = [line["text"] for line in lines if line["event"] == "torn_line"]
    assert pieces == ([] if torn[-1:] in (b"", b"\n", b"}") else [torn.splitlines()[-1].decode()])


@given(st.binary(max_size=300))
def test_any_bytes_are_kept_or_put_aside(content: bytes) -> None:
    after = _added(content, _line(1))
    assert after.startswith(content[: content.rfind(b"\n") + 1])
    assert read_records(after)[-1]["number"] == 1


def test_a_file_is_made_private_and_added_to(tmp_path: Path) -> None:
    path = tmp_path / ".evtool" / "ledger.jsonl"
    for number in range(2):
        add_to_file(path, lambda content, n=number: plan_addition(content, _line(n)))  # type: ignore[misc]  # a default binds the loop's value
    assert [record["number"] for record in read_records(path.read_bytes())] == [0, 1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_torn_file_is_mended_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(_line(1) + b'{"event":"wri')
    add_to_file(path, lambda content: plan_addition(content, _line(2)))
    assert [record["event"] for record in read_records(path.read_bytes())] == [
        "written",
        "torn_line",
        "written",
    ]


def _add_many(path: Path, first: int) -> None:
    for number in range(first, first + 50):
        line = _line(number)
        add_to_file(path, lambda content, line=line: plan_addition(content, line))  # type: ignore[misc]  # as above


def test_processes_that_add_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    workers = [
        multiprocessing.get_context("spawn").Process(target=_add_many, args=(path, first))
        for first in (0, 1000)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        worker.close()
    numbers = sorted(int(str(record["number"])) for record in read_records(path.read_bytes()))
    assert numbers == [*range(50), *range(1000, 1050)]


def test_another_board_with_the_same_identity_is_found_until_it_gets_a_new_one() -> None:
    def written(mac: str, identity: str) -> bytes:
        return record_line("written", NOW, {"mac": mac, "charge_point": identity})

    content = written("m1", "CP-1") + written("m2", "CP-2")
    assert other_boards(content, "CP-1", "m3") == ["m1"]
    assert other_boards(content, "CP-1", "m1") == []
    assert other_boards(content + written("m1", "CP-3"), "CP-1", "m3") == []
