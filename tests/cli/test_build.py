# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool build` with real PlatformIO on projects of one line, without a network."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from build_projects import environment, evtool_build, make_project, seed_esp32

from evtool.build.scons_package import scons_package
from evtool.protocol import app_image, partition_table
from evtool.protocol.app_image import AppImage
from evtool.protocol.host_image import payload

pytestmark = pytest.mark.usefixtures("gxx")


def test_the_host_build_needs_no_network_and_no_home(tmp_path: Path) -> None:
    root, variables = make_project(tmp_path / "p"), environment(tmp_path)
    done = evtool_build(root, variables, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["event"] == "start"
    assert lines[-1]["event"] == "built"
    assert any(line["event"] == "compiling" for line in lines)
    assert not (tmp_path / "network").exists(), (tmp_path / "network").read_text()
    assert not (tmp_path / "home/.platformio").exists()

    output = root / "build/host"
    manifest = json.loads((output / "manifest.json").read_text())
    assert [(row["name"], row["offset"]) for row in manifest["images"]] == [
        ("bootloader", 0x1000),
        ("partition-table", 0x8000),
        ("otadata", 0xE000),
        ("app", 0x10000),
    ]
    for row in manifest["images"]:
        data = (output / row["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
    program = output / manifest["program"]
    said = subprocess.run([program], capture_output=True, text=True, check=True)
    assert said.stdout == f"tiny {manifest['version']} {manifest['build_id']}\n"

    image = app_image.decode((output / "firmware.bin").read_bytes(), offset=0x10000)
    assert isinstance(image, AppImage)
    assert payload(image) == program.read_bytes()
    description = app_image.decode_description(image)
    assert description is not None
    assert description.version == f"{manifest['version']}+{manifest['build_id']}"
    table = partition_table.decode((output / "partition-table.bin").read_bytes())
    assert [row["name"] for row in manifest["partitions"]] == [p.name for p in table]  # type: ignore[union-attr]  # Malformed has no names, and the test fails

    before = {path.name: path.stat().st_mtime_ns for path in output.iterdir()}
    again = evtool_build(root, variables)
    assert "(unchanged)" in again.stdout
    assert {path.name: path.stat().st_mtime_ns for path in output.iterdir()} == before

    main = root / "firmware/host/main.cpp"
    main.write_text(main.read_text() + "// changed\n")
    changed = json.loads(evtool_build(root, variables, "--json").stdout.splitlines()[-1])
    assert changed["build_id"] != manifest["build_id"]
    said = subprocess.run([program], capture_output=True, text=True, check=True)
    assert changed["build_id"] in said.stdout


def test_two_projects_build_at_the_same_time(tmp_path: Path) -> None:
    variables = environment(tmp_path)
    roots = [make_project(tmp_path / who, who) for who in ("one", "two")]
    for root in roots:  # which PlatformIO must not take for Python's own
        (root / "firmware" / "secrets.py").write_text("raise SystemExit('the wrong secrets')\n")
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "evtool", "build"],
            cwd=root,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for root in roots
    ]
    said_by = [process.communicate(timeout=100)[0].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0], said_by
    for root in roots:
        said = subprocess.run([root / "build/host/program"], capture_output=True, check=True)
        assert said.stdout.decode().startswith(root.name)


def test_a_compiler_error_is_shown_with_file_and_line(tmp_path: Path) -> None:
    root, variables = make_project(tmp_path / "p"), environment(tmp_path)
    main = root / "firmware/host/main.cpp"
    main.write_text(main.read_text() + "int broken = ;\n")
    done = evtool_build(root, variables)
    assert done.returncode == 4
    assert "does not compile: host/main.cpp:3:14: error:" in done.stderr
    assert not (root / "build").exists()


def test_the_default_environment_and_a_missing_firmware(tmp_path: Path) -> None:
    root, variables = make_project(tmp_path / "p"), environment(tmp_path)
    plan = evtool_build(root, variables, "--dry-run", "--json")
    assert json.loads(plan.stdout)["environment"] == "host"
    assert not (root / "firmware/.pio").exists()
    assert not (tmp_path / "home/.cache").exists()
    shutil.rmtree(root / "firmware")
    done = evtool_build(root, variables)
    assert done.returncode == 2
    assert "there is no platformio.ini" in done.stderr


def test_no_compiler_is_named_with_the_fix(tmp_path: Path) -> None:
    root = make_project(tmp_path / "p")
    done = evtool_build(root, environment(tmp_path, PATH=str(tmp_path)))
    assert done.returncode == 4
    assert "g++" in done.stderr
    assert "apt-get install g++" in done.stderr


def test_a_too_small_slot_names_both_sizes(tmp_path: Path) -> None:
    root, variables = make_project(tmp_path / "p"), environment(tmp_path)
    (root / "firmware/partitions.csv").write_text("app, app, factory, 0x10000, 4K\n")
    done = evtool_build(root, variables)
    assert done.returncode == 2
    assert "partition app holds 4096" in done.stderr


def test_a_missing_partition_table_is_named(tmp_path: Path) -> None:
    root, variables = make_project(tmp_path / "p"), environment(tmp_path)
    (root / "firmware/partitions.csv").unlink()
    done = evtool_build(root, variables)
    assert done.returncode == 2
    assert "partitions.csv: No such file" in done.stderr


def test_esp32dev_without_registry_names_everything_at_once(
    tmp_path: Path, closed_port: int
) -> None:
    root = make_project(tmp_path / "p")
    variables = environment(tmp_path, HTTPS_PROXY=f"http://127.0.0.1:{closed_port}")
    done = evtool_build(root, variables, "--env", "esp32dev", "--json")
    assert done.returncode == 4
    message = json.loads(done.stdout)["message"]
    for needed in (
        "platform platformio/espressif32 6.12.0",
        "tool espressif/toolchain-xtensa-esp32 8.4.0+2021r2-patch5",
        "tool platformio/framework-arduinoespressif32 ~3.20017.0",
        "tool platformio/tool-scons",
        "library bblanchon/ArduinoJson ~6.21.5",
        "library matth-x/MicroOcpp 1.2.0",
    ):
        assert needed in message
    # The one look was through the proxy; and so the watch of the other tests does see.
    assert str(closed_port) in (tmp_path / "network").read_text()


def test_esp32dev_with_everything_there_is_built_as_by_its_user(
    tmp_path: Path, closed_port: int
) -> None:
    root, core = make_project(tmp_path / "p"), tmp_path / "core"
    seed_esp32(core, root / "firmware/.pio/libdeps/esp32dev")
    for path, content in scons_package(core / "packages").items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    variables = environment(
        tmp_path,
        PLATFORMIO_CORE_DIR=str(core),
        PLATFORMIO_SETTING_ENABLE_TELEMETRY="no",
        PLATFORMIO_DISABLE_UPGRADE_CHECK="true",
        HTTPS_PROXY=f"http://127.0.0.1:{closed_port}",
    )
    done = evtool_build(root, variables, "--env", "esp32dev")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "network").exists()
    manifest = json.loads((root / "build/esp32dev/manifest.json").read_text())
    assert manifest["env"] == "esp32dev"
    assert "program" not in manifest
    assert (root / "build/esp32dev/otadata.bin").read_bytes()[:4] == b"\1\0\0\0"

    # What a library needs is needed too, and PlatformIO would go and look for it.
    shutil.rmtree(root / "firmware/.pio/libdeps/esp32dev/WebSockets@2.4.1")
    done = evtool_build(root, variables, "--env", "esp32dev")
    assert done.returncode == 4
    assert "library links2004/WebSockets 2.4.1" in done.stderr
    assert "espressif32" not in done.stderr
