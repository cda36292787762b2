# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses with their places in the source, and how a decoded panic is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evtool.monitor.panic.report import PanicReport

# The mask ROM's code, on all chips of the family that have it there (ESP32, S2, S3, C2, C3, C6).
_ROM = range(0x40000000, 0x40060000)
_SHORT_REASON = 40


@dataclass(frozen=True, slots=True)
class Frame:
    """A place in the source; `file` "" and `line` 0 where only the function is known."""

    function: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        if not self.file:
            return self.function
        return f"{self.function} at {self.file}" + (f":{self.line}" if self.line else "")


# An address's places: the function itself first, then those that it was inlined into.
Places = Mapping[int, Sequence[Frame]]


@dataclass(frozen=True, slots=True)
class Decoded:
    """A panic as far as it could be decoded.

    Attributes:
        elf: the file that was used; "" where there was none.
        reason: by what it was recognised, or why there is none.
        places: of each address that the file knows.
        decoder: what decoded it: `esp-idf-panic-decoder with ...addr2line`, `DWARF`.
        way: a RISC-V's way to the fault, unwound from its stack; innermost first.
        unwound: the same as gdb has it, with values, a line each.
        note: what could not be done, and why.
    """

    report: PanicReport
    elf: str
    reason: str
    places: Places
    decoder: str = ""
    way: tuple[int, ...] = ()
    unwound: tuple[str, ...] = ()
    note: str = ""

    def lines(self) -> list[str]:
        """The panic for people, without the lines that the board printed itself."""
        report = self.report
        shown = [f"panic ({report.kind}): {report.headline}"]
        if report.explanation:
            # a long reason stands in the line above already
            reason = report.reason if len(report.reason) <= _SHORT_REASON else ""
            shown.append("  " + ": ".join(filter(None, (reason, report.explanation))))
        if not report.addresses():
            return shown
        if not self.elf:
            shown.append(f"  addresses are not decoded: {self.reason}")
        else:
            shown.append(f"  decoded with {self.elf} ({self.reason})")
        if self.unwound:
            shown += [f"  {line}" for line in self.unwound]
        elif report.backtraces:
            shown += self._backtraces()
        elif len(self.way) > 1:
            for number, address in enumerate(self.way):
                shown += self._address(f"#{number:<2}", address)
        else:
            shown += self._registers()
        if self.note:
            shown.append(f"  {self.note}")
        return shown

    def _backtraces(self) -> list[str]:
        shown: list[str] = []
        for trace in self.report.backtraces:
            if len(self.report.backtraces) > 1:
                shown.append(f"  core {'?' if trace.core is None else trace.core}:")
            for number, address in enumerate(trace.addresses):
                shown += self._address(f"#{number:<2}", address)
            if trace.is_corrupted:
                shown.append("  the stack is corrupted: the chip could not follow it further")
        return shown

    def _registers(self) -> list[str]:
        """Where it was and where it came from, where the chip gives no backtrace."""
        shown: list[str] = []
        for registers in self.report.registers.values():
            for name in ("PC", "MEPC", "RA"):
                if registers.get(name):
                    shown += self._address(name, registers[name])
        return shown

    def _address(self, label: str, address: int) -> list[str]:
        return [f"  {line}" for line in address_lines(label, address, self.places, bool(self.elf))]

    def as_dict(self) -> dict[str, object]:
        """The panic for `--json`."""
        report = self.report
        return {
            "kind": report.kind,
            "text": report.headline,
            "reason": report.reason,
            "explanation": report.explanation,
            "core": report.core,
            "elf": self.elf or None,
            "elf_reason": self.reason,
            "decoder": self.decoder,
            "backtraces": [
                {
                    "core": trace.core,
                    "corrupted": trace.is_corrupted,
                    "frames": [frame_dict(address, self.places) for address in trace.addresses],
                }
                for trace in report.backtraces
            ],
            "registers": {
                str(core): {name: f"{value:#010x}" for name, value in registers.items()}
                for core, registers in report.registers.items()
            },
            "way": [frame_dict(address, self.places) for address in self.way],
            "unwound": list(self.unwound),
            "note": self.note,
        }


def address_lines(label: str, address: int, places: Places, has_elf: bool) -> list[str]:
    """One address for people: a line for each function that it is in."""
    known = places.get(address, ())
    if not known:
        where = " not in this program" if has_elf else ""
        return [f"{label} {address:#010x}{' in ROM' if address in _ROM else where}"]
    first, *outer = known
    return [f"{label} {address:#010x} {first}", *(f"     inlined by {each}" for each in outer)]


def frame_dict(address: int, places: Places) -> dict[str, object]:
    """One address for programs."""
    return {
        "address": f"{address:#010x}",
        "places": [
            {"function": each.function, "file": each.file, "line": each.line}
            for each in places.get(address, ())
        ],
    }
