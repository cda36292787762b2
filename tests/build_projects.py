# SPDX-License-Identifier: GPL-3.0-or-later
"""Small projects for the tests of `evtool build`, and PlatformIO folders made by hand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from evtool.protocol import app_image, partition_table
from evtool.protocol.app_image import AppDescription, AppImage, Segment
from evtool.protocol.host_image import virtual_bootloader
from evtool.resources import firmware_dir

_MAIN = """\
#include <cstdio>
int main() { std::printf("%s %s %s\\n", WHO, EVTOOL_VERSION, EVTOOL_BUILD_ID); }
"""
_SETTINGS = """\
[charge_point]
identity = "CP-0001"
vendor = "v"
model = "m"
serial_number = "s"
[wifi]
ssid = "bench"
passphrase = { env = "MY_PASSPHRASE" }
[csms]
url = "ws://127.0.0.1:9000/ocpp"
authorization_key = { generate = true }
[build]
environment = "host"
"""
# Sees every name that is looked up and every connection, in whatever Python runs below us.
_WATCH = """\
import os, socket

def watch(what, original):
    def wrapper(*args, **kwargs):
        with open(os.environ["WATCH_FILE"], "a") as file:
            file.write(f"{what} {args!r}\\n")
        raise OSError("no network in this test")
    return wrapper

socket.getaddrinfo = watch("look up", socket.getaddrinfo)
socket.socket.connect = watch("connect", socket.socket.connect)
"""


def make_project(root: Path, who: str = "tiny") -> Path:
    """A project whose firmware is one line long; our platformio.ini, platform and table."""
    firmware = root / "firmware"
    shutil.copytree(firmware_dir() / "platforms", firmware / "platforms")
    for name in ("platformio.ini", "partitions.csv", "build_defines.py", "build_paths.py"):
        shutil.copy(firmware_dir() / name, firmware / name)
    (firmware / "host").mkdir()
    (firmware / "host/main.cpp").write_text(_MAIN.replace("WHO", f'"{who}"'))
    (root / "evtool.toml").write_text(_SETTINGS)
    return root


def environment(tmp_path: Path, **extra: str) -> dict[str, str]:
    """An environment with a home of its own in which any use of the network is written down."""
    watch = tmp_path / "watch"
    watch.mkdir(exist_ok=True)
    (watch / "sitecustomize.py").write_text(_WATCH)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PLATFORMIO_", "EVTOOL_", "XDG_")) and "proxy" not in name.lower()
    }
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return {
        **kept,
        "HOME": str(home),
        "PYTHONPATH": str(watch),
        "WATCH_FILE": str(tmp_path / "network"),
        **extra,
    }


def evtool_build(
    root: Path, variables: Mapping[str, str], *arguments: str, room_s: float = 100
) -> subprocess.CompletedProcess[str]:
    """`evtool build` in `root`."""
    return subprocess.run(
        [sys.executable, "-m", "evtool", "build", *arguments],
        cwd=root,
        env=dict(variables),
        capture_output=True,
        text=True,
        timeout=room_s,
        check=False,
    )


def add_package(folder: Path, manifest: str, owner: str, **fields: object) -> Path:
    """A package as PlatformIO finds it installed: its manifest, and its note of the origin."""
    folder.mkdir(parents=True)
    (folder / manifest).write_text(json.dumps(fields))
    kind = {"package.json": "tool", "library.json": "library", "platform.json": "platform"}
    spec = {"owner": owner, "id": None, "name": fields["name"], "requirements": None, "uri": None}
    note = {"type": kind[manifest], "name": fields["name"], "version": fields["version"]}
    (folder / ".piopm").write_text(json.dumps(note | {"spec": spec}))
    return folder


_ESP32_BUILDER = """\
from pathlib import Path
from SCons.Script import Default, DefaultEnvironment

env = DefaultEnvironment()
folder = Path(env.subst("$BUILD_DIR"))

def make(target, source, env):
    for path in Path(__file__).parent.glob("*.bin"):
        (folder / path.name).write_bytes(path.read_bytes())

__file__ = env.PioPlatform().get_dir() + "/builder/main.py"
Default(env.Command("never.bin", [], make))
"""


def seed_esp32(core: Path, libraries: Path) -> None:
    """Everything that esp32dev needs, with a platform that hands out prepared binaries."""
    tools = {
        "toolchain-xtensa-esp32": ("espressif", "8.4.0+2021r2-patch5"),
        "framework-arduinoespressif32": ("platformio", "3.20017.0"),
        "tool-esptoolpy": ("platformio", "2.40900.0"),
    }
    platform = add_package(
        core / "platforms/espressif32",
        "platform.json",
        "platformio",
        name="espressif32",
        version="6.12.0",
        title="ESP32",
        frameworks={"arduino": {"package": "framework-arduinoespressif32", "script": "x.py"}},
        packages={n: {"type": "tool", "owner": o, "version": v} for n, (o, v) in tools.items()},
    )
    for name, (owner, version) in tools.items():
        add_package(core / "packages" / name, "package.json", owner, name=name, version=version)
    (platform / "boards").mkdir()
    board = {"name": "ESP32", "url": "", "vendor": "", "build": {}, "frameworks": ["arduino"]}
    (platform / "boards/esp32dev.json").write_text(json.dumps(board | {"upload": {}}))
    builder = platform / "builder"
    builder.mkdir()
    (builder / "main.py").write_text(_ESP32_BUILDER)
    description = app_image.encode_description(AppDescription("0.1.0", "evcharger"))
    app = AppImage(0x40080000, (Segment(0x3F400020, description),))
    table = partition_table.parse((firmware_dir() / "partitions.csv").read_text())
    (builder / "firmware.bin").write_bytes(app_image.encode(app))
    (builder / "bootloader.bin").write_bytes(app_image.encode(virtual_bootloader()))
    (builder / "partitions.bin").write_bytes(partition_table.encode(table))

    wanted = [("bblanchon", "ArduinoJson", "6.20.1"), ("links2004", "WebSockets", "2.4.1")]
    add_package(
        libraries / "MicroOcpp",
        "library.json",
        "matth-x",
        name="MicroOcpp",
        version="1.2.0",
        dependencies=[{"owner": o, "name": n, "version": v} for o, n, v in wanted],
    )
    for owner, name, version in [
        *wanted,
        ("bblanchon", "ArduinoJson", "6.21.5"),
        ("links2004", "WebSockets", "2.7.2"),
    ]:
        folder = libraries / f"{name}@{version}"
        add_package(folder, "library.json", owner, name=name, version=version)
