# SPDX-License-Identifier: GPL-3.0-or-later
"""A RISC-V's way to where it was, from registers, stack memory and the program's call frames.

The compiler says for every instruction where the caller's registers are (DWARF 5, chapter 6.4).
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from typing import Any

from elftools.dwarf.callframe import FDE

RA, SP = 1, 2
_MAX_FRAMES = 60

Memory = Sequence[tuple[int, bytes]]


class Unwinder:
    """The call frames of one program; `dwarf` is pyelftools' DWARFInfo."""

    def __init__(self, dwarf: Any) -> None:
        entries = dwarf.CFI_entries() if dwarf.has_CFI() else []
        entries += dwarf.EH_CFI_entries() if dwarf.has_EH_CFI() else []
        self._frames = sorted(
            (entry.header["initial_location"], at, entry)
            for at, entry in enumerate(entries)
            if isinstance(entry, FDE) and entry.header["initial_location"]
        )

    def way(self, pc: int, registers: Mapping[int, int], memory: Memory) -> list[int]:
        """Code addresses, innermost first; those of callers lie within their call.

        Args:
            registers: by their numbers (x1 is ra, x2 is sp).
            memory: (address, bytes) of what is known of the stack.
        """
        found = [pc]
        known = dict(registers)
        while len(found) < _MAX_FRAMES:
            above = self._caller(found[-1], known, memory, innermost=len(found) == 1)
            if above is None:
                break
            pc, known = above
            # A call takes 2 or 4 bytes: this is in it, whichever it was.
            found.append(pc - 2)
        return found

    def _caller(
        self, pc: int, registers: dict[int, int], memory: Memory, *, innermost: bool
    ) -> tuple[int, dict[int, int]] | None:
        row = self._row(pc)
        if row is None:
            # No frame is known there (ROM, assembly): only the very first may still hold ra.
            caller = registers.get(RA, 0) if innermost else 0
            return (caller, registers | {RA: 0}) if caller else None
        rule = row["cfa"]
        if rule.expr is not None or rule.reg not in registers:
            return None
        frame = registers[rule.reg] + rule.offset
        above = dict(registers)
        saved = {}
        for number, where in row.items():
            if isinstance(number, int) and where.type == "OFFSET":
                value = _word(memory, frame + where.arg)
                if value is None:
                    return None
                saved[number] = value
        above |= saved
        above[SP] = frame
        if RA not in saved:
            if not innermost:
                return None
            saved[RA] = registers.get(RA, 0)
        caller = saved[RA]
        if not caller or (frame <= registers.get(SP, 0) and not innermost):
            return None
        return caller, above

    def _row(self, pc: int) -> dict[Any, Any] | None:
        """Where the caller's registers are when `pc` is about to be executed."""
        at = bisect.bisect(self._frames, (pc, 1 << 62)) - 1
        if at < 0:
            return None
        start, _, entry = self._frames[at]
        if pc >= start + entry.header["address_range"]:
            return None
        row: dict[Any, Any] | None = None
        for each in entry.get_decoded().table:
            if each["pc"] > pc:
                break
            row = each
        return row


def _word(memory: Memory, address: int) -> int | None:
    for start, data in memory:
        if start <= address and address + 4 <= start + len(data):
            return int.from_bytes(data[address - start : address - start + 4], "little")
    return None
