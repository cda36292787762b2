# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool monitor coredump`: from a board's flash, or a file, to the task that crashed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import panic_samples as samples
import pytest
from board_images import PARTITIONS, parts
from core_dumps import Task, core_dump
from running_board import flashed_board

from evtool.protocol import partition_table
from evtool.protocol.partition_table import TABLE_OFFSET, Partition

LIMIT_S = 100
WHERE, SIZE = 0x200000, 0x10000

pytestmark = pytest.mark.skipif(
    shutil.which("g++") is None or shutil.which("nm") is None, reason="needs g++ and nm"
)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> samples.Program:
    return samples.build_program(tmp_path_factory.mktemp("elf"))


def dump_of(program: samples.Program, sha256: str | None = None) -> bytes:
    task = Task("control", (*program.crash, 0x4008590D))
    return core_dump([task], sha256=program.sha256[:9] if sha256 is None else sha256)


def coredump(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evtool", "monitor", "coredump", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env=os.environ | {"PATH": path or os.environ["PATH"], "PLATFORMIO_CORE_DIR": "/nowhere"},
    )


@pytest.fixture
def image(tmp_path: Path, program: samples.Program) -> Path:
    path = tmp_path / "core.bin"
    path.write_bytes(dump_of(program))
    return path


def test_a_saved_dump_becomes_lines_of_source(image: Path, program: samples.Program) -> None:
    done = coredump("--image", str(image), "--elf", str(program.path))
    assert done.returncode == 0, done.stderr
    assert "task control, which crashed\n" in done.stdout
    assert f"#0  {program.crash[0]:#010x} ev::Gate::open" in done.stdout
    assert "crash_1a2b3c4d.cpp:9\n" in done.stdout
    assert "#2  0x4008590d not in this program" in done.stdout


def test_programs_read_it_too(image: Path, program: samples.Program) -> None:
    done = coredump("--image", str(image), "--elf", str(program.path), "--json")
    document = json.loads(done.stdout)
    (task,) = document["tasks"]
    assert task["crashed"]
    assert task["frames"][1]["places"][0]["line"] == 13
    assert document["cause"] == "LoadProhibited"


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_the_secrets_of_the_project_are_masked(
    form: tuple[str, ...], tmp_path: Path, program: samples.Program
) -> None:
    subprocess.run(
        [sys.executable, "-m", "evtool", "init", "p", "--identity", "CP-0001"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=LIMIT_S,
    )
    made = tmp_path / "p" / ".evtool" / "secrets"
    made.mkdir(parents=True, exist_ok=True)
    (made / "CP-0001_authorization_key").write_text("Zx81kkKey09\n")
    image = tmp_path / "core.bin"
    image.write_bytes(core_dump([Task("Zx81kkKey09", program.crash)], sha256=""))
    project = ("--project", str(tmp_path / "p" / "evtool.toml"))
    done = coredump("--image", str(image), *project, *form)
    assert done.returncode == 0, done.stderr
    assert "****" in done.stdout
    assert "Zx81kk" not in done.stdout


def test_another_programs_elf_file_is_not_used(image: Path, tmp_path: Path) -> None:
    other = samples.build_program(tmp_path, "99999999")
    done = coredump("--image", str(image), "--elf", str(other.path))
    assert done.returncode == 0, done.stderr
    assert "addresses are not decoded: no ELF file here has the SHA-256" in done.stdout
    assert "Gate" not in done.stdout
    full = coredump("--image", str(image), "--elf", str(other.path), "--full")
    assert full.returncode == 2


@pytest.mark.parametrize("sha256", ["", "000000000"])
def test_a_dump_that_names_no_program_is_not_guessed_at(
    tmp_path: Path, program: samples.Program, sha256: str
) -> None:
    path = tmp_path / "core.bin"
    path.write_bytes(dump_of(program, sha256))
    done = coredump("--image", str(path), "--elf", str(program.path))
    assert done.returncode == 0
    assert "does not say which program it is of" in done.stdout
    assert "Gate" not in done.stdout


def test_no_dump_and_a_damaged_one_are_1(tmp_path: Path, image: Path) -> None:
    empty = tmp_path / "empty.bin"
    empty.write_bytes(b"\xff" * 4096)
    done = coredump("--image", str(empty))
    assert done.returncode == 1
    assert "no core dump waits" in done.stderr
    data = bytearray(image.read_bytes())
    data[100] ^= 1
    image.write_bytes(data)
    done = coredump("--image", str(image))
    assert done.returncode == 1
    assert "the core dump is damaged: its CRC" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("--image", "x", "--serial-port", "y")])
def test_one_source(arguments: tuple[str, ...]) -> None:
    assert coredump(*arguments).returncode == 2


def test_a_place_that_is_not_there_is_told_before_a_board_is_reset() -> None:
    done = coredump("--serial-port", "/dev/none", "--save", "/nowhere/core.bin")
    assert done.returncode == 2, done.stderr
    assert "there is no folder /nowhere" in done.stderr


def test_the_whole_report_needs_a_gdb(
    image: Path, program: samples.Program, tmp_path: Path
) -> None:
    arguments = ("--image", str(image), "--elf", str(program.path), "--full")
    done = coredump(*arguments, path=str(tmp_path))
    assert done.returncode == 4
    assert "there is no gdb" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the virtual board needs Linux")
def test_a_boards_dump_is_read_over_esptool_and_kept(
    tmp_path: Path, program: samples.Program
) -> None:
    table = (*PARTITIONS, Partition("coredump", 1, 3, WHERE, SIZE))
    images = parts() | {TABLE_OFFSET: partition_table.encode(table), WHERE: dump_of(program)}
    board = flashed_board(tmp_path / "board", images)
    kept = tmp_path / "kept.bin"
    try:
        board.wait_for("app")
        port = ("--serial-port", board.serial_port, "--elf", str(program.path))
        done = coredump(*port, "--save", str(kept))
        assert done.returncode == 0, done.stderr
        assert "ev::Gate::open" in done.stdout
        board.wait_for("app")  # and the firmware runs again
    finally:
        board.end()
    assert kept.read_bytes() == dump_of(program)
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(sys.platform != "linux", reason="the virtual board needs Linux")
def test_a_table_without_such_a_partition_is_told(tmp_path: Path) -> None:
    board = flashed_board(tmp_path / "board", parts())
    try:
        board.wait_for("app")
        done = coredump("--serial-port", board.serial_port)
    finally:
        board.end()
    assert done.returncode == 2
    assert "no partition for core dumps" in done.stderr


# The words of gdb's machine interface that esp-coredump waits for.
GDB = """#!{python}
import sys
print("(gdb) ", flush=True)
thread = 'id="1",target-id="process 1073413024",frame={{level="0"}},state="stopped"'
for line in sys.stdin:
    word = line.strip().lstrip("0123456789")
    token = line.strip()[:-len(word)] if word else ""
    if "bt" in word:
        print('~"#0  0x400d1000 in ev::Gate::open ()\\\\n"')
    if "gdb-exit" in word:
        print(token + "^exit", flush=True)
        break
    if "thread-info" in word:
        print(token + "^done,threads=[{{" + thread + '}}],current-thread-id="1"')
    elif "data-evaluate" in word:
        print(token + '^done,value="0x0"')
    else:
        print(token + "^done")
    print("(gdb) ", flush=True)
"""


def test_the_whole_report_is_espressifs(tmp_path: Path, program: samples.Program) -> None:
    """Theirs as it is, with a stand-in for gdb; the ELF file says that it is an Xtensa's."""
    data = bytearray(program.path.read_bytes())
    data[18:20] = (94).to_bytes(2, "little")
    elf = tmp_path / "firmware.elf"
    elf.write_bytes(data)
    image = tmp_path / "core.bin"
    image.write_bytes(dump_of(program, hashlib.sha256(data).hexdigest()[:9]))
    gdb = tmp_path / "xtensa-esp32-elf-gdb"
    gdb.write_text(GDB.format(python=sys.executable))
    gdb.chmod(0o755)
    arguments = ("--image", str(image), "--elf", str(elf), "--full")
    done = coredump(*arguments, path=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    assert "ev::Gate::open at" in done.stdout
    assert "exccause       0x1c (LoadProhibitedCause)" in done.stdout
    assert "#0  0x400d1000 in ev::Gate::open ()" in done.stdout
