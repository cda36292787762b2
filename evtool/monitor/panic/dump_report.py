# SPDX-License-Identifier: GPL-3.0-or-later
"""A core dump for people and for programs: which task crashed, where each one was."""

from __future__ import annotations

from dataclasses import dataclass

from evtool.monitor.panic.frames import Places, address_lines, frame_dict
from evtool.monitor.panic.report import explain
from evtool.protocol.core_dump import CoreDump, CoreTask

# EXCCAUSE in the panic handler's words; from 64 on ESP-IDF's own (panic_reason.h).
_CAUSES = {
    0: "IllegalInstruction",
    2: "InstructionFetchError",
    3: "LoadStoreError",
    6: "IntegerDivideByZero",
    9: "LoadStoreAlignment",
    20: "InstrFetchProhibited",
    28: "LoadProhibited",
    29: "StoreProhibited",
    65: "Unhandled debug exception",
    66: "Double exception",
    69: "Interrupt wdt timeout on CPU0",
    70: "Interrupt wdt timeout on CPU1",
    71: "Cache disabled but cached memory region accessed",
}


@dataclass(frozen=True, slots=True)
class DumpReport:
    """A core dump and the places of its addresses.

    Attributes:
        elf: the file that they are from; "" where there is none.
        reason: by what it was recognised, or why there is none.
        note: what else could not be done.
    """

    dump: CoreDump
    elf: str
    reason: str
    places: Places
    note: str = ""

    @property
    def cause(self) -> str:
        """The exception; "" where the dump does not keep it, or a panic says more."""
        cause = self.dump.cause
        if cause is None or self.dump.panic:
            return ""
        return _CAUSES.get(cause, f"exception {cause}")

    def lines(self) -> list[str]:
        """The report for people."""
        dump = self.dump
        program = f", ELF file SHA256 {dump.elf_sha256}" if dump.elf_sha256 else ""
        shown = [f"core dump of an {dump.chip}, format {_version(dump)}{program}"]
        if dump.panic:
            shown.append(f"panic: {dump.panic}")
        if self.cause:
            address = dump.fault_address
            where = "" if address is None else f", address {address:#010x}"
            explained = explain(self.cause)
            shown.append(f"cause: {self.cause}{where}" + (f": {explained}" if explained else ""))
        if not dump.tasks:
            shown.append("its format is not read here: decode it with esp-coredump")
            return shown
        if self.elf:
            shown.append(f"decoded with {self.elf} ({self.reason})")
        else:
            shown.append(f"addresses are not decoded: {self.reason}")
        for task in dump.tasks:
            shown += self._task(task)
        if self.note:
            shown.append(self.note)
        return shown

    def _task(self, task: CoreTask) -> list[str]:
        name = task.name or f"task {task.control_block:#010x}"
        crashed = ", which crashed" if task.crashed else ""
        damage = f" ({task.damage})" if task.damage else ""
        shown = [f"task {name}{crashed}{damage}"]
        for number, address in enumerate(task.addresses):
            shown += address_lines(f"#{number:<2}", address, self.places, bool(self.elf))
        return shown

    def as_dict(self) -> dict[str, object]:
        """The report for `--json`."""
        dump = self.dump
        return {
            "chip": dump.chip,
            "format": _version(dump),
            "bytes": len(dump.image),
            "elf_sha256": dump.elf_sha256 or None,
            "panic": dump.panic or None,
            "cause": self.cause or None,
            "fault_address": None if dump.fault_address is None else f"{dump.fault_address:#010x}",
            "elf": self.elf or None,
            "elf_reason": self.reason,
            "note": self.note,
            "tasks": [
                {
                    "name": task.name,
                    "control_block": f"{task.control_block:#010x}",
                    "stack_pointer": f"{task.stack_pointer:#010x}",
                    "crashed": task.crashed,
                    "damage": task.damage or None,
                    "frames": [frame_dict(address, self.places) for address in task.addresses],
                }
                for task in dump.tasks
            ],
        }


def _version(dump: CoreDump) -> str:
    return f"{dump.version[0]}.{dump.version[1]}"
