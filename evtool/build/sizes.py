# SPDX-License-Identifier: GPL-3.0-or-later
"""How much flash and RAM a build takes: in all, of what there is, and by module."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from evtool.build.link_map import pieces
from evtool.errors import CheckFailed
from evtool.protocol import elf
from evtool.protocol.can_frame import Malformed
from evtool.protocol.elf import Elf, Section

SIZES = "sizes.json"
# ESP32 Technical Reference Manual, chapter 1.3: internal SRAM on the data and on the
# instruction bus. PlatformIO's boards/esp32dev.json gives a program 327,680 bytes of the former.
_DRAM = range(0x3FFA_E000, 0x4000_0000)
_IRAM = range(0x4008_0000, 0x400A_0000)
ESP32_RAM = 327_680
PADDING = "(padding)"


@dataclass(frozen=True, slots=True)
class Module:
    """What one module takes, in bytes: in the image, and of the RAM before anything runs."""

    name: str
    flash: int
    ram: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """The use of one build, in bytes.

    Attributes:
        flash: what is written: the image. Without one, what the program file holds.
        flash_size: the partition that it goes into; None where there is none.
        ram: .data, .bss and what else stands in RAM from the start; heap and stacks come on top.
        ram_size: what a program may have; None for a computer.
        modules: the largest first; empty where the linker wrote no map.
    """

    environment: str
    flash: int
    flash_size: int | None
    partition: str | None
    ram: int
    ram_size: int | None
    modules: tuple[Module, ...]


def measure(
    environment: str,
    program: bytes,
    link_map: str | None,
    *,
    image: int | None = None,
    partition: tuple[str, int] | None = None,
) -> Sizes | Malformed:
    """Measure a linked program.

    Args:
        program: the ELF file.
        link_map: the linker's map of it.
        image: the size of the image made from it.
        partition: name and size of where that image goes.
    """
    file = elf.decode(program)
    if isinstance(file, Malformed):
        return file
    in_ram = _ram_rule(file)
    stored = {s.name: s.size for s in file.sections if s.is_stored and s.size}
    resident = {s.name: s.size for s in file.sections if in_ram(s) and s.size}
    return Sizes(
        environment=environment,
        flash=sum(stored.values()) if image is None else image,
        flash_size=None if partition is None else partition[1],
        partition=None if partition is None else partition[0],
        ram=sum(resident.values()),
        ram_size=ESP32_RAM if file.machine == elf.XTENSA else None,
        modules=() if link_map is None else _modules(link_map, stored, resident),
    )


def _ram_rule(file: Elf) -> Callable[[Section], bool]:
    if file.machine == elf.XTENSA:
        # By address: the linker script marks read-only data in flash as writable.
        return lambda section: section.is_loaded and section.address in _DRAM
    return lambda section: section.is_loaded and section.is_writable


def _modules(link_map: str, stored: dict[str, int], resident: dict[str, int]) -> tuple[Module, ...]:
    flash: Counter[str] = Counter()
    ram: Counter[str] = Counter()
    for piece in pieces(link_map):
        if piece.section in stored:
            flash[piece.module] += piece.size
        if piece.section in resident:
            ram[piece.module] += piece.size
    if not flash:
        return ()
    # Merged strings count before the merge, alignment not at all: the sums must be the program's.
    flash[PADDING] = sum(stored.values()) - flash.total()
    ram[PADDING] = sum(resident.values()) - ram.total()
    found = [Module(name, flash[name], ram[name]) for name in flash.keys() | ram.keys()]
    named = [m for m in found if m.name != PADDING]
    rest = [m for m in found if m.name == PADDING and (m.flash or m.ram)]
    return (*sorted(named, key=lambda m: (-m.flash, -m.ram, m.name)), *rest)


def encode(sizes: Sizes) -> bytes:
    """sizes.json; the same build gives the same bytes."""
    return (json.dumps({"schema": 1} | asdict(sizes), indent=2) + "\n").encode()


def decode(data: bytes, source: object) -> Sizes:
    """What `encode` wrote.

    Args:
        source: the file's name for the error.

    Raises:
        CheckFailed: it is not what `evtool build` writes.
    """
    try:
        document: dict[str, Any] = json.loads(data)
        schema, rows = document.pop("schema"), document.pop("modules")
        sizes = Sizes(**document, modules=tuple(Module(**row) for row in rows))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckFailed(
            f"{source} is not what evtool writes: {error}", fix="build again: evtool build"
        ) from error
    if schema != 1:
        raise CheckFailed(f"{source} has schema {schema!r}, not 1", fix="build again: evtool build")
    return sizes


def summary(now: Sizes, before: Sizes | None) -> list[str]:
    """Two lines for people: flash and RAM, of what there is, and against the last build."""
    flash = f"  flash  {now.flash:>9,} bytes"
    if now.flash_size is not None:
        flash += f", {now.flash / now.flash_size:.1%} of {now.partition} ({now.flash_size:,})"
    ram = f"  RAM    {now.ram:>9,} bytes"
    if now.ram_size is not None:
        ram += f", {now.ram / now.ram_size:.1%} of {now.ram_size:,}"
    if before is not None:
        flash += _change(now.flash - before.flash)
        ram += _change(now.ram - before.ram)
    return [flash, ram]


def usage(now: Sizes, before: Sizes | None) -> dict[str, object]:
    """The same for programs; the changes are None where there was no build before."""
    return {
        "flash": now.flash,
        "flash_size": now.flash_size,
        "partition": now.partition,
        "flash_change": None if before is None else now.flash - before.flash,
        "ram": now.ram,
        "ram_size": now.ram_size,
        "ram_change": None if before is None else now.ram - before.ram,
    }


def _change(difference: int) -> str:
    return f"  {difference:+,}" if difference else "  as before"


def table(sizes: Sizes) -> list[str]:
    """One line a module, the largest first, and the sums."""
    width = max((len(module.name) for module in sizes.modules), default=0)
    rows = [f"{'module':{width}}      flash        RAM"]
    rows += [f"{m.name:{width}} {m.flash:>10,} {m.ram:>10,}" for m in sizes.modules]
    flash, ram = sum(m.flash for m in sizes.modules), sum(m.ram for m in sizes.modules)
    return [*rows, f"{'program':{width}} {flash:>10,} {ram:>10,}"]
