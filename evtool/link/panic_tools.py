# SPDX-License-Identifier: GPL-3.0-or-later
"""Espressif's panic decoder (esp-idf-panic-decoder), and the toolchain that it needs, found.

The decoder runs a toolchain's addr2line, and for a RISC-V's stack its gdb. Whoever builds with
PlatformIO has the first in its packages; the second is a package of its own.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from evtool.link.elf_lines import Place

# Any of a family's toolchains reads the line tables of all its chips.
_PREFIXES = {
    "EM_XTENSA": (
        "xtensa-esp32-elf-",
        "xtensa-esp-elf-",
        "xtensa-esp32s3-elf-",
        "xtensa-esp32s2-elf-",
    ),
    "EM_RISCV": ("riscv32-esp-elf-",),
}
_HOST_MACHINES = {"EM_X86_64": "x86_64", "EM_386": "x86_64", "EM_AARCH64": "aarch64"}


def package_folders(environment: dict[str, str], home: Path, bundle: Path | None) -> list[Path]:
    """Where toolchains may be: the bundle's tools, PlatformIO's packages, ESP-IDF's tools.

    Args:
        environment: of this process.
        home: the user's folder.
        bundle: the installed bundle that the project builds with.
    """
    folders = [] if bundle is None else [bundle / "tools"]
    if environment.get("PLATFORMIO_PACKAGES_DIR"):
        folders.append(Path(environment["PLATFORMIO_PACKAGES_DIR"]))
    core = environment.get("PLATFORMIO_CORE_DIR")
    folders.append((Path(core) if core else home / ".platformio") / "packages")
    folders.append(Path(environment.get("IDF_TOOLS_PATH") or home / ".espressif") / "tools")
    return folders


def find_tool(machine: str, name: str, folders: Sequence[Path]) -> Path | None:
    """The toolchain's program `name` (`addr2line`, `gdb`) for an ELF file's machine."""
    if _HOST_MACHINES.get(machine) == platform.machine():
        found = shutil.which(name)
        return None if found is None else Path(found)
    for prefix in _PREFIXES.get(machine, ()):
        found = shutil.which(prefix + name)
        if found is not None:
            return Path(found)
        for path in _in_packages(prefix + name, folders):
            if os.access(path, os.X_OK):
                return path
    return None


def _in_packages(program: str, folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        # PlatformIO: PACKAGE/bin; ESP-IDF: TOOL/VERSION/TOOL/bin.
        for pattern in (f"*/bin/{program}", f"*/*/*/bin/{program}"):
            yield from sorted(folder.glob(pattern), reverse=True)


def decode_with_addr2line(
    addr2line: Path, elf: Path, addresses: Sequence[int]
) -> dict[int, list[Place]]:
    """The places of those addresses that Espressif's decoder knows; {} where it fails."""
    from esp_idf_panic_decoder.pc_address_decoder import PcAddressDecoder  # noqa: PLC0415

    prefix = str(addr2line).removesuffix("addr2line")
    decoder = PcAddressDecoder(prefix, str(elf))
    found = decoder.translate_addresses(" ".join(f"{address:#010x}" for address in addresses))
    return {
        int(address, 16): [Place(_known(p.func), _known(p.path), _line(p.line)) for p in places]
        for address, places in found
    }


def unwind(gdb: Path, elf: Path, panic: str) -> list[str]:
    """A RISC-V's backtrace from the registers and the stack that a panic printed.

    Raises:
        ValueError: gdb, or the panic's text, does not do; says why.
    """
    from esp_idf_panic_decoder.panic_output_decoder import PanicOutputDecoder  # noqa: PLC0415

    decoder = PanicOutputDecoder(str(gdb).removesuffix("gdb"), str(elf), "default")
    try:
        output = decoder.process_panic_output(panic.encode())
    except (OSError, subprocess.CalledProcessError) as error:
        raise ValueError(f"{gdb.name} could not unwind the stack: {error}") from error
    lines = output.decode("utf-8", "replace").splitlines()
    frames = [line for line in lines if line.startswith("#")]
    if not frames:
        last = next((line for line in reversed(lines) if line.strip()), "no answer")
        raise ValueError(f"{gdb.name} could not unwind the stack: {last}")
    return frames


def _known(text: str) -> str:
    return "" if text.startswith("??") else text


def _line(text: str) -> int:
    return int(text) if text.isdigit() else 0
