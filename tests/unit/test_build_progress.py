# SPDX-License-Identifier: GPL-3.0-or-later
"""The bar of a build: it never goes back, and it is full only at the end."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from evtool.build import progress
from evtool.build.progress import Position, Progress, bar

NAMES = st.lists(st.sampled_from([f"{n}.o" for n in range(12)]), max_size=20)


@given(known=NAMES, seen=NAMES)
def test_it_never_goes_back(known: list[str], seen: list[str]) -> None:
    follow = Progress(tuple(dict.fromkeys(known)))
    places = [follow.step(name) for name in seen]
    shares = [place.done / place.total if place.total else 0.0 for place in places]
    assert all(before <= after for before, after in pairwise(shares))
    assert all(place.total is None or place.done <= place.total for place in places)
    assert (not places) or (places[0].total is None) == (not known)


@given(known=NAMES, seen=NAMES)
def test_what_the_next_build_knows(known: list[str], seen: list[str]) -> None:
    before = tuple(dict.fromkeys(known))
    follow = Progress(before)
    for name in seen:
        follow.step(name)
    assert follow.steps(was_whole=True) == tuple(dict.fromkeys(seen))
    merged = follow.steps(was_whole=False)
    assert sorted(merged) == sorted({*before, *seen})
    assert [name for name in merged if name in before] == list(before)
    assert progress.decode(progress.encode(merged)) == merged


def test_one_changed_file_is_as_far_as_its_place_in_the_whole() -> None:
    follow = Progress(("a.o", "b.o", "c.o", "program"))
    assert follow.step("c.o") == Position(3, 4)
    assert follow.step("new.o") == Position(4, 5)
    assert follow.step("program") == Position(5, 5)
    assert follow.steps(was_whole=False) == ("a.o", "b.o", "c.o", "new.o", "program")


def test_the_first_build_counts_and_claims_nothing() -> None:
    follow = Progress()
    assert [follow.step(name) for name in ("a.o", "b.o")] == [Position(1, None), Position(2, None)]
    assert bar(Position(2, None), "compiling b.o", 80) == "     2 compiling b.o"


def test_the_bar() -> None:
    text = bar(Position(3, 6), "compiling gate.cpp", 79)
    assert text == "  [############            ]  50 % 3/6 compiling gate.cpp"
    assert " 99 % 6/6" in bar(Position(6, 6), "linking", 79), "100 % is what the result says"
    for width in (0, 10, 40, 60, 200):
        assert len(bar(Position(3, 6), "x" * 300, width)) <= width


def test_a_note_that_cannot_be_read_is_no_note() -> None:
    for data in (b"", b"{", b"{}", b"[1]", b"\xff"):
        assert progress.decode(data) == ()
