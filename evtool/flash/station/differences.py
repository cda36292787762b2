# SPDX-License-Identifier: GPL-3.0-or-later
"""What of an image a board does not hold yet.

Without knowing what it holds, the board itself is asked, piece by piece, whether its bytes have
the hash of ours: a question costs a few milliseconds, a block of 64 KiB written at 921600 baud
costs a second. With a known old image the differences are computed here, and the proof at the
end finds out where the assumption was wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from evtool.protocol.board_flash import SECTOR, FlashPart

BLOCK = 0x10000
# So many blocks, spread over a part, decide whether looking at all of them is worth it.
_SAMPLES = 4
# With more than one block in so many different, single sectors are not looked for.
_FEW = 4

Holds = Callable[[Sequence[FlashPart]], Sequence[bool]]
"""Whether the board's flash holds each part, asked of the board."""


def differing_parts(part: FlashPart, holds: Holds) -> list[FlashPart]:
    """The pieces of `part` that must be written, none where the board holds all of it.

    Args:
        part: what it is to hold.
        holds: asks the board.

    Returns:
        parts on sector boundaries, in the order of offsets; neighbours are joined.
    """
    if holds([part])[0]:
        return []
    return differing_pieces(part, holds)


def differing_pieces(part: FlashPart, holds: Holds) -> list[FlashPart]:
    """As `differing_parts`, of a part that is known to differ somewhere."""
    blocks = pieces(part, BLOCK)
    if len(blocks) > _SAMPLES:
        step = (len(blocks) - 1) / (_SAMPLES - 1)
        sampled = [blocks[round(number * step)] for number in range(_SAMPLES)]
        if not any(holds(sampled)):
            return [part]
    differing = _not_held(blocks, holds) if len(blocks) > 1 else blocks
    if len(blocks) > 1 and len(differing) * _FEW > len(blocks):
        return joined(part, differing)
    sectors = [sector for block in differing for sector in pieces(block, SECTOR)]
    if len(sectors) == 1:
        return joined(part, sectors)
    return joined(part, _not_held(sectors, holds))


def differing_sectors(part: FlashPart, holds: Holds) -> list[FlashPart]:
    """Exactly the sectors of `part` that the board does not hold, neighbours joined."""
    differing = _not_held(pieces(part, BLOCK), holds)
    sectors = [sector for block in differing for sector in pieces(block, SECTOR)]
    return joined(part, _not_held(sectors, holds) if sectors else ())


def changed_parts(part: FlashPart, known: Iterable[FlashPart]) -> list[FlashPart]:
    """The sectors of `part` that differ from what the board is known to hold.

    What `known` does not cover counts as different.
    """
    old = sorted(known, key=lambda each: each.offset)
    changed = [sector for sector in pieces(part, SECTOR) if not _covered(sector, old)]
    return joined(part, changed)


def pieces(part: FlashPart, size: int) -> list[FlashPart]:
    """`part` cut at every multiple of `size` in flash."""
    cuts = [part.offset, *range(part.offset - part.offset % size + size, part.end, size), part.end]
    return [slice_of(part, start, end) for start, end in pairwise(cuts)]


def joined(part: FlashPart, parts: Iterable[FlashPart]) -> list[FlashPart]:
    """Pieces of `part`, those that touch each other made one."""
    spans: list[list[int]] = []
    for each in sorted(parts, key=lambda piece: piece.offset):
        if spans and spans[-1][1] >= each.offset:
            spans[-1][1] = max(spans[-1][1], each.end)
        else:
            spans.append([each.offset, each.end])
    return [slice_of(part, start, end) for start, end in spans]


def slice_of(part: FlashPart, start: int, end: int) -> FlashPart:
    """What `part` has between two addresses of the flash."""
    if (start, end) == (part.offset, part.end):
        return part
    data = part.data[start - part.offset : end - part.offset]
    return FlashPart(part.name, start, data, part.secret)


def _not_held(parts: Sequence[FlashPart], holds: Holds) -> list[FlashPart]:
    return [part for part, held in zip(parts, holds(parts), strict=True) if not held]


def _covered(sector: FlashPart, old: Sequence[FlashPart]) -> bool:
    """Whether `old` has the same bytes for all of `sector`."""
    at = sector.offset
    for each in old:
        if each.offset <= at < each.end:
            end = min(each.end, sector.end)
            ours = sector.data[at - sector.offset : end - sector.offset]
            if each.data[at - each.offset : end - each.offset] != ours:
                return False
            at = end
    return at >= sector.end
