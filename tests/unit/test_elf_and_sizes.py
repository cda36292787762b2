# SPDX-License-Identifier: GPL-3.0-or-later
"""Flash and RAM of a program, from its ELF file and the linker's map."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.build.link_map import module_of, pieces
from evtool.build.sizes import ESP32_RAM, PADDING, Sizes, decode, encode, measure, summary, table
from evtool.errors import CheckFailed
from evtool.protocol import elf
from evtool.protocol.can_frame import Malformed

PROGBITS, NOBITS = 1, 8
A, WA, AX = 0x2, 0x3, 0x6


def esp32_elf(*sections: tuple[str, int, int, int, int]) -> bytes:
    """An ELF file of 32 bits with these sections (name, kind, flags, address, size)."""
    rows = [("", 0, 0, 0, 0), *sections, (".shstrtab", 3, 0, 0, 0)]
    names = b"".join(name.encode() + b"\0" for name, *_ in rows)
    table_at = 52 + len(names)
    header = b"\x7fELF" + bytes([1, 1, 1]) + bytes(9)
    header += struct.pack(
        "<HHIIIIIHHHHHH", 2, 94, 1, 0, 0, table_at, 0, 52, 0, 0, 40, len(rows), len(rows) - 1
    )
    body, at = b"", 0
    for name, kind, flags, address, size in rows:
        where, length = (52, len(names)) if name == ".shstrtab" else (0, size)
        body += struct.pack("<IIIIIIIIII", at, kind, flags, address, where, length, 0, 0, 1, 0)
        at += len(name) + 1
    return header + names + body


# As the linker script of Arduino-ESP32 2.0 places them.
PROGRAM = esp32_elf(
    (".rtc.text", PROGBITS, AX, 0x400C0000, 16),
    (".iram0.text", PROGBITS, AX, 0x40080400, 1000),
    (".dram0.data", PROGBITS, WA, 0x3FFBDB60, 200),
    (".dram0.bss", NOBITS, WA, 0x3FFC0000, 300),
    (".flash_rodata_dummy", NOBITS, WA, 0x3F400020, 5000),
    (".flash.rodata", PROGBITS, WA, 0x3F400120, 400),
    (".flash.text", PROGBITS, AX, 0x400D0020, 3000),
    (".debug_info", PROGBITS, 0, 0, 70000),
)
MAP = """\
Discarded input sections

 .text.gone     0x0000000000000000      0x999 .pio/build/esp32dev/src/main.cpp.o

Linker script and memory map

LOAD .pio/build/esp32dev/src/main.cpp.o

.iram0.text     0x0000000040080400      0x3e8
 *(.iram1 .iram1.*)
 .iram1.0       0x0000000040080400      0x3e8 /home/x/packages/sdk/lib/libfreertos.a(tasks.c.obj)

.dram0.data     0x000000003ffbdb60       0xc8
 .data          0x000000003ffbdb60       0xc8 .pio/build/esp32dev/src/main.cpp.o

.dram0.bss      0x000000003ffc0000      0x12c
 .bss.a_very_long_name_indeed
                0x000000003ffc0000      0x100 .pio/build/esp32dev/lib3a1/libevcore.a(gate.cpp.o)
 COMMON         0x000000003ffc0100       0x20 .pio/build/esp32dev/src/main.cpp.o
 *fill*         0x000000003ffc0120        0xc

.flash.rodata   0x000000003f400120      0x190
 .rodata.str1.4
                0x000000003f400120      0x200 .pio/build/esp32dev/lib3a1/evcore/gate.cpp.o
                                        0x250 (size before relaxing)

.flash.text     0x00000000400d0020      0xbb8
 .text          0x00000000400d0020      0x800 .pio/build/esp32dev/libFrameworkArduino.a(main.cpp.o)
 .text.f        0x00000000400d0820      0x3b8 .pio/build/esp32dev/src/main.cpp.o
                0x00000000400d0820                f()

.debug_info     0x0000000000000000    0x11170
 .debug_info    0x0000000000000000    0x11170 .pio/build/esp32dev/src/main.cpp.o

Cross Reference Table

Symbol                                            File
.flash.text
 .text          0x00000000400d0020      0x800 .pio/build/esp32dev/src/nothing.cpp.o
"""


def measured() -> Sizes:
    sizes = measure("esp32dev", PROGRAM, MAP, image=5000, partition=("app0", 1_835_008))
    assert isinstance(sizes, Sizes)
    return sizes


def test_an_esp32s_memories_are_told_by_address() -> None:
    sizes = measured()
    assert (sizes.flash, sizes.flash_size, sizes.partition) == (5000, 1_835_008, "app0")
    assert (sizes.ram, sizes.ram_size) == (500, ESP32_RAM)


def test_each_module_gets_what_it_put_there_and_the_sums_are_the_programs() -> None:
    sizes = measured()
    rows = {module.name: (module.flash, module.ram) for module in sizes.modules}
    assert rows == {
        "framework": (0x800, 0),
        "src": (200 + 0x3B8, 200 + 0x20),
        "libfreertos": (1000, 0),
        "evcore": (0x200, 0x100),
        PADDING: (16 + 400 - 0x200, 0xC),
    }
    assert sum(flash for flash, _ in rows.values()) == 16 + 1000 + 200 + 400 + 3000
    assert sum(ram for _, ram in rows.values()) == sizes.ram
    assert sizes.modules[-1].name == PADDING
    assert table(sizes)[-1].split() == ["program", "4,616", "500"]


@pytest.mark.parametrize(
    ("path", "module"),
    [
        (".pio/build/host/src/main.o", "src"),
        ("/p/.pio/build/esp32dev/libf5c/libMicroOcpp.a(MicroOcpp.cpp.o)", "MicroOcpp"),
        ("/p/.pio/build/esp32dev/lib010/WebSockets/WebSockets.cpp.o", "WebSockets"),
        (".pio/build/esp32dev/FrameworkArduino/Print.cpp.o", "framework"),
        ("/x/packages/framework-arduinoespressif32/tools/sdk/lib/libwpa.a(a.o)", "libwpa"),
        ("/usr/lib/gcc/x86_64-linux-gnu/12/crtbeginS.o", "toolchain"),
    ],
)
def test_the_module_of_an_object(path: str, module: str) -> None:
    assert module_of(path) == module


def test_the_file_of_sizes_comes_back() -> None:
    sizes = measured()
    assert decode(encode(sizes), "sizes.json") == sizes
    for data in (b"", b"[]", b"{}", b'{"schema": 2, "modules": []}', encode(sizes)[:-9]):
        with pytest.raises(CheckFailed, match=r"sizes\.json"):
            decode(data, "sizes.json")


def test_what_people_read() -> None:
    now = Sizes("esp32dev", 1_320_000, 1_835_008, "app0", 42_000, ESP32_RAM, ())
    before = Sizes("esp32dev", 1_319_880, 1_835_008, "app0", 42_000, ESP32_RAM, ())
    assert summary(now, before) == [
        "  flash  1,320,000 bytes, 71.9% of app0 (1,835,008)  +120",
        "  RAM       42,000 bytes, 12.8% of 327,680  as before",
    ]
    assert not any("+" in line or "before" in line for line in summary(now, None))


@given(st.binary(max_size=200), st.integers(0, len(PROGRAM)), st.integers(0, 255))
def test_a_file_that_is_no_elf_is_said_to_be_none(junk: bytes, at: int, value: int) -> None:
    for data in (junk, PROGRAM[:at], PROGRAM[:at] + bytes([value]) + PROGRAM[at + 1 :]):
        assert isinstance(elf.decode(data), elf.Elf | Malformed)
    assert isinstance(elf.decode(b"\x7fELF"), Malformed)


def test_a_real_program_agrees_with_the_systems_own_tool(tmp_path: Path, gxx: str) -> None:
    size = shutil.which("size")
    if size is None:
        pytest.skip("needs binutils' size")
    source = tmp_path / "a.cpp"
    source.write_text("int table[1000]; int set = 5; int main() { return table[0] + set; }\n")
    program, link_map = tmp_path / "a", tmp_path / "a.map"
    subprocess.run([gxx, source, "-o", program, f"-Wl,-Map={link_map}"], check=True)
    done = subprocess.run([size, "-A", program], capture_output=True, text=True, check=True)
    known = {
        row.split()[0]: int(row.split()[1])
        for row in done.stdout.splitlines()
        if row.startswith(".")
    }
    file = elf.decode(program.read_bytes())
    assert isinstance(file, elf.Elf)
    found = {section.name: section.size for section in file.sections}
    assert all(found[name] == value for name, value in known.items())
    sizes = measure("host", program.read_bytes(), link_map.read_text())
    assert isinstance(sizes, Sizes)
    assert sizes.ram >= known[".data"] + known[".bss"] >= 4000
    assert sum(m.ram for m in sizes.modules) == sizes.ram
    assert sum(m.flash for m in sizes.modules) == sizes.flash
    assert list(pieces(link_map.read_text()))
