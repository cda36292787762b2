# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool bundle`: made on one computer, built with on another that has no network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from build_projects import add_package, environment, make_project
from bundle_samples import make_bundle, nothing
from stand_in_packages import TOOLS, all_files, make_computer, make_esp32_source

from evtool.link.bundle_archive import BundleArchive
from evtool.link.bundle_store import BundleStore, verify_installed

pytestmark = pytest.mark.usefixtures("gxx")

ROOM_S = 100
# Linux says so when a child may not have a network of its own.
_NO_NETWORK = (["unshare", "--net"], ["unshare", "--user", "--map-root-user", "--net"])


class Computer:
    """A home, a project and nothing of the computer that the test runs on."""

    def __init__(self, folder: Path, project: Path | None = None, **variables: str) -> None:
        folder.mkdir(exist_ok=True)
        self.home = folder / "home"
        self.project = folder / "p"
        if project is None:
            make_esp32_source(make_project(self.project))
        else:
            shutil.copytree(project, self.project, ignore=shutil.ignore_patterns(".pio", "build"))
        self.network = folder / "network"
        self.variables = environment(folder, **variables)

    def evtool(
        self, *arguments: str | Path, prefix: tuple[str, ...] = (), code: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run evtool in the project."""
        done = subprocess.run(
            [*prefix, sys.executable, "-m", "evtool", *arguments],
            cwd=self.project,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=ROOM_S,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    @property
    def bundle_home(self) -> Path:
        return self.home / ".local/share/evtool/bundle"


def online(folder: Path) -> Computer:
    """A computer that has everything and has built the project once."""
    core = folder / "core"
    computer = Computer(
        folder,
        PLATFORMIO_CORE_DIR=str(core),
        PLATFORMIO_SETTING_ENABLE_TELEMETRY="no",
        PLATFORMIO_DISABLE_UPGRADE_CHECK="true",
        HTTPS_PROXY="http://127.0.0.1:1",
    )
    make_computer(core, computer.project / "firmware/.pio/libdeps/esp32dev")
    return computer


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Computer, Path]:
    """That computer and the bundle that it made."""
    folder = tmp_path_factory.mktemp("a")
    computer = online(folder)
    bundle = folder / "x.bundle"
    computer.evtool("bundle", "create", "--no-wheels", "--output", bundle)
    return computer, bundle


def without_network() -> tuple[str, ...]:
    """A prefix that runs a command in a network namespace with nothing in it; skips if none."""
    for prefix in _NO_NETWORK:
        if shutil.which(prefix[0]) and (
            subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
        ):
            return tuple(prefix)
    pytest.skip("needs `unshare --net`: this user may make no network namespace")


def test_a_build_on_a_computer_without_a_network(
    packed: tuple[Computer, Path], tmp_path: Path
) -> None:
    prefix = without_network()
    first, bundle = packed
    first.evtool("build", "--env", "esp32dev")
    second = Computer(tmp_path / "b", first.project)
    said = second.evtool("build", "--env", "esp32dev", prefix=prefix, code=4).stderr
    assert "evtool bundle install FILE" in said
    second.network.unlink()  # it looked for the registry once; and so this file does see

    said = second.evtool("bundle", "install", bundle, prefix=prefix).stdout
    assert "evtool build --env esp32dev" in said
    done = second.evtool("build", "--env", "esp32dev", "--json", prefix=prefix)
    assert not second.network.exists(), second.network.read_text()
    assert not (second.home / ".platformio").exists()
    started = json.loads(done.stdout.splitlines()[0])
    installed = second.bundle_home / "versions"
    assert started["variables"]["PLATFORMIO_PACKAGES_DIR"].startswith(str(installed))
    # The same image, from another folder, another PlatformIO folder and other libraries.
    ours, theirs = second.project / "build/esp32dev", first.project / "build/esp32dev"
    names = {path.name for path in ours.iterdir()}
    assert {"firmware.bin", "manifest.json", "sizes.json", "provenance.json"} <= names
    for name in names - {"provenance.json"}:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    provenance = json.loads((ours / "provenance.json").read_text())
    assert [provenance["bundle"]] == [path.name for path in installed.iterdir()]
    assert {(p["name"], p["version"]) for p in provenance["packages"]} >= {
        ("espressif32", "6.12.0"),
        ("toolchain-xtensa-esp32", "8.4.0+2021r2-patch5"),
        ("MicroOcpp", "1.2.0"),
    }
    # Building left the bundle as it was.
    second.evtool("bundle", "verify")
    second.evtool("build", "--env", "esp32dev_lab", prefix=prefix)
    second.evtool("bundle", "verify")
    checks = json.loads(second.evtool("doctor", "--json", prefix=prefix).stdout)["checks"]
    by_name = {check["name"]: check for check in checks}
    assert by_name["bundle"]["good"]
    assert by_name["build --env esp32dev"]["good"]
    assert "espressif32 6.12.0" in by_name["platform"]["detail"]
    assert not list(second.bundle_home.rglob("__pycache__"))


def test_what_is_in_it_and_what_is_not(packed: tuple[Computer, Path], tmp_path: Path) -> None:
    computer, bundle = packed
    with tarfile.open(bundle, "r:xz") as tar:
        names = tar.getnames()
        manifest = json.load(tar.extractfile("MANIFEST.json"))  # type: ignore[arg-type]  # it is a file
        tar.extractall(tmp_path, filter="data")
    assert "tok-SECRET" not in str(all_files(tmp_path))
    last = {name.rsplit("/", 1)[-1] for name in names}
    assert not last & {"secrets.h", ".env", "appstate.json", "homestate.json", "tool-unrelated"}
    assert str(computer.project) not in str(all_files(tmp_path)), "no path of the computer"
    known = {package["name"]: package for package in manifest["packages"]}
    assert set(known) == {
        *("espressif32", "tool-scons", *TOOLS),
        *("MicroOcpp", "ArduinoJson", "WebSockets"),
    }
    assert known["MicroOcpp"]["licence"] == "MIT"
    assert known["WebSockets"]["licence"] == "LGPL-2.1"
    assert known["toolchain-xtensa-esp32"]["licence"] == "LGPL-2.1-or-later"
    assert known["tool-esptoolpy"]["licence"] == "unknown"
    assert known["toolchain-xtensa-esp32"]["systems"] == [manifest["system"]]

    again = tmp_path / "again.bundle"
    done = computer.evtool("bundle", "create", "--no-wheels", "--output", again, "--json")
    assert again.read_bytes() == bundle.read_bytes()
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["event"] for line in lines if line["event"] != "progress"] == [
        *("hash", "pack", "created"),
    ]
    assert any(name.endswith("/secrets.h") for name in lines[-1]["left_out"])
    plan = computer.evtool("bundle", "create", "--dry-run", "--json").stdout
    assert json.loads(plan)["file"] == f"evtool-esp32dev-{manifest['system']}.bundle"
    assert not list(computer.project.glob("*.bundle"))


def test_a_computer_that_lacks_something_makes_none(tmp_path: Path) -> None:
    computer = online(tmp_path / "a")
    shutil.rmtree(tmp_path / "a/core/packages/tool-esptoolpy")
    shutil.rmtree(computer.project / "firmware/.pio/libdeps/esp32dev/WebSockets")
    said = computer.evtool("bundle", "create", "--no-wheels", code=2).stderr
    assert "tool platformio/tool-esptoolpy" in said
    assert "library links2004/WebSockets 2.7.2" in said
    assert "evtool build --env esp32dev" in said


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (
            lambda tool: (tool / "evil").symlink_to("/etc/passwd"),
            "links to /etc/passwd, which is outside of the package",
        ),
        (lambda tool: (tool / "evil").symlink_to("../../appstate.json"), "outside of the package"),
        (lambda tool: os.mkfifo(tool / "pipe"), "neither a file nor a folder nor a link"),
        (lambda tool: (tool / "a\\b").touch(), "no backslash"),
        (
            lambda tool: (tool / ".piopm").write_text(
                (tool / ".piopm").read_text().replace(
                    '"uri": null', '"uri": "https://me:tok-SECRET@host/x.git"'
                )
            ),
            "a user's name or password in it",
        ),
    ],
)  # fmt: skip
def test_packages_that_no_bundle_may_hold(
    tmp_path: Path, harm: Callable[[Path], object], said: str
) -> None:
    computer = online(tmp_path / "a")
    harm(tmp_path / "a/core/packages/tool-esptoolpy")
    errors = computer.evtool("bundle", "create", "--no-wheels", code=2).stderr
    assert said in errors
    assert "tool-esptoolpy" in errors
    assert "tok-SECRET" not in errors
    assert not list(computer.project.glob("*bundle*"))


def test_another_architecture_is_refused(packed: tuple[Computer, Path], tmp_path: Path) -> None:
    first, bundle = packed
    second = Computer(tmp_path / "b", first.project, PLATFORMIO_SYSTEM_TYPE="linux_aarch64")
    said = second.evtool("bundle", "install", bundle, code=2).stderr
    assert "and this computer is linux_aarch64" in said
    assert not second.bundle_home.exists()


def test_a_bundle_that_is_not_enough(packed: tuple[Computer, Path], tmp_path: Path) -> None:
    first, bundle = packed
    second = Computer(tmp_path / "b", first.project)
    ini = second.project / "firmware/platformio.ini"
    text = ini.read_text()
    ini.write_text(text.replace("links2004/WebSockets@2.7.2", "links2004/WebSockets@2.8.0"))
    for command in ("verify", "install"):
        said = second.evtool("bundle", command, bundle, code=1).stderr
        assert "library links2004/WebSockets 2.8.0" in said
        assert "ArduinoJson" not in said
    assert not second.bundle_home.exists()
    ini.write_text(text)
    second.evtool("bundle", "install", bundle)
    ini.write_text(text.replace("espressif32@6.12.0", "espressif32@6.13.0"))
    said = second.evtool("build", "--env", "esp32dev", code=4).stderr
    assert "platform platformio/espressif32 6.13.0" in said
    assert "does not hold" in said


def test_where_a_bundle_is_looked_for(packed: tuple[Computer, Path], tmp_path: Path) -> None:
    first, bundle = packed
    second = Computer(tmp_path / "b", first.project)
    place = tmp_path / "place"
    settings = second.project / "evtool.toml"
    settings.write_text(settings.read_text() + f'bundle = "{place}"\n')
    said = second.evtool("build", "--env", "esp32dev", code=2).stderr
    assert f"evtool bundle install FILE --to {place}" in said
    second.evtool("bundle", "install", bundle)
    assert (place / "current/MANIFEST.json").is_file()
    assert not second.bundle_home.exists()
    plan = ["build", "--env", "esp32dev", "--dry-run", "--json"]
    variables = json.loads(second.evtool(*plan).stdout)["variables"]
    assert variables["PLATFORMIO_PACKAGES_DIR"].startswith(str(place))
    second.variables["EVTOOL_BUNDLE_DIR"] = ""
    variables = json.loads(second.evtool(*plan).stdout)["variables"]
    assert "PLATFORMIO_PACKAGES_DIR" not in variables
    second.evtool("bundle", "verify", tmp_path / "nothing", code=2)


def test_dry_run_installs_nothing(packed: tuple[Computer, Path], tmp_path: Path) -> None:
    first, bundle = packed
    second = Computer(tmp_path / "b", first.project)
    said = second.evtool("bundle", "install", "--dry-run", "--json", bundle).stdout
    assert json.loads(said.splitlines()[-1])["event"] == "planned"
    assert not second.bundle_home.exists()
    second.evtool("bundle", "verify", code=2)


def test_killed_at_every_line_that_it_prints(tmp_path: Path) -> None:
    """From outside, as a power cut would: the old bundle or the new one, and then the new one."""
    computer = Computer(tmp_path / "a")
    (computer.project / "firmware/platformio.ini").unlink()
    make_bundle(tmp_path / "old", b"old")
    make_bundle(tmp_path / "new", b"new")
    store = BundleStore(computer.bundle_home)
    number = 0
    ended = False
    while not ended:
        number += 3
        shutil.rmtree(computer.bundle_home, ignore_errors=True)
        old = BundleArchive(tmp_path / "old")
        store.install(old, nothing, lambda stage: None, lambda: None)
        ended = _killed_after_line(computer, tmp_path / "new", number)
        assert _version(store) in ((b"new",) if ended else (b"old", b"new"))
        computer.evtool("bundle", "install", tmp_path / "new")
        assert _version(store) == b"new"
        assert len(list((computer.bundle_home / "versions").iterdir())) == 1
    assert number > 6


def _version(store: BundleStore) -> bytes:
    folder = store.current()
    assert folder is not None
    verify_installed(folder, nothing)
    return (folder / "tools/gcc/version").read_bytes()


def _killed_after_line(computer: Computer, bundle: Path, number: int) -> bool:
    """Install, and kill -9 when the n-th line was printed; whether it had ended by itself."""
    with subprocess.Popen(
        [sys.executable, "-m", "evtool", "bundle", "install", "--json", bundle],
        cwd=computer.project,
        env=computer.variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        lines = [line for _ in range(number) if (line := process.stdout.readline())]
        if len(lines) < number:
            assert process.wait(timeout=ROOM_S) == 0
            return True
        process.kill()
        process.wait(timeout=ROOM_S)
    return False


@pytest.mark.parametrize("data", [b"", b"nothing of ours", b"\xfd7zXZ\0" + bytes(30)])
def test_files_that_are_no_bundle(tmp_path: Path, data: bytes) -> None:
    computer = Computer(tmp_path / "a")
    (tmp_path / "x").write_bytes(data)
    for command in ("verify", "install"):
        done = computer.evtool("bundle", command, "--json", tmp_path / "x", code=1)
        error = json.loads(done.stdout.splitlines()[-1])
        assert error["error"] == "CheckFailed"
        assert str(tmp_path / "x") in error["message"]
        assert error["fix"]
    assert not computer.bundle_home.exists()


def _wheel(folder: Path, name: str, licence: str) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{licence}\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_wheels_travel_with_it(packed: tuple[Computer, Path], tmp_path: Path) -> None:
    first, _ = packed
    wheels, bundle = tmp_path / "wheels", tmp_path / "w.bundle"
    wheels.mkdir()
    (wheels / "other.txt").touch()
    create = ("bundle", "create", "--wheels", wheels, "--output", bundle)
    assert "no wheel of evtool" in first.evtool(*create, code=2).stderr
    ours = _wheel(wheels, "evtool", "License-Expression: GPL-3.0-or-later")
    _wheel(wheels, "dep", "Classifier: License :: OSI Approved :: MIT License")
    first.evtool(*create)
    second = Computer(tmp_path / "b", first.project)
    said = second.evtool("bundle", "install", bundle).stdout
    assert "pip install --no-index --find-links" in said
    folder = second.bundle_home / "current/evtool"
    assert (folder / ours.name).read_bytes() == ours.read_bytes()
    assert not (folder / "other.txt").exists()
    manifest = json.loads((second.bundle_home / "current/MANIFEST.json").read_text())
    licences = {p["name"]: p["licence"] for p in manifest["packages"] if p["kind"] == "wheel"}
    assert licences == {"evtool": "GPL-3.0-or-later", "dep": "MIT License"}
    # The wheels come first in the archive, so that a computer without evtool can take them out.
    with tarfile.open(bundle, "r:xz") as tar:
        names = tar.getnames()
    assert names[:3] == ["MANIFEST.json", "evtool/dep-1.0-py3-none-any.whl", f"evtool/{ours.name}"]
    (wheels / "bad-1.0-py3-none-any.whl").write_text("no zip")
    assert "is no wheel" in first.evtool(*create, code=2).stderr
    both = ("bundle", "create", "--wheels", wheels, "--no-wheels")
    assert "contradict" in first.evtool(*both, code=2).stderr


def test_what_pip_cannot_fetch_is_said(packed: tuple[Computer, Path]) -> None:
    first, _ = packed
    quiet = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    before = dict(first.variables)
    first.variables |= quiet
    try:
        said = first.evtool("bundle", "create", code=4).stderr
    finally:
        first.variables = before
    assert "pip could not fetch the wheels" in said
    assert "--no-wheels" in said
    assert not list(first.project.glob("*bundle*"))


def test_a_library_with_an_owner_of_another_case(tmp_path: Path) -> None:
    """Found by PlatformIO whatever the case of its name; so it is by us."""
    computer = online(tmp_path / "a")
    libraries = computer.project / "firmware/.pio/libdeps/esp32dev"
    shutil.rmtree(libraries / "ArduinoJson")
    add_package(
        libraries / "ArduinoJson",
        "library.json",
        "BBlanchon",
        name="arduinojson",
        version="6.21.5",
    )
    bundle = tmp_path / "x"
    computer.evtool("bundle", "create", "--no-wheels", "--output", bundle)
    computer.evtool("bundle", "verify", bundle)
