# SPDX-License-Identifier: GPL-3.0-or-later
"""The ESP32 sources against the real headers of Arduino-ESP32 2.0.x and the libraries.

No Xtensa compiler is needed: the computer's own compiler checks the types in 32-bit mode
(Debian: apt-get install g++-multilib). The headers are not part of this repository. Name them:

    EVTOOL_ARDUINO_ESP32    a checkout or package with cores/, libraries/, tools/sdk/, platform.txt
    EVTOOL_ESP32_LIBRARIES  a folder that holds MicroOcpp/, ArduinoJson/ and WebSockets/
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from evtool.resources import firmware_dir

FIRMWARE = firmware_dir()
SOURCES = sorted([*(FIRMWARE / "src").glob("*.cpp"), *(FIRMWARE / "lib").glob("*/src/*.cpp")])
# The computer's C library stands in for newlib; these are newlib's own, as far as they matter.
SHIMS = {
    "machine/endian.h": "#include <endian.h>\n",
    "reent.h": "#pragma once\nstruct _reent { int _errno; };\n",
    "sys/reent.h": "#include <reent.h>\n",
    "esp_newlib.h": "#pragma once\n#include <reent.h>\n",
}
DEFINES = [
    *("-D__XTENSA__", "-D_Static_assert=static_assert", "-DESP_PLATFORM", "-DESP32"),
    *("-DARDUINO=10812", "-DARDUINO_ESP32_DEV", "-DARDUINO_ARCH_ESP32", "-DF_CPU=240000000L"),
    *('-DARDUINO_BOARD="esp32dev"', '-DARDUINO_VARIANT="esp32"', "-DARDUINO_USB_CDC_ON_BOOT=0"),
    *("-DHAVE_CONFIG_H", '-DMBEDTLS_CONFIG_FILE="mbedtls/esp_config.h"', "-DWITH_POSIX"),
    *("-D_GNU_SOURCE", "-D_POSIX_READER_WRITER_LOCKS", "-DCORE_DEBUG_LEVEL=0"),
    *("-DEVTOOL_WITH_MICROOCPP=1", "-DMO_CUSTOM_WS", "-DMO_CUSTOM_CONSOLE"),
]
# What a wrong call looks like: the file, a right text and a wrong one.
PLANTED = [
    ("twai_bus.cpp", "twai_transmit(&message, 0)", "twai_transmit(message, 0)"),
    ("mcp2515_port.cpp", "(device_, &transaction)", "(&device_, transaction)"),
    ("network_task.cpp", "enableHeartbeat(interval_ms,", "enableHeartbeat(&interval_ms,"),
    ("csms_client.cpp", "connect(_host.c_str(), _port,", "connect(_host.c_str(), _host,"),
    ("verified_client.cpp", "watch(sslclient->ssl_conf)", "watch(sslclient->ssl_ctx)"),
    ("verified_client.cpp", "setPrivateKey(key)", "setPrivateKey(*key)"),
    ("chain_dates.cpp", "&config, check, this)", "&config, seconds, this)"),
    ("http_transport.cpp", "begin(*client_,", "begin(client_,"),
    ("ota_slots.cpp", "esp_ota_begin(other_,", "esp_ota_begin(*other_,"),
    ("files_task.cpp", "worker(slots, transport, rules)", "worker(transport, slots, rules)"),
    ("unit_clock.cpp", "time{kBuildTime, kept}", "time{kVersion, kept}"),
    ("nvs_store.cpp", "kEnergy, mwh)", "mwh, kEnergy)"),
    ("factory_flash.cpp", "tweak.data(),", "tweak,"),
    ("factory_identity.cpp", "evidentity::kNamespace)", "evidentity::kSchema, 1)"),
    ("health_task.cpp", "esp_core_dump_image_check()", "esp_core_dump_image_check(1)"),
    ("main.cpp", "start_health_task(shared, ", "start_health_task("),
    ("storage.cpp", "ESP_PARTITION_SUBTYPE_ANY, kPartition", "kPartition, kPartition"),
    ("ocpp_task.cpp", "mount_storage(shared)", "mount_storage(identity)"),
    ("control_task.cpp", "esp_task_wdt_add(nullptr)", "esp_task_wdt_add(1, 2)"),
]


def folder_from(name: str) -> Path:
    folder = os.environ.get(name)
    if not folder:
        pytest.skip(f"the ESP32 headers are not at hand: set {name} (see the top of this file)")
    return Path(folder)


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The compiler's command line, but for the source."""
    arduino = folder_from("EVTOOL_ARDUINO_ESP32")
    libraries = folder_from("EVTOOL_ESP32_LIBRARIES")
    gxx = shutil.which("g++")
    if gxx is None:
        pytest.skip("needs g++ with 32-bit support (Debian: apt-get install g++-multilib)")
    shims = tmp_path_factory.mktemp("shims")
    for name, text in SHIMS.items():
        (shims / name).parent.mkdir(exist_ok=True)
        (shims / name).write_text(text)
    own = [FIRMWARE / "src", FIRMWARE / "include"]
    own += sorted((FIRMWARE / "lib").glob("*/include"))
    foreign = [shims, *sdk_folders(arduino)]
    foreign += [arduino / "cores" / "esp32", arduino / "variants" / "esp32"]
    foreign += [
        arduino / "libraries" / name / "src"
        for name in ("WiFi", "WiFiClientSecure", "HTTPClient", "FS", "LittleFS")
    ]
    foreign += [libraries / name / "src" for name in ("MicroOcpp", "ArduinoJson", "WebSockets")]
    flags = ["-m32", "-std=gnu++17", "-fsyntax-only", "-fno-rtti", "-Wall", "-Wextra", "-Werror"]
    flags += [*DEFINES, *(f"-I{folder}" for folder in own)]
    flags += [word for folder in foreign for word in ("-isystem", str(folder))]
    return [gxx, *flags]


def sdk_folders(arduino: Path) -> list[Path]:
    """The include folders that the core's own build names, but for newlib's."""
    sdk = arduino / "tools" / "sdk" / "esp32"
    text = (arduino / "platform.txt").read_text(encoding="utf-8")
    line = re.search(r"^compiler\.cpreprocessor\.flags\.esp32=(.*)$", text, re.MULTILINE)
    assert line is not None, "platform.txt names no include folders for the ESP32"
    named = re.findall(r'-I\{compiler\.sdk\.path\}/([^"{}]+)"', line[1])
    return [
        *(sdk / name for name in named if "newlib" not in name),
        sdk / "dio_qspi" / "include",
    ]


def check(command: list[str], source: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, str(source)], check=False, capture_output=True, text=True, timeout=110
    )


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_a_source_fits_the_headers(command: list[str], source: Path) -> None:
    checked = check(command, source)
    assert checked.returncode == 0, checked.stderr[:4000]


@pytest.mark.parametrize(
    "source", [s for s in SOURCES if "EVTOOL_LAB" in s.read_text()], ids=lambda source: source.name
)
def test_a_source_fits_in_the_lab_as_well(command: list[str], source: Path) -> None:
    checked = check([*command, "-DEVTOOL_LAB=1"], source)
    assert checked.returncode == 0, checked.stderr[:4000]


@pytest.mark.parametrize(("environment", "calls"), [([], 0), (["-DEVTOOL_LAB=1"], 1)])
def test_only_the_lab_can_leave_a_certificate_unchecked(
    command: list[str], environment: list[str], calls: int
) -> None:
    found = 0
    for source in (FIRMWARE / "src").glob("*.cpp"):
        if "setInsecure" not in source.read_text(encoding="utf-8"):
            continue
        expanded = check([*command, *environment, "-E"], source)
        assert expanded.returncode == 0, expanded.stderr[:4000]
        found += len(re.findall(r"->\s*setInsecure|\.\s*setInsecure", expanded.stdout))
    assert found == calls


@pytest.mark.parametrize(("name", "right", "wrong"), PLANTED)
def test_a_wrong_call_does_not_fit(
    command: list[str], tmp_path: Path, name: str, right: str, wrong: str
) -> None:
    text = (FIRMWARE / "src" / name).read_text(encoding="utf-8")
    assert right in text
    assert check(command, FIRMWARE / "src" / name).returncode == 0
    (tmp_path / name).write_text(text.replace(right, wrong))
    assert "error:" in check(command, tmp_path / name).stderr
