# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages in the form PlatformIO keeps them, with which esp32dev is really compiled.

The platform runs this computer's g++ over the project, a framework and the libraries, and makes
an image that holds the SHA-256 of the program, as elf2image does.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from build_projects import add_package

from evtool.build.scons_package import scons_package
from evtool.protocol import app_image, partition_table
from evtool.protocol.host_image import virtual_bootloader
from evtool.resources import firmware_dir

TOOLS = {
    "toolchain-xtensa-esp32": ("espressif", "8.4.0+2021r2-patch5"),
    "framework-arduinoespressif32": ("platformio", "3.20017.0"),
    "tool-esptoolpy": ("platformio", "2.40900.0"),
}
MAIN = """\
#include <MicroOcpp.h>
#include <cstdio>
const char *core_file();
int main() { std::printf("%s %s %s %s\\n", __FILE__, core_file(), ocpp_file(), EVTOOL_BUILD_ID); }
"""
_CORE = "const char *core_file() { return __FILE__; }\n"
_BUILDER = """\
import hashlib
from pathlib import Path
from SCons.Script import Default, DefaultEnvironment

env = DefaultEnvironment()
platform = env.PioPlatform()
env.Replace(AR="ar", CC="gcc", CXX="g++", RANLIB="ranlib", PROGNAME="firmware", PROGSUFFIX=".elf")
env.Append(CCFLAGS=["-g1"], LINKFLAGS=["-Wl,-Map=" + env.subst("$BUILD_DIR/firmware.map")])
here = Path(platform.get_dir()) / "builder"

def image(target, source, env):
    from evtool.protocol.app_image import AppDescription, AppImage, Segment
    from evtool.protocol.app_image import encode, encode_description
    digest = hashlib.sha256(Path(str(source[0])).read_bytes()).hexdigest()
    description = AppDescription(digest[:16], "evcharger")
    app = AppImage(0x40080000, (Segment(0x3F400020, encode_description(description)),))
    folder = Path(env.subst("$BUILD_DIR"))
    (folder / "firmware.bin").write_bytes(encode(app))
    for name in ("bootloader.bin", "partitions.bin"):
        (folder / name).write_bytes((here / name).read_bytes())

program = env.BuildProgram()
action = env.VerboseAction(image, "Building $TARGET")
Default(env.Command(env.subst("$BUILD_DIR/firmware.bin"), program, action))
"""
# As Espressif's does: which compiler is needed depends on the chip.
_PLATFORM = """\
from platformio.public import PlatformBase

class Espressif32Platform(PlatformBase):
    def configure_default_packages(self, variables, targets):
        chip = self.board_config(variables.get("board")).get("build.mcu")
        self.packages[f"toolchain-xtensa-{chip}"]["optional"] = False
        return super().configure_default_packages(variables, targets)
"""
_FRAMEWORK = """\
from os.path import join
from SCons.Script import DefaultEnvironment

env = DefaultEnvironment()
folder = env.PioPlatform().get_package_dir("framework-arduinoespressif32")
env.Append(LIBS=[env.BuildLibrary(join("$BUILD_DIR", "FrameworkArduino"), join(folder, "cores"))])
"""


def make_computer(core: Path, libraries: Path) -> None:
    """A PlatformIO folder and a project's libraries as after one build with a network."""
    platform = add_package(
        core / "platforms/espressif32",
        "platform.json",
        "platformio",
        name="espressif32",
        version="6.12.0",
        title="ESP32",
        license="Apache-2.0",
        frameworks={
            "arduino": {
                "package": "framework-arduinoespressif32",
                "script": "builder/arduino.py",
            }
        },
        packages={
            **{
                name: {"owner": owner, "version": version, "optional": name != "tool-esptoolpy"}
                for name, (owner, version) in TOOLS.items()
            },
            "tool-openocd-esp32": {"type": "debugger", "optional": True, "version": "~1"},
            "toolchain-xtensa-esp32s3": {"optional": True, "version": "~8.4.0"},
        },
    )
    for name, (owner, version) in TOOLS.items():
        licence = {} if name == "tool-esptoolpy" else {"license": "LGPL-2.1-or-later"}
        system = {"system": [_system()]} if name.startswith("toolchain") else {"system": "*"}
        fields = {"name": name, "version": version, **licence, **system}
        add_package(core / "packages" / name, "package.json", owner, **fields)
    for path, content in scons_package(core / "packages").items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    _fill_toolchain(core / "packages/toolchain-xtensa-esp32")
    cores = core / "packages/framework-arduinoespressif32/cores"
    cores.mkdir()
    (cores / "core.cpp").write_text(_CORE)
    _fill_platform(platform)
    _add_libraries(libraries)
    # What PlatformIO and a person leave beside the packages, and what must not travel.
    (core / "appstate.json").write_text('{"account": {"auth": {"token": "tok-SECRET"}}}')
    (core / "homestate.json").write_text('{"token": "tok-SECRET"}')
    (core / "packages/tool-unrelated").mkdir()
    (core / "packages/tool-unrelated/file").write_text("not asked for")


def _system() -> str:
    from platformio.util import get_systype  # noqa: PLC0415 - as the packages name it

    return str(get_systype())


def _fill_toolchain(folder: Path) -> None:
    (folder / "bin").mkdir()
    compiler = folder / "bin/xtensa-esp32-elf-g++"
    compiler.write_bytes(b"\x7fELF a program " + bytes(range(256)) * 40)
    compiler.chmod(0o755)
    (folder / "bin/xtensa-esp32-elf-c++").symlink_to("xtensa-esp32-elf-g++")
    (folder / "lib").symlink_to("libexec/deep")
    long = folder / "libexec/deep" / ("a-name-that-is-long-" * 5) / ("and-longer-" * 8)
    long.mkdir(parents=True)
    (long / "liblto_plugin.so").write_bytes(b"so")
    (folder / "empty").mkdir()
    (folder / ".env").write_text("TOKEN=tok-SECRET")
    (folder / "secrets.h").write_text("tok-SECRET")


def _fill_platform(platform: Path) -> None:
    (platform / "boards").mkdir()
    upload = {"maximum_ram_size": 327_680, "maximum_size": 4_194_304}
    build = {"mcu": "esp32", "f_cpu": "240000000L"}
    board = {"name": "ESP32", "url": "", "vendor": "", "frameworks": ["arduino"]}
    (platform / "boards/esp32dev.json").write_text(
        json.dumps(board | {"build": build, "upload": upload})
    )
    builder = platform / "builder"
    builder.mkdir()
    (platform / "platform.py").write_text(_PLATFORM)
    (builder / "main.py").write_text(_BUILDER)
    (builder / "arduino.py").write_text(_FRAMEWORK)
    table = partition_table.parse((firmware_dir() / "partitions.csv").read_text())
    (builder / "bootloader.bin").write_bytes(app_image.encode(virtual_bootloader()))
    (builder / "partitions.bin").write_bytes(partition_table.encode(table))


def _add_libraries(libraries: Path) -> None:
    wanted = [("bblanchon", "ArduinoJson", "6.21.5"), ("links2004", "WebSockets", "2.7.2")]
    ocpp = add_package(
        libraries / "MicroOcpp",
        "library.json",
        "matth-x",
        name="MicroOcpp",
        version="1.2.0",
        license="MIT",
        dependencies=[{"owner": o, "name": n, "version": v} for o, n, v in wanted],
    )
    (ocpp / "src").mkdir()
    (ocpp / "src/MicroOcpp.h").write_text("const char *ocpp_file();\n")
    (ocpp / "src/MicroOcpp.cpp").write_text(
        '#include "MicroOcpp.h"\nconst char *ocpp_file() { return __FILE__; }\n'
    )
    for owner, name, version in wanted:
        add_package(libraries / name, "library.json", owner, name=name, version=version)
    # WebSockets says its licence in the older of the two files.
    (libraries / "WebSockets/library.json").unlink()
    (libraries / "WebSockets/library.properties").write_text(
        "name=WebSockets\nversion=2.7.2\nlicense=LGPL-2.1\n"
    )


def make_esp32_source(root: Path) -> None:
    """One source for the stand-in platform to compile."""
    source = root / "firmware/src"
    source.mkdir(exist_ok=True)
    (source / "main.cpp").write_text(MAIN)


def all_files(folder: Path) -> dict[str, bytes]:
    """Everything below a folder: contents, and targets of links."""
    found: dict[str, bytes] = {}
    for root, folders, names in os.walk(folder):
        for name in (*names, *folders):
            path = Path(root) / name
            if path.is_symlink():
                found[str(path.relative_to(folder))] = str(path.readlink()).encode()
            elif path.is_file():
                found[str(path.relative_to(folder))] = path.read_bytes()
    return found
