# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of real ELF files as lines of source: by our own reading, by Espressif's decoder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import panic_samples as samples
import pytest

from evtool.errors import ToolError
from evtool.link.elf_lines import ElfLines, decode_addresses
from evtool.link.panic_process import PanicProcess, elf_candidates
from evtool.link.panic_tools import decode_with_addr2line, find_tool, package_folders, unwind

pytestmark = pytest.mark.skipif(
    shutil.which("g++") is None or shutil.which("nm") is None, reason="needs g++ and nm"
)
ADDR2LINE = pytest.mark.skipif(shutil.which("addr2line") is None, reason="needs addr2line")

TEMPLATES = """
#include <algorithm>
#include <map>
#include <string>
#include <vector>
struct Count {
  std::map<std::string, int> seen;
  int add(const std::string& k) { return seen[k]++; }
};
int main(int n, char** v) {
  Count count;
  std::vector<int> all;
  for (int i = 0; i < n; i++) all.push_back(count.add(v[i]));
  std::sort(all.begin(), all.end());
  return all.back();
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> samples.Program:
    return samples.build_program(tmp_path_factory.mktemp("elf"))


def test_function_file_and_line(program: samples.Program) -> None:
    elf = ElfLines(program.path)
    inner, outer = (elf.places(address)[0] for address in program.crash)
    assert (inner.function, Path(inner.file).name, inner.line) == (
        "ev::Gate::open",
        "crash_1a2b3c4d.cpp",
        9,
    )
    assert outer.function == "control_task"
    assert elf.facts.build_id == "1a2b3c4d"
    assert elf.facts.sha256 == program.sha256
    assert elf.places(0x10) == []


def test_without_debug_information_functions_are_left(tmp_path: Path) -> None:
    program = samples.build_program(tmp_path, "1a2b3c4d", "-g0")
    elf = ElfLines(program.path)
    (place,) = elf.places(program.crash[0])
    assert "open" in place.function
    assert place.line == 0
    assert not elf.facts.has_lines
    assert elf.facts.build_id == "1a2b3c4d"


def test_a_stripped_file_has_neither(tmp_path: Path) -> None:
    program = samples.build_program(tmp_path, "1a2b3c4d", "-s")
    elf = ElfLines(program.path)
    assert elf.places(program.crash[0]) == []
    assert elf.facts.build_id == ""


def test_the_table_of_address_ranges_is_not_believed(
    tmp_path: Path, program: samples.Program
) -> None:
    """For dropped functions ESP-IDF's has pairs of zeros, at which its readers stop."""
    data = program.path.read_bytes()
    sections = ElfLines(program.path)._elf
    ranges = sections.get_section_by_name(".debug_aranges")
    start = ranges["sh_offset"] + 16
    path = tmp_path / "firmware.elf"
    path.write_bytes(data[:start] + bytes(8) + data[start + 8 :])
    elf = ElfLines(path)
    assert elf.places(program.crash[0])[0].function == "ev::Gate::open"


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\x7fELF" + bytes(60), b"text\n" * 99])
def test_what_is_no_elf_file_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.elf"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="no ELF file"):
        ElfLines(path)


@ADDR2LINE
@pytest.mark.parametrize(
    "options", [("-gdwarf-4", "-O0"), ("-gdwarf-4", "-O2"), ("-gdwarf-5", "-O2")]
)
def test_our_lines_are_addr2lines_lines(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Every inlined call too. Where GNU's own knows no file, ours may know one."""
    source, path = tmp_path / "t.cpp", tmp_path / "t"
    source.write_text(TEMPLATES)
    compiler = ["g++", "-g", "-no-pie", *options, "-o", str(path), str(source)]
    subprocess.run(compiler, check=True, timeout=100)
    elf = ElfLines(path)
    low, high = next(span for span in elf._code if span[1] - span[0] > 1000)
    addresses = list(range(low, high, 41))
    argv = ["addr2line", "-fiaC", "-e", str(path), *(hex(each) for each in addresses)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=100)
    expected: dict[int, list[tuple[str, int]]] = {}
    lines = iter(done.stdout.splitlines())
    for line in lines:
        if line.startswith("0x"):
            places = expected.setdefault(int(line, 16), [])
            continue
        file, _, number = re.sub(r" \(discriminator \d+\)$", "", next(lines)).rpartition(":")
        places.append((Path(file).name, int(number) if number.isdigit() else 0))
    known = {address: places for address, places in expected.items() if places[0][1]}
    assert len(known) > 50
    found = {
        address: [(Path(place.file).name, place.line) for place in elf.places(address)]
        for address in known
    }
    differing = {each for each in known if found[each] != known[each]}
    # GNU's addr2line 2.40 reads some file numbers of DWARF 5 as those of DWARF 4; lines agree.
    lines_differ = {
        each for each in differing if [n for _, n in found[each]] != [n for _, n in known[each]]
    }
    assert not lines_differ
    assert len(differing) < len(known) / 20


@ADDR2LINE
def test_espressifs_decoder_says_the_same(program: samples.Program) -> None:
    addr2line = find_tool(ElfLines(program.path).facts.machine, "addr2line", [])
    assert addr2line is not None
    theirs = decode_with_addr2line(addr2line, program.path, [*program.crash, 0x10])
    ours = decode_addresses(ElfLines(program.path), program.crash)
    assert {each: [(p.file, p.line) for p in places] for each, places in theirs.items()} == {
        each: [(p.file, p.line) for p in places] for each, places in ours.items()
    }
    assert theirs[program.crash[0]][0].function.startswith("ev::Gate::open")


def test_toolchains_are_found_in_platformios_packages(tmp_path: Path) -> None:
    environment = {"PLATFORMIO_CORE_DIR": str(tmp_path / "core")}
    folders = package_folders(environment, tmp_path / "home", tmp_path / "bundle")
    names = ("xtensa-esp32-elf-addr2line", "riscv32-esp-elf-gdb", "riscv32-esp-elf-addr2line")
    places = (
        tmp_path / "core" / "packages" / "toolchain-xtensa-esp32" / "bin",
        tmp_path / "home" / ".espressif" / "tools" / "riscv32-esp-elf-gdb" / "14.2" / "x" / "bin",
        tmp_path / "bundle" / "tools" / "toolchain-riscv32-esp" / "bin",
    )
    for folder, name in zip(places, names, strict=True):
        folder.mkdir(parents=True)
        (folder / name).write_text("#!/bin/sh\n")
        assert find_tool("EM_XTENSA", "addr2line", []) is None
        (folder / name).chmod(0o755)
    assert find_tool("EM_XTENSA", "addr2line", folders) == places[0] / names[0]
    assert find_tool("EM_RISCV", "gdb", folders) == places[1] / names[1]
    assert find_tool("EM_RISCV", "addr2line", folders) == places[2] / names[2]
    assert find_tool("EM_AVR", "gdb", folders) is None


# A debugger's part in the protocol of Espressif's gdb server: registers and stack come from the
# panic's text, which is what is tested here; unwinding itself is gdb's.
GDB = """#!{python}
import re, subprocess, sys
command = next(each for each in sys.argv if each.startswith("target remote | "))
server = subprocess.Popen(
    command.removeprefix("target remote | "), shell=True, text=True,
    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
)
def ask(packet):
    server.stdin.write(f"${{packet}}#00")
    server.stdin.flush()
    answer = ""
    while not answer.endswith("#") :
        answer += server.stdout.read(1)
    server.stdout.read(2)
    server.stdin.write("+")
    server.stdin.flush()
    return answer.split("$")[1][:-1]
registers = ask("g")
def number(text):
    return int.from_bytes(bytes.fromhex(text), "little")
words = [number(registers[at:at + 8]) for at in range(0, len(registers), 8)]
print(f"#0  {{words[32]:#010x}} in open ()")
print(f"#1  {{number(ask('m3fc9f38c,4')):#010x}} in control_task ()")
ask("k")
"""


def test_a_riscvs_stack_goes_to_gdb_through_espressifs_server(
    tmp_path: Path, program: samples.Program
) -> None:
    gdb = tmp_path / "riscv32-esp-elf-gdb"
    gdb.write_text(GDB.format(python=sys.executable))
    gdb.chmod(0o755)
    panic = samples.riscv_panic(0x420228C8, 0x4202292A, "77aa77aa").replace("\r\n", "\n")
    assert unwind(gdb, program.path, panic) == [
        "#0  0x420228c8 in open ()",
        "#1  0x4202292a in control_task ()",
    ]
    gdb.write_text("#!/bin/sh\necho not in executable format\n")
    with pytest.raises(ValueError, match="not in executable format"):
        unwind(gdb, program.path, panic)


# --- the decoding process -------------------------------------------------------


def test_the_process_answers_and_tells_what_it_cannot(
    tmp_path: Path, program: samples.Program
) -> None:
    with PanicProcess() as process:
        facts = process.ask({"do": "facts", "path": str(program.path)})
        assert facts["sha256"] == program.sha256
        assert "error" in process.ask({"do": "facts", "path": str(tmp_path / "none")})
        request = {
            "do": "decode",
            "path": str(program.path),
            "sha256": program.sha256,
            "addresses": [*program.crash, 0x10],
            "panic": None,
            "folders": [],
        }
        answer = process.ask(request)
        assert set(answer["places"]) == {str(each) for each in program.crash}
        assert answer["places"][str(program.crash[0])][0]["function"].startswith("ev::Gate::open")
        assert "has changed" in process.ask(request | {"sha256": "00"})["error"]


def test_a_process_that_does_not_answer_is_ended(tmp_path: Path) -> None:
    endless = tmp_path / "firmware.elf"
    os.mkfifo(endless)
    with PanicProcess(timeout_s=0.5) as process, pytest.raises(ToolError, match="ended or said"):
        process.ask({"do": "facts", "path": str(endless)})


def test_candidates(tmp_path: Path, program: samples.Program) -> None:
    build = tmp_path / ".pio" / "build" / "esp32dev"
    build.mkdir(parents=True)
    shutil.copy(program.path, build / "firmware.elf")
    (build / "program").write_text("no ELF")
    data = bytearray(program.path.read_bytes())
    data[16:18] = b"\x01\0"  # an object
    (build / "main.o").write_bytes(data)
    assert elf_candidates([], [tmp_path / ".pio" / "build", tmp_path / "none"]) == [
        build / "firmware.elf"
    ]
    assert elf_candidates([tmp_path], []) == [build / "firmware.elf"]
    assert elf_candidates([program.path], [tmp_path / ".pio" / "build"]) == [program.path]
