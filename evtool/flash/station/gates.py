# SPDX-License-Identifier: GPL-3.0-or-later
"""Which boards may be written to: everything that is asked of one before its flash is touched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evtool.errors import ConfigError, WrongBoard
from evtool.flash.station.order import Order, boot_loader_demand
from evtool.protocol.app_image import ANY_REVISION
from evtool.protocol.board_flash import ANY_CHIP, SECURE_DOWNLOAD, BoardFacts

_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}\Z")
_REVISION = re.compile(r"v?([0-9]{1,2})\.([0-9]{1,2})\Z")


class BoardRefused(WrongBoard):
    """This board is not one that may be written to; nothing was."""


@dataclass(frozen=True, slots=True)
class Gates:
    """What a board must be.

    Attributes:
        min_revision, max_revision: 100 times the major number plus the minor one.
        flash_size: exactly so many bytes; None: what the order needs, or more.
        macs: the only ones that are admitted; None admits all.
        allow_secured: boards with flash encryption or secure boot are admitted.
    """

    min_revision: int | None = None
    max_revision: int | None = None
    flash_size: int | None = None
    macs: frozenset[str] | None = None
    allow_secured: bool = False


def check_board(facts: BoardFacts, order: Order, gates: Gates) -> None:
    """See that a board may be written to.

    Raises:
        BoardRefused: naming the first rule that it breaks.
    """
    for message, fix in _refusals(facts, order, gates):
        raise BoardRefused(message, fix=fix)


def _refusals(facts: BoardFacts, order: Order, gates: Gates) -> Iterator[tuple[str, str]]:
    """Every rule that is broken, with what to do about it."""
    chip = facts.chip
    if order.chip not in (ANY_CHIP, chip.chip):
        yield f"the chip is {chip.chip}, the images are for {order.chip}", "connect another board"
    if SECURE_DOWNLOAD in facts.secured:
        yield (
            "the chip is in secure download mode: what its flash holds cannot be proved",
            "this unit can no longer be changed over its serial port",
        )
    if facts.secured and not gates.allow_secured:
        yield (
            f"{' and '.join(facts.secured)} is switched on; plain images would stop the unit",
            "use images that are encrypted or signed for it, and say --allow-secured",
        )
    if gates.macs is not None and chip.mac not in gates.macs:
        yield f"the MAC {chip.mac or '-'} is not on the list", "add it to --mac-list"
    yield from _revision_refusals(facts.revision, gates.min_revision, gates.max_revision)
    demand = boot_loader_demand(order.parts)
    if demand is not None and facts.revision is not None:
        # As the boot loader itself would refuse it, but at every start.
        high = None if demand.max_revision == ANY_REVISION else demand.max_revision
        for reason, _ in _revision_refusals(facts.revision, demand.min_revision, high):
            yield f"{reason}, which the boot loader demands", "build for this revision"
    size, needed = facts.flash_size, order.flash_size
    if gates.flash_size is not None and size != gates.flash_size:
        yield f"its flash has {_size(size)}, not {_size(gates.flash_size)}", "connect another board"
    elif size is not None and size < needed:
        yield f"its flash has {_size(size)}, the images need {_size(needed)}", "use more flash"


def _revision_refusals(
    revision: int | None, low: int | None, high: int | None
) -> Iterator[tuple[str, str]]:
    if low is None and high is None:
        return
    if revision is None:
        yield "the chip does not say its revision", "leave out the rule, or use another board"
    elif low is not None and revision < low:
        yield f"its revision is {_revision(revision)}, below {_revision(low)}", "use another board"
    elif high is not None and revision > high:
        yield f"its revision is {_revision(revision)}, above {_revision(high)}", "use another board"


def parse_revision(text: str) -> int | None:
    """`3.1` or `v3.1` as 301; None for anything else."""
    found = _REVISION.match(text)
    return None if found is None else int(found[1]) * 100 + int(found[2])


def parse_mac_list(text: str, path: Path) -> frozenset[str]:
    """One MAC a line, with colons or dashes; `#` begins a comment.

    Raises:
        ConfigError: naming each line that is none, or for an empty list.
    """
    macs, problems = set(), []
    for number, line in enumerate(text.splitlines(), start=1):
        word = line.partition("#")[0].strip().lower().replace("-", ":")
        if word and not _MAC.match(word):
            problems.append(f"{path}:{number}: {word!r} is no MAC address")
        elif word:
            macs.add(word)
    if not macs and not problems:
        problems.append(f"{path}: names no MAC address")
    if problems:
        raise ConfigError("\n".join(problems), fix="write one MAC a line: 24:0a:c4:00:00:01")
    return frozenset(macs)


def _revision(number: int) -> str:
    return f"v{number // 100}.{number % 100}"


def _size(size: int | None) -> str:
    if size is None:
        return "a size that it does not say"
    return f"{size >> 20} MB" if size >= 1 << 20 and not size % (1 << 20) else f"{size:#x} bytes"
