# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that reads ELF files and decodes addresses, apart from the one that reads ports.

A line of JSON in is a request, a line out is its answer::

    {"do": "facts", "path": ELF}
    {"do": "decode", "path": ELF, "sha256": ..., "addresses": [...], "folders": [...],
     "stacks": [{"pc": ..., "registers": {NUMBER: VALUE}, "memory": [[ADDRESS, HEX], ...]}],
     "panic": TEXT}

`stacks` are unwound, for a RISC-V: the answer's `ways`, in the same order. `panic` is the text that
Espressif's decoder unwinds where there is a gdb. An answer has `error` where it failed.
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
from evtool.link.riscv_unwind import Unwinder

_KEPT_FILES = 2


class Worker:
    """Answers requests; keeps the ELF files that it read last."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, int, int], ElfLines] = {}
        self._unwinder: tuple[str, Unwinder] | None = None

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
        ways = self._ways(elf, request.get("stacks", []))
        wanted = dict.fromkeys([*request["addresses"], *(each for way in ways for each in way)])
        addresses = [address for address in wanted if elf.holds(address)]
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
            "ways": ways,
            "decoder": decoder,
            "unwound": unwound,
            "note": note,
        }

    def _ways(self, elf: ElfLines, stacks: list[dict[str, Any]]) -> list[list[int]]:
        if not stacks or elf.dwarf is None:
            return [[] for _ in stacks]
        if self._unwinder is None or self._unwinder[0] != elf.sha256:
            self._unwinder = (elf.sha256, Unwinder(elf.dwarf))
        unwinder = self._unwinder[1]
        return [
            unwinder.way(
                stack["pc"],
                {int(number): value for number, value in stack["registers"].items()},
                [(address, bytes.fromhex(data)) for address, data in stack["memory"]],
            )
            for stack in stacks
        ]

    @staticmethod
    def _unwind(
        machine: str, path: Path, panic: str | None, folders: list[Path]
    ) -> tuple[list[str], str]:
        if panic is None or machine != "EM_RISCV":
            return [], ""
        gdb = find_tool(machine, "gdb", folders)
        if gdb is None:
            return [], ""
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
