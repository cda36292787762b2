# SPDX-License-Identifier: GPL-3.0-or-later
"""A ledger that is only looked at: nothing is written, also where nothing can be."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from evtool.errors import DeviceError
from evtool.link.ledger_database import SqlLedger, look_at_ledger, open_ledger
from evtool.provision.ledger.verify import verify

OpenAt = Callable[..., SqlLedger]
CLAIMS = [("identity", "CP-1"), ("mac", "m1"), ("serial", "S1")]


def _cannot_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a medium that is read only; it is also no such for root, whom nothing else stops."""
    monkeypatch.setattr("evtool.link.ledger_location.os.access", lambda _path, _mode: False)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_ledger_on_a_medium_that_cannot_be_written_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a ledger?.db"
    with closing(open_ledger(path, "line-1")) as ledger, ledger.change() as change:
        change.claim("CP-1", CLAIMS, mac="m1")
    before = _files(tmp_path)
    _cannot_write(monkeypatch)
    looked = look_at_ledger(path)
    assert looked is not None
    assert verify(looked).breaks == ()
    assert looked.claim_holder("serial", "s1") is not None
    with pytest.raises(DeviceError, match="readonly database"), looked.change():
        pass
    looked.close()
    assert _files(tmp_path) == before


def test_what_is_only_in_the_log_of_such_a_ledger_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    working, medium = tmp_path / "ledger.db", tmp_path / "medium"
    medium.mkdir()
    with closing(open_ledger(working, "line-1")) as ledger:
        with ledger.change() as change:
            change.claim("CP-1", CLAIMS, mac="m1")
        for name in ("ledger.db", "ledger.db-wal"):  # as a power cut, and a backup, leave them
            shutil.copy(tmp_path / name, medium)
    _cannot_write(monkeypatch)
    with pytest.raises(DeviceError, match=r"ledger\.db-wal") as caught:
        look_at_ledger(medium / "ledger.db")
    assert "copy ledger.db and ledger.db-wal" in str(caught.value)


def test_a_ledger_that_changes_under_such_a_look_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    open_ledger(path, "line-1").close()
    with monkeypatch.context() as patch:
        _cannot_write(patch)
        looked = look_at_ledger(path)
    assert looked is not None
    with closing(open_ledger(path, "line-1")) as ledger, ledger.change() as change:
        change.append("written", unit="CP-1")
    with pytest.raises(DeviceError, match="changed while it was read"):
        looked.close()


def test_a_look_changes_nothing_and_finds_nothing_where_nothing_is(
    open_at: OpenAt, ledger_place: str, tmp_path: Path
) -> None:
    assert look_at_ledger(ledger_place) is None
    assert look_at_ledger(tmp_path / "gone.db") is None
    assert not (tmp_path / "gone.db").exists()
    open_at()
    ledger = look_at_ledger(ledger_place)
    assert ledger is not None
    with pytest.raises(DeviceError, match=r"read-?only"), ledger.change():
        pass
    ledger.close()


@pytest.mark.skipif(sys.platform == "darwin", reason="its names are all UTF-8")
def test_a_folder_may_have_a_name_that_is_no_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"no text \xff")
    folder.mkdir()
    with closing(open_ledger(folder / "ledger.db")) as ledger, ledger.change() as change:
        change.claim("CP-1", CLAIMS, mac="m1")
    looked = look_at_ledger(folder / "ledger.db")
    assert looked is not None
    assert looked.claim_holder("serial", "S1") is not None
    looked.close()
