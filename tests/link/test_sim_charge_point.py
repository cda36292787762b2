# SPDX-License-Identifier: GPL-3.0-or-later
"""The headless charge point: what is refused, and a life with a kill in it against a CSMS."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from charge_point_process import KEY, WAIT_S, Central, charge_point

from evtool.cli.charge_point_identity import Product, identity_lines
from evtool.errors import ConfigError, DeviceError, SecretMissing
from evtool.link.charge_point_storage import ChargePointStorage
from evtool.virtual.bench import Bench
from evtool.virtual.bench_faults import clear, provoke
from evtool.virtual.power_module import PowerModule
from evtool.virtual.vehicle import Vehicle

URL = "ws://127.0.0.1:9"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evtool", "sim", "charge-point", *arguments],
        check=False, capture_output=True, text=True, timeout=WAIT_S, stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--connectors", "2", "--program", "nowhere"], "--connectors 2"),
        (["--connectors", "0"], "--connectors 0"),
        (["--mode", "strict", "--program", "nowhere"], "--mode"),
        (["--program", "nowhere"], "nowhere"),
        (["--key-env", "EVTOOL_NOT_SET"], "EVTOOL_NOT_SET"),
        (["--key-env", "PATH", "--key-file", "x"], "only one"),
        (["--serial", "x" * 26], "--serial"),
        (["--firmware-version", "x" * 51], "--firmware-version"),
        (["--charge-box-serial", "x" * 26], "--charge-box-serial"),
        (["--power", "-1"], "--power"),
        (["--ca-certificate", "/dev/null"], "--ca-certificate /dev/null: no certificate"),
        (["--ca-certificate", "/none.pem"], "--ca-certificate /none.pem: cannot be read"),
        (["--count", "1"], "--storage"),
        (["--max-current", "nan", "--plain"], "--max-current nan"),
    ],
)
def test_what_is_refused_with_exit_code_2(tmp_path: Path, options: list[str], named: str) -> None:
    ended = run(URL, "CP-1", "--storage", str(tmp_path / "s"), *options)
    assert ended.returncode == 2
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--connectors", "-1"], "--connectors -1"),
        (["--vendor", "x" * 21], "--vendor"),
        (["--program", "nowhere"], "--program"),
    ],
)
def test_what_a_load_test_refuses(options: list[str], named: str) -> None:
    ended = run(URL, "CP-1", "--count", "1", *options)
    assert ended.returncode == 2
    assert named in ended.stderr


@pytest.mark.parametrize(
    ("url", "identity", "named"),
    [("http://x", "CP-1", "URL: must be ws"), (URL, "a b", "IDENTITY"), (URL, "a/b", "IDENTITY"),
     ("wss://x", "CP-1", "--ca-certificate")],
)  # fmt: skip
def test_arguments_that_are_wrong(url: str, identity: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        identity_lines(url, identity, None, None, None, Product())


@pytest.mark.parametrize("options", [["--storage", "s"], ["--count", "2"]])
def test_a_password_in_the_address_is_not_repeated(options: list[str]) -> None:
    ended = run("ws://cp:hush-hush@csms", "CP-{n}" if "--count" in options else "CP-1", *options)
    assert ended.returncode == 2
    assert "a user name or password does not belong in it" in ended.stderr
    assert "hush" not in ended.stderr + ended.stdout


def test_a_key_is_never_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CP_KEY", "much too long to be an AuthorizationKey of any form")
    with pytest.raises(ConfigError) as caught:
        identity_lines(URL, "CP-1", None, "CP_KEY", None, Product())
    assert "much too long" not in str(caught.value)
    with pytest.raises(SecretMissing):
        identity_lines(URL, "CP-1", tmp_path / "none", None, None, Product())
    monkeypatch.setenv("CP_KEY", KEY)
    lines = identity_lines(URL, "CP-1", None, "CP_KEY", None, Product())
    assert f"nvs evcfg auth_key str {KEY.encode().hex().encode().hex()}" in lines
    assert "nvs evcfg sec_profile u8 01" in lines


def test_a_program_without_microocpp_is_refused(tmp_path: Path, program: Path) -> None:
    ended = run(URL, "CP-1", "--storage", str(tmp_path / "s"), "--program", str(program))
    assert ended.returncode == 2
    assert "evtool build --env host --microocpp DIR" in ended.stderr


def test_a_program_that_is_none_ends_it(tmp_path: Path) -> None:
    ended = run(URL, "CP-1", "--storage", str(tmp_path / "s"), "--program", "/bin/false")
    assert ended.returncode == 3
    assert "the program has ended: exit code 1" in ended.stderr


def test_a_storage_is_used_by_one(tmp_path: Path) -> None:
    storage = ChargePointStorage(tmp_path / "s")
    with pytest.raises(DeviceError, match="another charge point"):
        ChargePointStorage(tmp_path / "s")
    storage.store_register(7)
    storage.close()
    again = ChargePointStorage(tmp_path / "s")
    assert again.register_mwh() == 7
    (tmp_path / "s" / "energy_mwh").write_text("-1")
    with pytest.raises(ConfigError, match="energy register"):
        again.register_mwh()
    (tmp_path / "s" / "vehicle.json").write_text("[]")
    with pytest.raises(ConfigError, match="vehicle"):
        again.vehicle()
    again.close()


def test_a_fault_comes_about_by_the_hardware_where_it_can() -> None:
    bench = Bench(Vehicle(), PowerModule(), bms_bus=0, now_ms=0)
    assert provoke(bench, "HighTemperature") is None
    assert bench.status()["module"] == "hot"
    assert provoke(bench, "InternalError") == "bus 0 bus_off"
    assert provoke(bench, "GroundFailure") == "error GroundFailure"
    assert clear(bench) == ["bus 0 running", "error -"]
    assert bench.status()["module"] == "normal"


@pytest.fixture
def central() -> Iterator[Central]:
    central = Central()
    yield central
    central.close()


def microocpp_program() -> Path:
    named = os.environ.get("EVTOOL_MICROOCPP_PROGRAM")
    if not named:
        pytest.skip("no program with MicroOcpp: set EVTOOL_MICROOCPP_PROGRAM (microocpp/unit.py)")
    return Path(named)


@pytest.mark.slow
def test_what_a_new_unit_starts_with(tmp_path: Path, central: Central) -> None:
    program, storage = microocpp_program(), tmp_path / "storage"
    file = tmp_path / "configuration.toml"
    file.write_text("HeartbeatInterval = 0\nLightIntensity = 50\nConnectionTimeOut = 7\n")
    options = ("--configuration", str(file), "--vendor", "Maker", "--serial", "S-7")
    with charge_point(central, storage, "--program", str(program), *options) as unit:
        unit.next("preset", key="HeartbeatInterval", status="Rejected")
        unit.next("preset", key="LightIntensity", status="NotSupported")
        unit.next("preset", key="ConnectionTimeOut", status="Accepted")
        boot = unit.next("message", type="call", action="BootNotification")["payload"]
        assert (boot["chargePointVendor"], boot["chargePointSerialNumber"]) == ("Maker", "S-7")
        unit.next("status", connector=1, status="Available")
    with charge_point(central, storage, "--program", str(program), *options) as unit:
        for line in unit.process.stdout or ():
            event = json.loads(line)
            assert event["event"] != "preset", "the storage has a configuration of its own"
            if event["event"] == "status":
                break


@pytest.mark.slow
def test_a_life_with_a_kill_in_it(tmp_path: Path, central: Central) -> None:
    program = microocpp_program()
    storage = tmp_path / "storage"
    with charge_point(central, storage, "--program", str(program)) as unit:
        unit.next("status", connector=1, status="Available")
        unit.tell("plug_in 2")
        assert "connector 2" in unit.next("refused")["reason"]
        unit.tell("plug_in 1")
        unit.next("status", status="Preparing")
        unit.tell("swipe TAG")
        started = unit.next("transaction", state="started")
        assert (started["id_tag"], started["status"]) == ("TAG", "Accepted")
        unit.tell("pause 1")
        unit.next("status", status="SuspendedEV")
        unit.tell("resume 1")
        unit.next("status", status="Charging")
        unit.tell("error 1 HighTemperature")
        unit.next("status", status="Faulted", error_code="HighTemperature")
        unit.tell("clear 1")
        unit.next("status", status="Charging", error_code="NoError")
        unit.tell("error 1 GroundFailure")
        unit.next("status", status="Faulted", error_code="GroundFailure")
        unit.tell("clear 1")
        unit.next("status", status="Charging", error_code="NoError")
        unit.tell("ws_off")
        unit.next("websocket", state="closed")
        unit.tell("ws_on")
        unit.next("websocket", state="open")
        unit.tell("swipe OTHER")
        unit.tell("status")
        state = unit.next("state")
        assert state["controller"]["transaction"] == "1", "another card ends nothing"
        os.kill(unit.process.pid, signal.SIGKILL)
        unit.process.wait(WAIT_S)
    kept = ChargePointStorage(storage)
    register = kept.register_mwh()
    kept.close()
    with charge_point(central, storage, "--program", str(program)) as unit:
        unit.next("status", connector=1, status="Charging")  # it goes on, still plugged in
        unit.tell("plug_out 1")
        stopped = unit.next("transaction", state="stopped")
        assert stopped["transaction_id"] == started["transaction_id"]
        assert stopped["reason"] == "EVDisconnected"
        assert stopped["meter_stop"] >= register // 1000
        unit.next("message", type="result", action="StopTransaction")  # ours is answered
        unit.tell("quit")
        assert unit.process.wait(WAIT_S) == 0
    [record] = central.csms.transactions.values()
    assert record.meter_stop == stopped["meter_stop"]


def test_what_a_kill_leaves_is_swept_away(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    (folder / "files").mkdir(parents=True)
    left = [
        folder / ".ocpp.json.k1ll3d00",
        folder / "files" / ".client.pem",
        folder / "files" / ".firmware.bin.k1ll3d00",
    ]
    kept = [folder / "files" / "firmware.bin", folder / "files" / ".other", folder / ".gitignore"]
    for path in left + kept:
        path.write_text("PRIVATE KEY")
    ChargePointStorage(folder).close()
    assert [path.exists() for path in left] == [False] * 3
    assert [path.exists() for path in kept] == [True] * 3
