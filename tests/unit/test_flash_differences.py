# SPDX-License-Identifier: GPL-3.0-or-later
"""What of an image is written to a board, for any contents of both."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from evtool.flash.station.differences import (
    BLOCK,
    changed_parts,
    differing_parts,
    joined,
    pieces,
)
from evtool.protocol.board_flash import SECTOR, FlashPart

FLASH = 12 * BLOCK


class Flash:
    """Flash that can be asked."""

    def __init__(self, contents: bytes) -> None:
        self.contents = bytearray(contents)
        self.asked = 0

    def holds(self, parts: Sequence[FlashPart]) -> list[bool]:
        self.asked += len(parts)
        return [self.contents[part.offset : part.end] == part.data for part in parts]

    def write(self, parts: Sequence[FlashPart]) -> None:
        """As the flasher: whole sectors are erased."""
        for part in parts:
            end = -(-part.end // SECTOR) * SECTOR
            self.contents[part.offset : end] = b"\xff" * (end - part.offset)
            self.contents[part.offset : part.end] = part.data


@st.composite
def changed_images(draw: st.DrawFn) -> tuple[FlashPart, Flash]:
    """A part, and flash that differs from it in any bytes."""
    offset = draw(st.integers(0, 40)) * SECTOR
    size = draw(st.one_of(st.integers(1, SECTOR * 3), st.integers(1, FLASH - offset)))
    data = bytes(size)
    flash = Flash(bytes(FLASH))
    for place in draw(st.lists(st.integers(0, size - 1), max_size=12)):
        flash.contents[offset + place] = 0xA5
    if draw(st.booleans()):
        flash.contents[offset : offset + size] = b"\xff" * size
    return FlashPart("part", offset, data), flash


@given(changed_images())
def test_afterwards_the_flash_holds_it_and_neighbours_are_untouched(
    case: tuple[FlashPart, Flash],
) -> None:
    part, flash = case
    before = bytes(flash.contents)
    wanted = differing_parts(part, flash.holds)
    assert bool(wanted) == (not flash.holds([part])[0])
    flash.write(wanted)
    assert flash.holds([part]) == [True]
    end = -(-part.end // SECTOR) * SECTOR
    assert flash.contents[: part.offset] == before[: part.offset]
    assert flash.contents[end:] == before[end:]


@given(changed_images())
def test_few_changes_are_few_sectors(case: tuple[FlashPart, Flash]) -> None:
    part, flash = case
    dirty = [piece for piece in pieces(part, SECTOR) if not flash.holds([piece])[0]]
    blocks = {piece.offset // BLOCK for piece in dirty}
    flash.asked = 0
    wanted = differing_parts(part, flash.holds)
    assert flash.asked <= 1 + 4 + len(pieces(part, BLOCK)) + 16 * len(blocks)
    if len(pieces(part, BLOCK)) >= 8 and len(blocks) == 1:
        assert sum(len(each.data) for each in wanted) <= SECTOR * len(dirty)


@given(changed_images(), st.integers(0, 3 * SECTOR))
def test_a_known_image_gives_exactly_the_sectors_that_differ(
    case: tuple[FlashPart, Flash], cut: int
) -> None:
    part, flash = case
    middle = min(cut, FLASH)
    known = [
        FlashPart("b", middle, bytes(flash.contents[middle:])),
        FlashPart("a", 0, bytes(flash.contents[:middle])),
    ]
    dirty = [piece for piece in pieces(part, SECTOR) if not flash.holds([piece])[0]]
    assert changed_parts(part, known) == joined(part, dirty)
    assert changed_parts(part, []) == [part]


def test_a_block_that_is_all_new_is_not_looked_at_closely() -> None:
    part = FlashPart("app", BLOCK, b"\x5a" * (10 * BLOCK))
    flash = Flash(b"\xff" * FLASH)
    assert differing_parts(part, flash.holds) == [part]
    assert flash.asked == 5


def test_pieces_are_cut_at_multiples_in_flash_not_in_the_part() -> None:
    part = FlashPart("p", SECTOR, bytes(BLOCK))
    assert [(each.offset, each.end) for each in pieces(part, BLOCK)] == [
        (SECTOR, BLOCK),
        (BLOCK, BLOCK + SECTOR),
    ]
    assert joined(part, pieces(part, SECTOR)) == [part]
