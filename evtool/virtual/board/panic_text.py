# SPDX-License-Identifier: GPL-3.0-or-later
"""What ESP-IDF's panic handler prints: registers, the way to the fault, the ELF file's hash.

The code addresses are those that an operator names; the other registers hold what a stack of the
chip's own memory would. Format: ESP-IDF 4.4 to 5.5, components/esp_system.
"""

from __future__ import annotations

from collections.abc import Sequence

_SHA256_DIGITS = 16
_STACK = {False: 0x3FFB4F80, True: 0x3FC9F370}


def panic_text(how: str, *, riscv: bool, backtrace: Sequence[int], elf_sha256: bytes | None) -> str:
    """The lines of a panic, from the empty one before it to the restart.

    Args:
        how: the exception, such as `LoadProhibited`.
        backtrace: code addresses, innermost first; none: no registers are shown.
        elf_sha256: of the program, where it says so.
    """
    core = 0 if riscv else 1
    lines = ["", f"Guru Meditation Error: Core  {core} panic'ed ({how}). Exception was unhandled."]
    if backtrace:
        lines += ["", f"Core  {core} register dump:"]
        lines += _riscv(backtrace) if riscv else _xtensa(backtrace)
    lines.append("")
    if elf_sha256 is not None:
        lines += [f"ELF file SHA256: {elf_sha256.hex()[:_SHA256_DIGITS]}", ""]
    lines.append("Rebooting...")
    return "".join(line + "\r\n" for line in lines)


def _xtensa(backtrace: Sequence[int]) -> list[str]:
    stack = _STACK[False]
    caller = backtrace[1] if len(backtrace) > 1 else 0
    # A call's window size stands in the upper bits of the address that it returns to.
    a0 = caller & 0x3FFFFFFF | 0x80000000 if caller else 0
    frames = " ".join(
        f"{address:#010x}:{stack + 0x20 * at:#010x}" for at, address in enumerate(backtrace)
    )
    return [
        _registers(PC=backtrace[0], PS=0x00060830, A0=a0, A1=stack),
        _registers(SAR=0x1F, EXCCAUSE=0x1C, EXCVADDR=0, LBEG=0),
        "",
        "",
        f"Backtrace: {frames}",
    ]


def _riscv(backtrace: Sequence[int]) -> list[str]:
    stack = _STACK[True]
    caller = backtrace[1] if len(backtrace) > 1 else 0
    words = " ".join(f"{word:#010x}" for word in (*backtrace[:8], *[0xA5A5A5A5] * 8)[:8])
    return [
        _registers(MEPC=backtrace[0], RA=caller, SP=stack, GP=0x3FC8B320),
        _registers(MSTATUS=0x1881, MTVEC=0x40380001, MCAUSE=0x5, MTVAL=0),
        "",
        "Stack memory:",
        f"{stack:08x}: {words}",
    ]


def _registers(**values: int) -> str:
    return "".join(f"{name:<8}: {value:#010x}  " for name, value in values.items())
