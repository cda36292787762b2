# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool verify --device board` as its users meet it: at the virtual board, in real time."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from board_images import EVCFG, EVCFG_SIZE, flash_image, parts
from flash_project import KEY, make_project
from held_port import HeldPort
from once import Once

from evtool.link.background_process import BackgroundProcess
from evtool.protocol.nvs import NvsEntry, render_image
from evtool.resources import firmware_dir

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("verify-board"),
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="the virtual board needs Linux"),
]

READY_S = 120.0  # a board tries to connect ever more rarely
RUN_S = 250.0
TOLERANCE_MS = 1800
"""Other tests run beside these. A vehicle that is silent is gone after 3 s and says so in the flags
after 5 s: a board that believes in it must have been found out by then."""
IDENTITY = "CP-0001"
LIBRARIES = ("evcore", "evdiagnostics", "evidentity", "evnet", "evocpp", "evupdate")
CHARGE = """
[[event]]
at = "200ms"
do = "plug_in"
[[event]]
at = "500ms"
do = "remote_start"
[[event]]
at = "2s"
expect = { energised = 1, gate = "open", transaction = 1, setpoint_ma = 30000 }
"""
SCENARIOS = {
    "charge": ("8s", CHARGE + '[[event]]\nat = "3s"\ndo = "remote_stop"\n'
    '[[event]]\nat = "8s"\nexpect = { energised = 0, transaction = 0, error = "NoError" }\n'),
    "silent": ("8s", CHARGE + '[[event]]\nat = "2s"\ndo = "bms"\nmode = "silent"\n'
    '[[event]]\nat = "8s"\nexpect = { energised = 0, plugged = 0 }\n'),
    "hot": ("5s", CHARGE + '[[event]]\nat = "2s"\ndo = "measure"\ntemperature_mdegc = 75000\n'
    '[[event]]\nat = "4s"\nexpect = { energised = 0, faults = "over_temperature" }\n'),
    "endless": ("100s", CHARGE),
    "jump": ("2s", '[[event]]\nat = "1s"\ndo = "jump"\nby = "2d"\n'),
}  # fmt: skip
"""What each lasts, and its events."""


SOURCES = [
    *(firmware_dir() / "host").glob("*.cpp"),
    *(firmware_dir() / "lib/evcore/src").glob("*.cpp"),
    *(firmware_dir() / "lib/evidentity/src").glob("*.cpp"),
    *(firmware_dir() / "lib/evdiagnostics/src").glob("*.cpp"),
]
FLAGS = [
    *("-std=c++17", "-O0", '-DEVTOOL_VERSION="1.2.3"', '-DEVTOOL_BUILD_ID="cafe"'),
    f"-I{firmware_dir() / 'include'}",
    *(f"-I{firmware_dir() / 'lib' / name / 'include'}" for name in LIBRARIES),
]


@pytest.fixture(scope="module")
def objects(once: Once) -> Path:
    """The folder with the host program's object files, compiled by whichever worker is first."""

    def make(folder: Path) -> None:
        subprocess.run([_gxx(), *FLAGS, "-c", *SOURCES], cwd=folder, check=True, timeout=200)

    return once("verify-board-objects", make)


def link(objects: Path, program: Path, changed: Path | None = None) -> bytes:
    """The program; `changed` is an object file in the place of the one of that name."""
    files = [each for each in objects.glob("*.o") if changed is None or each.name != changed.name]
    files += [] if changed is None else [changed]
    subprocess.run([_gxx(), *files, "-s", "-o", program], check=True, timeout=100)
    return program.read_bytes()


def change(source: str, old: str, new: str, folder: Path) -> Path:
    """The object file of a source with one line changed."""
    path = firmware_dir() / source
    text = path.read_text()
    assert text.count(old) == 1, f"{old} is no longer there"
    changed = folder / path.name
    changed.write_text(text.replace(old, new))
    subprocess.run([_gxx(), *FLAGS, "-c", changed], cwd=folder, check=True, timeout=100)
    return changed.with_suffix(".o")


def _gxx() -> str:
    found = shutil.which("g++")
    if found is None:
        pytest.skip("needs g++ (Debian: apt-get install g++)")
    return found


class Bench:
    """A bus, a board that runs `program`, a project, and scenarios."""

    def __init__(self, folder: Path, program: bytes) -> None:
        self.folder = folder
        self._held = HeldPort()
        port = self._held.number
        self.project = make_project(folder / "charger", url=f"ws://127.0.0.1:{port}/ocpp")
        self.csms = f"127.0.0.1:{port}"
        # A board waits until what it keeps is on the disk, to which other tests write as well.
        memory = Path("/", "dev", "shm")
        place = memory if memory.is_dir() else None
        self._memory = tempfile.TemporaryDirectory(prefix="evtool-board-", dir=place)
        state = Path(self._memory.name)
        contents = parts(program) | {EVCFG: _identity(f"ws://127.0.0.1:{port}/ocpp")}
        (state / "flash.bin").write_bytes(flash_image(contents, 4 << 20))
        for name, (duration, text) in SCENARIOS.items():
            head = f'title = "{name}"\nrule = "docs/verify.md"\nduration = "{duration}"\n'
            (folder / f"{name}.toml").write_text(head + text)
        self.bus = self._start("bus", "sim", "bus", "--listen", "127.0.0.1:0")
        self.channel = self.bus.wait_for(_is("ready"), "ready", READY_S)["can_channel"]
        self.board = self._start(
            *("board", "sim", "board", "--state-dir", str(state), "--can-channel", self.channel)
        )
        self.serial_port = self.board.wait_for(_is("ready"), "ready", READY_S)["serial_port"]
        self.board.wait_for(_is("ocpp"), "firmware", READY_S)

    def close(self) -> None:
        self.board.close()
        self.bus.close()
        self._held.close()
        self._memory.cleanup()

    def _start(self, name: str, *arguments: str) -> BackgroundProcess:
        argv = [sys.executable, "-m", "evtool", *arguments, "--json"]
        return BackgroundProcess(name, argv, self.folder / f"{name}.log")

    def arguments(self, *scenarios: str) -> list[str]:
        return [
            *("verify", "--device", "board", "--serial-port", self.serial_port),
            *("--can-channel", self.channel, "--project", str(self.project)),
            *("--tolerance-ms", str(TOLERANCE_MS)),
            *(str(self.folder / f"{name}.toml") for name in scenarios),
        ]

    def verify(self, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
        """Run it; the exit code and the JSON lines."""
        done = subprocess.run(
            [sys.executable, "-m", "evtool", *arguments, "--json"],
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    def state(self) -> dict[str, str]:
        """What the board's own controller says."""
        mark = self.board.mark
        self.board.send("status")
        status = self.board.wait_for(_is("status"), "status", READY_S, since=mark)
        state: dict[str, str] = status["state"]
        return state


def _is(name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event.get("event") == name


def _identity(url: str) -> bytes:
    texts = {
        **{"cp_id": IDENTITY, "vendor": "Example", "model": "EV-CAN-1", "serial": "SN-0001"},
        **{"csms_url": url, "auth_key": KEY.encode().hex(), "id_tag": "LOCAL"},
        **{"wifi_ssid": "bench", "wifi_pass": "correct horse battery"},
    }
    numbers = [NvsEntry("evcfg", "schema", "u8", 1), NvsEntry("evcfg", "sec_profile", "u8", 1)]
    entries = [NvsEntry("evcfg", key, "str", value) for key, value in texts.items()]
    return render_image(numbers + entries, EVCFG_SIZE)


@pytest.fixture
def bench(tmp_path: Path, objects: Path) -> Iterator[Bench]:
    running = Bench(tmp_path, link(objects, tmp_path / "program"))
    yield running
    running.close()


def verdicts(lines: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["scenario"]: each for each in lines if each.get("event") == "verdict"}


def test_a_right_board_agrees_and_every_report_says_so(bench: Bench) -> None:
    junit, html = bench.folder / "out.xml", bench.folder / "out.html"
    code, lines = bench.verify(
        *bench.arguments("charge", "silent", "hot", "jump"),
        *("--csms-listen", bench.csms, "--junit", str(junit), "--html", str(html)),
    )
    found = verdicts(lines)
    assert code == 0, lines
    assert {name: each["passed"] for name, each in found.items()} == {
        **{"charge": True, "silent": True, "hot": True, "jump": None}
    }
    assert found["jump"]["not_run"].startswith("jump: a board's clock cannot be moved")
    assert found["charge"]["not_judged"] == ["error: a board does not show it"]
    assert found["charge"]["tolerances"]["base_ms"] == TOLERANCE_MS
    assert found["charge"]["steps"] > 300
    summary = lines[-1]
    assert (summary["runs"], summary["failed"], summary["not_run"]) == (3, 0, 1)
    assert any(each["event"] == "progress" for each in lines)
    suite = ET.parse(junit).getroot()  # noqa: S314 - we wrote it
    assert (suite.get("tests"), suite.get("skipped"), suite.get("failures")) == ("4", "1", "0")
    page = html.read_text()
    assert "3 runs, 1 not run" in page
    timeline = json.loads(page.split('id="runs">')[1].split("</script>")[0])[0]["timeline"]
    for side in ("reference", "device"):
        values = [value for _, value in timeline[side]["energised"]]
        # On and off more than once where this computer was too busy to be a vehicle's BMS.
        assert (values[0], values[1], values[-1]) == ("0", "1", "0")
    state = bench.state()
    assert (state["energised"], state["transaction"]) == ("0", "0")


@pytest.fixture
def patient_bench(tmp_path: Path, objects: Path) -> Iterator[Bench]:
    """Its board believes a BMS for 30 s instead of 3 s."""
    rule = ("lib/evcore/src/bms.cpp", "kAlive = 3000", "kAlive = 30000")
    running = Bench(tmp_path, link(objects, tmp_path / "program", change(*rule, tmp_path)))
    yield running
    running.close()


def test_a_changed_rule_in_a_boards_firmware_is_found_and_named(patient_bench: Bench) -> None:
    bench = patient_bench
    code, lines = bench.verify(*bench.arguments("silent"), "--csms-listen", bench.csms)
    # Its own vehicle is in for half a minute yet: what ends the charge is the transaction.
    state = bench.state()
    assert code == 1
    verdict = verdicts(lines)["silent"]
    # Both were due in the same millisecond; a look at the bus just then shows one of them later.
    first = verdict["first_difference"]["fields"]
    found = {each["field"]: (each["reference"], each["device"]) for each in first}
    assert found["energised (CAN)"] == ("0", "1")
    assert found["gate (console event)"] == ("no_vehicle", "open")
    assert first[0]["field"] in ("energised (CAN)", "gate (console event)"), verdict
    assert any("bms silent" in line for line in verdict["first_difference"]["history"])
    missed = {each["field"]: each["board"] for each in verdict["failed_expectations"]}
    assert missed == {"energised": "1", "plugged": "1"}
    assert (state["energised"], state["transaction"]) == ("0", "0")


def test_ctrl_c_in_a_charge_leaves_the_module_off(bench: Bench) -> None:
    argv = [sys.executable, "-m", "evtool", *bench.arguments("endless"), "--json"]
    process = subprocess.Popen(
        [*argv, "--csms-listen", bench.csms], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        limit = time.monotonic() + READY_S
        while bench.state().get("energised") != "1":
            assert process.poll() is None
            assert time.monotonic() < limit, "no charge"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=READY_S)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130, errors
    assert b"Traceback" not in errors
    state = bench.state()
    assert (state["energised"], state["transaction"]) == ("0", "0")


def test_a_bus_that_is_lost_ends_the_run_and_is_said(patient_bench: Bench) -> None:
    bench = patient_bench
    argv = [sys.executable, "-m", "evtool", *bench.arguments("endless", "charge"), "--json"]
    process = subprocess.Popen(
        [*argv, "--csms-listen", bench.csms], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        limit = time.monotonic() + READY_S
        while bench.state().get("energised") != "1":
            assert process.poll() is None
            assert time.monotonic() < limit, "no charge"
            time.sleep(0.02)
        bench.bus.close()
        output, errors = process.communicate(timeout=READY_S)
    finally:
        process.kill()
        process.communicate()
    lines = [json.loads(line) for line in output.splitlines()]
    assert process.returncode == 3, errors
    assert b"Traceback" not in errors
    found = verdicts(lines)
    assert found["endless"]["ended"]["reason"].startswith("CAN bus")
    assert found["charge"]["not_run"].startswith("the bench was lost: CAN bus")
    assert lines[-1]["error"] == "DeviceError"
    limit = time.monotonic() + READY_S
    while (state := bench.state())["transaction"] != "0" or state["energised"] != "0":
        assert time.monotonic() < limit, "a charge without a bus"
        time.sleep(0.02)
    assert state["plugged"] == "1", "it was the vehicle that ended it"


def test_a_bench_that_is_not_one_is_refused(bench: Bench) -> None:
    """A module that is there already; a bus that goes away in a run."""
    vehicle = bench._start("vehicle", "sim", "vehicle", "--can-channel", bench.channel)
    try:
        vehicle.wait_for(_is("ready"), "ready", READY_S)
        code, lines = bench.verify(*bench.arguments("jump", "charge"))
    finally:
        vehicle.close()
    assert code == 3
    assert lines[-1]["message"].startswith("a power module other than evtool's is on the bus")
    code, lines = bench.verify(*bench.arguments("jump", "charge"))
    assert code == 1
    reason = verdicts(lines)["charge"]["not_run"]
    assert reason == "remote_start: needs evtool as the board's CSMS: give --csms-listen (line 8)"
    assert lines[-1]["message"].startswith("nothing was run")
