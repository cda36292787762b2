# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build will run and with which environment; the build id; a build that was killed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from evtool.build.artifacts import first_boot_ota_data
from evtool.build.diagnosis import Problem
from evtool.build.fingerprint import build_id
from evtool.build.microocpp import find_microocpp
from evtool.build.plan import BuildPlan, Supplies, plan_build
from evtool.build.platformio import Step, run_build
from evtool.errors import ConfigError, ToolError
from evtool.project import Project, load_project

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
authorization_key = { env = "MY_KEY" }
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "p"
    (root / "firmware/src").mkdir(parents=True)
    (root / "firmware/platformio.ini").write_text("[env:host]\n")
    (root / "firmware/src/main.cpp").write_text("int main() {}\n")
    (root / "evtool.toml").write_text(_SETTINGS)
    return load_project(root / "evtool.toml")


def _plan(project: Project, environment: str = "host", **variables: str) -> BuildPlan:
    return plan_build(
        project,
        environment,
        version="0.1.0",
        supplies=Supplies(project.root / "core"),
        variables={"PATH": "/bin", **variables},
    )


@pytest.mark.parametrize("environment", ["host", "esp32dev"])
def test_secrets_reach_no_process(project: Project, environment: str) -> None:
    plan = _plan(project, environment, MY_PASSPHRASE="swordfish", MY_KEY="00ff00ff")
    text = repr(plan)
    assert "swordfish" not in text
    assert "00ff00ff" not in text
    assert plan.variables["PATH"] == "/bin"


def test_the_users_platformio_stays_out_of_a_host_build(project: Project) -> None:
    theirs = {
        "PLATFORMIO_BUILD_FLAGS": "-DX",
        "PLATFORMIO_AUTH_TOKEN": "token",
        "HTTPS_PROXY": "http://proxy:3128",
        "https_proxy": "http://proxy:3128",
    }
    host = _plan(project, **theirs)
    assert "token" not in repr(host)
    assert "proxy:3128" not in repr(host)
    assert "PLATFORMIO_BUILD_FLAGS" not in host.variables
    assert str(project.root / "core") in host.variables["PLATFORMIO_CORE_DIR"]

    esp32 = _plan(project, "esp32dev", **theirs)
    assert theirs.items() <= esp32.variables.items()
    assert "PLATFORMIO_CORE_DIR" not in esp32.variables
    assert not esp32.packages
    assert "token" not in repr(esp32.describe())


def test_with_a_bundle_nothing_is_the_users_and_nothing_leaves(
    project: Project, tmp_path: Path
) -> None:
    bundle = tmp_path / "versions/0123"
    supplies = Supplies(tmp_path / "core", bundle=bundle)
    theirs = {"PLATFORMIO_CORE_DIR": "/theirs", "https_proxy": "http://proxy:3128", "PATH": "/bin"}
    plan = plan_build(project, "esp32dev", version="1", supplies=supplies, variables=theirs)
    assert "/theirs" not in repr(plan)
    assert "proxy:3128" not in repr(plan)
    assert plan.bundle == bundle
    assert plan.variables["PLATFORMIO_PACKAGES_DIR"] == str(bundle / "tools")
    assert plan.variables["HTTPS_PROXY"].startswith("http://127.0.0.1:")
    assert not plan.folders, "it has no libraries"
    (bundle / "libraries").mkdir(parents=True)
    plan = plan_build(project, "esp32dev", version="1", supplies=supplies, variables=theirs)
    copy = project.build.firmware / ".pio/libraries-0123"
    assert plan.folders == {copy / "esp32dev": bundle / "libraries"}
    assert plan.variables["PLATFORMIO_LIBDEPS_DIR"] == str(copy)

    old = copy.with_name("libraries-old")
    old.mkdir(parents=True)
    plan.work_folder.mkdir(parents=True)
    _run(plan, _Result(0, ""))
    assert (copy / "esp32dev").is_dir()
    assert not old.exists(), "what an earlier bundle left"

    host = plan_build(project, "host", version="1", supplies=supplies, variables=theirs)
    assert host.bundle is None
    assert not host.folders


def test_two_projects_share_packages_and_not_platforms(project: Project, tmp_path: Path) -> None:
    shutil.copytree(project.root, tmp_path / "q")
    other = load_project(tmp_path / "q/evtool.toml")
    first, second = (
        plan_build(p, "host", version="1", supplies=Supplies(tmp_path / "core"), variables={})
        for p in (project, other)
    )
    assert first.packages == second.packages
    name = "PLATFORMIO_PLATFORMS_DIR"
    assert first.variables[name] != second.variables[name]
    assert first.build_id == second.build_id


def test_the_note_that_makes_the_package_known_is_written_last(project: Project) -> None:
    assert [path.name for path in _plan(project).packages][-1] == ".piopm"


def test_the_build_id_follows_sources_and_settings_only(project: Project) -> None:
    firmware = project.build.firmware
    first = build_id(firmware, "host", "0.1.0")
    assert len(first) == 8
    (firmware / ".pio/build").mkdir(parents=True)
    (firmware / ".pio/build/main.o").write_text("object")
    (firmware / "include").mkdir()
    (firmware / "include/secrets.h").write_text("secret")
    assert build_id(firmware, "host", "0.1.0") == first
    others = {first, build_id(firmware, "host", "0.1.1"), build_id(firmware, "esp32dev", "0.1.0")}
    (firmware / "src/main.cpp").rename(firmware / "src/start.cpp")
    others.add(build_id(firmware, "host", "0.1.0"))
    (firmware / "src/start.cpp").write_text("int main() { }\n")
    others.add(build_id(firmware, "host", "0.1.0"))
    others.add(build_id(firmware, "host", "0.1.0", [project.root / "firmware/src"]))
    assert len(others) == 6


@dataclass(frozen=True)
class _Result:
    return_code: int
    output: str


class _Runner:
    """Makes an object and a program, or fails as it is told."""

    def __init__(self, outcome: _Result | BaseException) -> None:
        self.outcome = outcome

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float,
        on_line: Callable[[str], None] | None = None,
    ) -> _Result:
        assert cwd is not None
        work = cwd / ".pio/build/host"
        work.mkdir(parents=True, exist_ok=True)
        (work / "main.o").write_text("object")
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        assert on_line is not None
        for line in self.outcome.output.splitlines():
            on_line(line)
        return self.outcome


class _Folder:
    def write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def remove(self, path: Path) -> None:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def copy_folder(self, source: Path, target: Path) -> None:
        shutil.copytree(source, target)

    @contextlib.contextmanager
    def new_log(self, path: Path) -> Iterator[Callable[[str], None]]:
        yield lambda line: None


class _Follower:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.problems: list[Problem] = []

    def step(self, step: Step) -> None:
        self.steps.append(step)

    def problem(self, problem: Problem) -> None:
        self.problems.append(problem)


def _run(plan: BuildPlan, outcome: _Result | BaseException, *, clean: bool = False) -> None:
    run_build(plan, _Runner(outcome), _Folder(), _Follower(), clean=clean)


def test_objects_of_a_build_that_was_killed_are_not_trusted(project: Project) -> None:
    plan, old = _plan(project), project.build.firmware / ".pio/build/host/old.o"
    _run(plan, _Result(0, ""))
    old.write_text("whole")
    with contextlib.suppress(ToolError):
        _run(plan, _Result(1, "x"))
    assert old.exists(), "an error of the compiler's leaves whole objects"
    with contextlib.suppress(KeyboardInterrupt):
        _run(plan, KeyboardInterrupt())
    assert old.exists()
    _run(plan, _Result(0, ""))
    assert not old.exists()
    old.write_text("whole")
    with contextlib.suppress(ToolError):
        _run(plan, _Result(-9, ""))
    _run(plan, _Result(0, ""))
    assert not old.exists()


def test_a_build_that_takes_too_long_names_the_log(project: Project) -> None:
    with pytest.raises(ToolError) as caught:
        _run(_plan(project), ToolError("did not finish within 1 s"))
    assert caught.value.log == project.build.firmware / ".pio/host.log"


def test_clean_makes_every_object_again(project: Project) -> None:
    old = project.build.firmware / ".pio/build/host/old.o"
    old.parent.mkdir(parents=True)
    old.write_text("whole")
    _run(_plan(project), _Result(0, ""), clean=True)
    assert not old.exists()


@pytest.mark.parametrize(
    ("output", "message", "fix"),
    [
        (
            "Compiling a.o\nsrc/a.cpp:3:9: error: expected ';'\n  3 | x\n    | ^\n*** Error 1",
            "does not compile: src/a.cpp:3:9: error",
            "correct the named line",
        ),
        (
            "src/a.cpp:1:10: fatal error: secrets.h: No such file or directory",
            "fatal error: secrets.h",
            "evtool codegen",
        ),
        ("b.cpp:(.text+0x1): undefined reference to `f()'", "does not link", "define"),
        (
            "src/a.cpp:9: fatal error: a.o: No space left on device\nTraceback (most recent",
            "no room to build host",
            "make room",
        ),
        ("Error: something else", "could not build host: something else", "do what the line"),
        ("something else", "could not build host", "--verbose"),
    ],
)
def test_a_failure_says_what_and_where(
    project: Project, output: str, message: str, fix: str
) -> None:
    with pytest.raises(ToolError) as caught:
        _run(_plan(project), _Result(1, output))
    assert message in caught.value.message
    assert fix in str(caught.value.fix)
    assert caught.value.return_code == 1
    assert f"log: {project.build.firmware}/.pio/host.log" in str(caught.value)


def test_a_folder_without_firmware_is_refused(project: Project) -> None:
    (project.build.firmware / "platformio.ini").unlink()
    with pytest.raises(ConfigError, match=r"no platformio\.ini"):
        _plan(project)


@pytest.mark.parametrize(
    "json", ["MicroOcpp/ArduinoJson", "MicroOcpp/lib/ArduinoJson", "ArduinoJson"]
)
@pytest.mark.parametrize("named", [".", "MicroOcpp"])
def test_microocpp_is_found_with_arduino_json(tmp_path: Path, named: str, json: str) -> None:
    for header in ("MicroOcpp/src/MicroOcpp.h", f"{json}/src/ArduinoJson.h"):
        (tmp_path / header).parent.mkdir(parents=True)
        (tmp_path / header).touch()
    found = find_microocpp(tmp_path / named)
    assert found.library == tmp_path / "MicroOcpp"
    assert found.arduino_json == tmp_path / json


def test_what_is_missing_of_microocpp_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no MicroOcpp in"):
        find_microocpp(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/MicroOcpp.h").touch()
    with pytest.raises(ConfigError, match="no ArduinoJson for"):
        find_microocpp(tmp_path)


def test_ota_data_names_the_first_slot() -> None:
    data = first_boot_ota_data(0x2000)
    # As Espressif's boot_app0.bin begins.
    assert data[:32] == bytes.fromhex("01000000" + "ff" * 24 + "9a984347")
    assert data[32:] == b"\xff" * (0x2000 - 32)


def test_the_plan_of_another_environment_differs(project: Project) -> None:
    host, asan = _plan(project), _plan(project, "host_asan")
    assert host.build_id != asan.build_id
    assert host.unfinished != asan.unfinished
    assert host.lock == asan.lock
    assert host.for_host
    assert not replace(host, environment="esp32dev").for_host
