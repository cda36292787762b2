# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests share is made once, whoever asks first, and by the next one where that failed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from once import Once


def test_many_ask_and_one_makes_it(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "program").write_text("whole")

    def ask(_: int) -> str:
        # Each with a lock of its own, as pytest's processes have.
        return (Once(tmp_path)("tool", make) / "program").read_text()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(40))) == {"whole"}
    assert made == [tmp_path / "tool"]
    Once(tmp_path)("other", make)
    assert len(made) == 2


def test_what_failed_is_made_by_the_next(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "program").write_text("half")
        raise RuntimeError("the compiler crashed")

    with pytest.raises(RuntimeError, match="crashed"):
        Once(tmp_path)("tool", fail)
    found = Once(tmp_path)("tool", lambda folder: (folder / "program").write_text("whole"))
    assert (found / "program").read_text() == "whole"
