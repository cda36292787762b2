# SPDX-License-Identifier: GPL-3.0-or-later
"""A change to a partition in use: cut the power after every write, find the old or the new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.protocol.nvs import NvsContent, NvsEntry, NvsKind, parse_image, render_image
from evtool.protocol.nvs_page import PAGE_SIZE
from evtool.protocol.nvs_store import (
    FlashErase,
    FlashOperation,
    FlashWrite,
    NvsStore,
    apply_operation,
)
from evtool.protocol.partition_table import parse as parse_partitions
from evtool.reference_impl.controller import REPORT_SPACING_MS
from evtool.reference_impl.controller_types import Report
from evtool.resources import firmware_dir

BLANK = b"\xff" * 0x5000
Change = tuple[str, NvsKind, NvsContent]


def _contents(image: bytes) -> dict[str, NvsContent]:
    return {f"{e.namespace}.{e.key}": e.value for e in parse_image(image).entries}


def _cuts(image: bytes, operations: list[FlashOperation]) -> Iterator[bytes]:
    """The partition after each number of operations, and in the middle of each write."""
    state = bytearray(image)
    yield bytes(state)
    for operation in operations:
        if isinstance(operation, FlashWrite):
            half = bytearray(state)
            middle = len(operation.data) // 2
            apply_operation(half, FlashWrite(operation.offset, operation.data[:middle]))
            yield bytes(half)
        apply_operation(state, operation)
        yield bytes(state)


def _is_nor(image: bytes, operations: list[FlashOperation]) -> bool:
    """Whether no operation tries to set a bit without erasing."""
    state = bytearray(image)
    for operation in operations:
        apply_operation(state, operation)
        if isinstance(operation, FlashWrite):
            end = operation.offset + len(operation.data)
            if state[operation.offset : end] != operation.data:
                return False
    return True


def test_a_value_is_there_after_the_operations() -> None:
    store = NvsStore(BLANK)
    image = bytearray(BLANK)
    for operation in store.set("evstate", "energy_mwh", "u64", 7):
        apply_operation(image, operation)
    assert bytes(image) == store.image
    assert parse_image(store.image).problems == ()
    assert store.get("evstate", "energy_mwh") == 7
    assert NvsStore(store.image).get("evstate", "energy_mwh") == 7


def test_the_same_value_again_costs_no_write() -> None:
    store = NvsStore(BLANK)
    assert store.set("evstate", "energy_mwh", "u64", 7)
    assert store.set("evstate", "energy_mwh", "u64", 7) == []


def test_a_counter_stored_again_and_again_survives_a_cut_at_any_point() -> None:
    """Three pages of 126 entries: 420 stores pass through two collections."""
    image = render_image([NvsEntry("evstate", "name", "str", "x" * 200)], 0x3000)
    store = NvsStore(image)
    erased = set()
    for value in range(420):
        before = store.image
        operations = store.set("evstate", "energy_mwh", "u64", value)
        assert _is_nor(before, operations)
        erased |= {op.offset for op in operations if isinstance(op, FlashErase)}
        for cut in _cuts(before, operations):
            expected = {value} if value == 0 else {value, value - 1}
            found = _contents(cut).get("evstate.energy_mwh")
            assert found in expected or (value == 0 and found is None)
            assert _contents(cut)["evstate.name"] == "x" * 200
    assert len(erased) >= 2, "it went through more than one collection"


def test_after_a_cut_the_next_store_mends_and_goes_on() -> None:
    """From every cut of every kind of step, 130 more stores work and lose nothing."""
    store = NvsStore(render_image([NvsEntry("evstate", "name", "str", "x" * 200)], 0x3000))
    seen_steps = set()
    for value in range(400):
        before = store.image
        operations = store.set("evstate", "energy_mwh", "u64", value)
        step = tuple(type(op).__name__ + str(op.offset % PAGE_SIZE < 4) for op in operations)
        if step in seen_steps:
            continue
        seen_steps.add(step)
        for cut in _cuts(before, operations):
            again = NvsStore(cut)
            for later in range(1000, 1130):
                again.set("evstate", "energy_mwh", "u64", later)
            assert again.get("evstate", "energy_mwh") == later
            assert again.get("evstate", "name") == "x" * 200
    assert len(seen_steps) >= 3


_CHANGES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("abc"), st.just("u64"), st.integers(0, 2**64 - 1)),
        st.tuples(st.sampled_from("abc"), st.just("str"), st.text("xyz", max_size=1500)),
        st.tuples(st.sampled_from("abc"), st.just("u8"), st.integers(0, 255)),
        st.tuples(st.sampled_from("abc"), st.just("blob"), st.binary(max_size=200)),
        st.tuples(st.sampled_from("abc"), st.just("blob"), st.integers(0, 2500).map(bytes)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(_CHANGES, st.data())
def test_any_changes_with_any_cuts_leave_old_or_new(
    changes: list[Change], data: st.DataObject
) -> None:
    blob = NvsEntry("n", "b", "blob", bytes(range(256)) * 3)
    image = render_image([blob], 0x4000)
    for key, kind, value in changes:
        store = NvsStore(image)
        old = _contents(image)
        operations = store.set("n", key, kind, value)
        assert _is_nor(image, operations)
        new = old | {f"n.{key}": value}
        cuts = list(_cuts(image, operations))
        for cut in cuts:
            assert _contents(cut) in (old, new)
        assert _contents(cuts[-1]) == new
        image = data.draw(st.sampled_from(cuts[-3:]))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 0x2FFF), st.binary(max_size=40)), max_size=12))
def test_a_damaged_partition_is_refused_or_mended(damage: list[tuple[int, bytes]]) -> None:
    image = bytearray(render_image([NvsEntry("n", f"k{i}", "u8", i) for i in range(140)], 0x3000))
    for position, noise in damage:
        image[position : position + len(noise)] = noise
    store = NvsStore(bytes(image[:0x3000]))
    try:
        store.set("n", "energy_mwh", "u64", 5)
    except ValueError:
        return
    assert store.get("n", "energy_mwh") == 5


def test_a_blank_key_may_change_its_type_and_a_blob_gives_way_with_all_its_parts() -> None:
    store = NvsStore(render_image([NvsEntry("n", "k", "blob", bytes(6000))], 0x5000))
    store.set("n", "k", "str", "short")
    assert store.get("n", "k") == "short"
    assert parse_image(store.image).problems == ()


def test_a_full_partition_says_so_and_keeps_what_it_has() -> None:
    store = NvsStore(b"\xff" * 0x3000)
    for number in range(2 * 126 - 1):
        store.set("n", f"k{number}", "u8", 1)
    with pytest.raises(ValueError, match="full"):
        store.set("n", "one_more", "u8", 1)
    assert len(_contents(store.image)) == 2 * 126 - 1
    assert parse_image(store.image).problems == ()


def test_a_partition_with_no_blank_page_is_refused() -> None:
    entries = [NvsEntry("n", f"k{number}", "u8", 1) for number in range(125)]
    store = NvsStore(render_image(entries, 0x1000, read_only=True))
    with pytest.raises(ValueError, match="no blank page"):
        store.set("n", "more", "u8", 1)


def test_a_blob_over_several_pages_replaces_another_and_a_cut_leaves_one_of_them() -> None:
    blobs = [bytes((number,)) * size for number, size in enumerate((9000, 7000, 9001, 10, 8000))]
    store = NvsStore(b"\xff" * 0x8000)
    store.set("n", "other", "blob", bytes(3000))
    old: NvsContent | None = None
    for blob in blobs * 3:
        before = store.image
        operations = store.set("n", "b", "blob", blob)
        assert operations
        assert _is_nor(before, operations)
        for cut in _cuts(before, operations):
            found = _contents(cut)
            assert found.get("n.b") in (old, blob)
            assert found["n.other"] == bytes(3000)
        assert parse_image(store.image).problems == ()
        assert store.set("n", "b", "blob", blob) == []
        old = blob


def test_a_blob_that_does_not_fit_leaves_what_was_there() -> None:
    store = NvsStore(render_image([NvsEntry("n", "b", "blob", bytes(3000))], 0x4000))
    with pytest.raises(ValueError, match="full"):
        store.set("n", "b", "blob", b"x" * 11_000)
    assert store.get("n", "b") == bytes(3000)
    assert parse_image(store.image).problems == ()
    store.set("n", "b", "blob", b"x" * 3000)
    assert store.get("n", "b") == b"x" * 3000


def test_odd_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="whole number of pages"):
        NvsStore(BLANK[:-1])


def test_the_registers_stores_do_not_wear_the_partition_out_in_ten_years() -> None:
    """One every 9 s without a pause, 240 entries of other values in two of the five pages."""
    value = "x" * (32 * 59 - 1)
    others = [NvsEntry("wifi", f"key{number}", "str", value) for number in range(4)]
    partition = next(
        each
        for each in parse_partitions((firmware_dir() / "partitions.csv").read_text("utf-8"))
        if each.name == "nvs"
    )
    store = NvsStore(render_image(others, partition.size))
    erased: Counter[int] = Counter()
    stores = 4000
    for number in range(1, stores + 1):
        operations = store.set("evstate", "energy_mwh", "u64", number)
        erased.update(each.offset for each in operations if isinstance(each, FlashErase))
    stores_for_an_erase = stores / max(erased.values())
    seconds = 100_000 * stores_for_an_erase * REPORT_SPACING_MS[Report.SAMPLE] / 1000
    assert 10 < seconds / (365 * 86_400) < 12, "docs/flash-layout.md says so"
