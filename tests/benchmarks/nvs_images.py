# SPDX-License-Identifier: GPL-3.0-or-later
"""One unit's NVS image: evtool, and Espressif's generator as a library and as a program.

11 keys with a certificate of 1.5 KB, in 24 KB. All ways run in turn in one run, and each makes
the same image; a ratio is to evtool's way from the same input. CPU time of the process, and of
its children for the programs.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from evtool.protocol.nvs import NvsEntry, render_image
from evtool.protocol.nvs_encryption import NvsKeys, encode_keys, encrypt_image
from evtool.provision.nvs_build import build_from_csv

generator: Any = importlib.import_module("esp_idf_nvs_partition_gen.nvs_partition_gen")

SIZE = 0x6000
BOTH = bytes(range(64))
KEYS = NvsKeys(BOTH[:32], BOTH[32:])
ENTRIES = [
    NvsEntry("evcfg", "schema", "u8", 1),
    NvsEntry("evcfg", "cp_id", "str", "CP-0001"),
    NvsEntry("evcfg", "csms_url", "str", "wss://csms.example.org/ocpp"),
    NvsEntry("evcfg", "auth_key", "str", "30" * 20),
    NvsEntry("evcfg", "vendor", "str", "Example"),
    NvsEntry("evcfg", "model", "str", "Wallbox 22"),
    NvsEntry("evcfg", "serial", "str", "SN-000000001"),
    NvsEntry("evcfg", "wifi_ssid", "str", "site"),
    NvsEntry("evcfg", "wifi_pass", "str", "a passphrase of a site"),
    NvsEntry("evcfg", "max_ma", "u32", 32_000),
    NvsEntry("evcfg", "ca_cert", "str", "x" * 1500),
]
ENCODINGS = {"str": "string"}
CSV = "key,type,encoding,value\nevcfg,namespace,,\n" + "".join(
    f"{each.key},data,{ENCODINGS.get(each.kind, each.kind)},{each.value!s}\n" for each in ENTRIES
)
ROUNDS = 7


def _no_file(name: str) -> bytes:
    raise FileNotFoundError(name)


def _library(keys: bytes | None) -> bytes:
    stream = io.BytesIO()
    with generator.nvs_open(
        stream, SIZE - 4096, generator.Page.VERSION2, is_encrypt=keys is not None, key=keys
    ) as nvs:
        nvs.write_namespace("evcfg")
        for entry in ENTRIES:
            nvs.write_entry(entry.key, entry.value, ENCODINGS.get(entry.kind, entry.kind), 1)
    return stream.getvalue()


def _generate(folder: Path, keys: bytes | None) -> bytes:
    """What the program does once it has started, its lines of output thrown away."""
    arguments = SimpleNamespace(
        input=[str(folder / "unit.csv")],
        output=str(folder / "g.bin"),
        size=hex(SIZE),
        version=2,
        outdir=str(folder),
    )
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        generator.generate(arguments, keys is not None, keys)
    return (folder / "g.bin").read_bytes()


def _ours(folder: Path, keys: NvsKeys | None) -> bytes:
    data = (folder / "unit.csv").read_bytes()
    image = build_from_csv("unit.csv", data, SIZE, read_file=_no_file, keys=keys).image
    (folder / "o.bin").write_bytes(image)
    return image


def _program(folder: Path, out: str, *words: str) -> bytes:
    subprocess.run([sys.executable, "-m", *words], cwd=folder, check=True, capture_output=True)
    return (folder / out).read_bytes()


def prepare(folder: Path) -> None:
    """The input of every way."""
    (folder / "unit.csv").write_text(CSV, "utf-8")
    (folder / "keys.bin").write_bytes(encode_keys(KEYS))
    (folder / "keys.bin").chmod(0o600)


Way = tuple[str, Callable[[], bytes], int]


def ways(folder: Path, *, encrypted: bool) -> list[list[Way]]:
    """Groups of ways from the same input: name, call, calls in a round; ours comes first."""
    ours, theirs = (KEYS, BOTH) if encrypted else (None, None)

    def entries() -> bytes:
        plain = render_image(ENTRIES, SIZE)
        return plain if ours is None else encrypt_image(plain, ours)

    word = ("encrypt",) if encrypted else ("generate",)
    key = ("--inputkey", "keys.bin") if encrypted else ()
    our_key = ("--keys", "keys.bin") if encrypted else ()
    build = ("evtool", "provision", "nvs", "build", "unit.csv", "e.bin", "--size", "24K", *our_key)
    program = ("esp_idf_nvs_partition_gen", *word, "unit.csv", "p.bin", hex(SIZE), *key)
    return [
        [
            ("values: evtool's library", entries, 50),
            ("values: Espressif's library", lambda: _library(theirs), 50),
        ],
        [
            ("CSV to file: evtool's library", lambda: _ours(folder, ours), 50),
            ("CSV to file: Espressif's library", lambda: _generate(folder, theirs), 20),
            ("CSV to file: Espressif's program", lambda: _program(folder, "p.bin", *program), 1),
            ("CSV to file: evtool's program", lambda: _program(folder, "e.bin", *build), 1),
        ],
    ]


def _cpu_s() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def measure(group: list[Way]) -> dict[str, float]:
    """The median CPU time of a call, in ms, all ways in turn."""
    times: dict[str, list[float]] = {name: [] for name, _, _ in group}
    images = {call() for _, call, _ in group}
    if len(images) != 1:
        raise RuntimeError("they do not make the same image")
    for _ in range(ROUNDS):
        for name, call, calls in group:
            # os.times counts in 10 ms: enough calls for that to be little
            repeated = calls * (10 if calls > 1 else 1)
            began = _cpu_s()
            for _ in range(repeated):
                call()
            times[name].append((_cpu_s() - began) / repeated * 1000)
    return {name: statistics.median(each) for name, each in times.items()}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for encrypted in (False, True):
            for group in ways(folder, encrypted=encrypted):
                medians = measure(group)
                yardstick = medians[group[0][0]]
                for way, median in medians.items():
                    kind = "encrypted" if encrypted else "plain"
                    line = f"{kind:10}{way:34}{median:9.3f} ms{median / yardstick:8.1f}\n"
                    sys.stdout.write(line)


if __name__ == "__main__":
    main()
