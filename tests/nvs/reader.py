# SPDX-License-Identifier: GPL-3.0-or-later
"""The firmware's NVS reader on this computer, and images as Espressif's generator makes them."""

from __future__ import annotations

import importlib
import io
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evtool.protocol.nvs import NvsEntry
from evtool.protocol.nvs_page import PAGE_SIZE
from evtool.resources import firmware_dir

FIRMWARE = firmware_dir()
LIBRARIES = ("evnvs", "evidentity", "evhealth")
HERE = Path(__file__).parent


SANITIZED = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def compile_driver(
    gxx: str, program: Path, *flags: str, firmware: Sequence[str] = ("factory_identity",)
) -> None:
    """The driver with the program's name.

    Args:
        gxx: the compiler.
        program: what to make of `<its name>.cpp`.
        flags: the compiler's, besides ours: SANITIZED, or nothing where time matters more.
        firmware: the sources of firmware/src that it asks.
    """
    sources = [HERE / f"{program.name}.cpp"]
    sources += [FIRMWARE / "src" / f"{name}.cpp" for name in firmware]
    includes = [HERE, FIRMWARE / "src", FIRMWARE / "lib" / "evcore" / "include"]
    for name in LIBRARIES:
        sources += (FIRMWARE / "lib" / name / "src").glob("*.cpp")
        includes.append(FIRMWARE / "lib" / name / "include")
    strict = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]
    compiled = subprocess.run(
        [gxx, *strict, *flags, *(f"-I{i}" for i in includes), *sources, "-o", program],
        check=False,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert compiled.returncode == 0, compiled.stderr


class Reader:
    """A running driver. It ends with an error where a sanitizer finds one."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, *words: str) -> str:
        """One command's answer (driver.cpp lists them)."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the driver has ended"
        return answer.rstrip("\n")

    def load(self, image: bytes, keys: bytes = b"") -> str:
        """Give it a partition, and the one that holds keys; what it says of these."""
        assert self.ask("image", image.hex()) == "ok"
        return self.ask("keys", keys.hex())

    def get(self, entry: NvsEntry) -> str:
        """What it reads for an entry's namespace, key and kind."""
        return self.ask("get", entry.namespace, entry.key, entry.kind)

    def close(self) -> None:
        """End it; it must not have found anything to report."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        assert self._process.wait(timeout=60) == 0
        self._process.stdout.close()


def told(entry: NvsEntry) -> str:
    """What the reader answers where it reads this value."""
    if isinstance(entry.value, int):
        return str(entry.value)
    data = entry.value.encode() if isinstance(entry.value, str) else entry.value
    return "=" + data.hex()


def key_partition(keys: bytes) -> bytes:
    """The partition nvs_keys with these 64 bytes, as `generate-key` writes it."""
    crc = zlib.crc32(keys, 0xFFFFFFFF)
    return (keys + crc.to_bytes(4, "little")).ljust(PAGE_SIZE, b"\xff")


def generated(
    entries: Sequence[NvsEntry], size: int, *, keys: bytes | None = None, version: int = 2
) -> bytes | None:
    """Espressif's image; None where its generator fails (a string that needs a whole page)."""
    generator: Any
    try:
        generator = importlib.import_module("esp_idf_nvs_partition_gen.nvs_partition_gen")
    except ImportError:
        pytest.skip("needs esp-idf-nvs-partition-gen (pip install it)")
    page_version = {1: generator.Page.VERSION1, 2: generator.Page.VERSION2}[version]
    stream = io.BytesIO()
    numbers: dict[str, int] = {}
    try:
        with generator.nvs_open(
            stream, size - PAGE_SIZE, page_version, is_encrypt=keys is not None, key=keys
        ) as nvs:
            for entry in entries:
                if entry.namespace not in numbers:
                    numbers[entry.namespace] = len(numbers) + 1
                    nvs.write_namespace(entry.namespace)
                encoding = {"str": "string", "blob": "binary"}.get(entry.kind, entry.kind)
                nvs.write_entry(entry.key, entry.value, encoding, numbers[entry.namespace])
    except generator.PageFullError:
        return None
    return stream.getvalue()
