# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that reads ELF files and decodes addresses, apart from the one that reads ports.

A line of JSON in is a request, a line out is its answer::

    {"do": "facts", "path": ELF}
    {"do": "decode", "path": ELF, "addresses": [...], "panic": TEXT, "folders": [...]}

`panic` is there where a RISC-V's stack shall be unwound. An answer has `error` where it failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evtool.link.elf_lines import ElfLines, decode_addresses
from evtool.link.panic_tools import decode_with_addr2line, find_tool, unwind

_KEPT_FILES = 2


class Worker:
    """Answers requests; keeps the ELF files that it read last."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, int, int], ElfLines] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request."""
        path = Path(request["path"])
        try:
            elf = self._file(path)
            if request["do"] == "facts":
                return asdict(elf.facts)
            return self._decode(elf, path, request)
        except (OSError, ValueError) as error:
            return {"error": str(error)}

    def _file(self, path: Path) -> ElfLines:
        status = path.stat()
        key = (str(path), status.st_mtime_ns, status.st_size)
        if key not in self._files:
            while len(self._files) >= _KEPT_FILES:
                self._files.pop(next(iter(self._files)))
            self._files[key] = ElfLines(path)
        return self._files[key]

    def _decode(self, elf: ElfLines, path: Path, request: dict[str, Any]) -> dict[str, Any]:
        if elf.sha256 != request["sha256"]:
            raise ValueError(f"{path} has changed since it was chosen")
        addresses = [address for address in request["addresses"] if elf.holds(address)]
        folders = [Path(folder) for folder in request["folders"]]
        machine = elf.facts.machine
        addr2line = find_tool(machine, "addr2line", folders)
        places, decoder = {}, ""
        if addr2line is not None and addresses:
            places = decode_with_addr2line(addr2line, path, addresses)
            decoder = f"esp-idf-panic-decoder with {addr2line.name}"
        if not places:
            places, decoder = decode_addresses(elf, addresses), "DWARF"
        unwound, note = self._unwind(machine, path, request.get("panic"), folders)
        if not elf.facts.has_lines:
            note = f"{path.name} holds no debug information: functions at most; {note}".strip("; ")
        return {
            "places": {
                str(address): [asdict(place) for place in found]
                for address, found in places.items()
            },
            "decoder": decoder,
            "unwound": unwound,
            "note": note,
        }

    @staticmethod
    def _unwind(
        machine: str, path: Path, panic: str | None, folders: list[Path]
    ) -> tuple[list[str], str]:
        if panic is None or machine != "EM_RISCV":
            return [], ""
        gdb = find_tool(machine, "gdb", folders)
        if gdb is None:
            return [], (
                "the stack is not unwound: there is no riscv32-esp-elf-gdb "
                "(PlatformIO's package tool-riscv32-esp-elf-gdb has it)"
            )
        try:
            return unwind(gdb, path, panic), ""
        except ValueError as error:
            return [], str(error)


def main() -> None:
    """Answer requests until stdin ends."""
    # Decoding may take its time; reading the ports may not.
    with contextlib.suppress(OSError):
        os.nice(10)
    # Libraries print where they please: only answers go to the real stdout.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    worker = Worker()
    for line in sys.stdin:
        answers.write(json.dumps(worker.answer(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
