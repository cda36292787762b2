# SPDX-License-Identifier: GPL-3.0-or-later
"""The headless charge point: what is refused, and a life with a kill in it against a CSMS."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from evtool.cli.charge_point_identity import Product, identity_lines
from evtool.errors import ConfigError, DeviceError, SecretMissing
from evtool.link.charge_point_storage import ChargePointStorage
from evtool.link.clock import unix_ms
from evtool.link.websocket import start_server
from evtool.virtual.bench import Bench
from evtool.virtual.bench_faults import clear, provoke
from evtool.virtual.csms import Csms
from evtool.virtual.power_module import PowerModule
from evtool.virtual.vehicle import Vehicle

WAIT_S = 60
KEY = "plain-key-of-20-char"
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
        (["--connectors", "2"], "--connectors 2"),
        ([], "--microocpp DIR"),
        (["--program", "nowhere"], "nowhere"),
        (["--key-env", "EVTOOL_NOT_SET"], "EVTOOL_NOT_SET"),
        (["--key-env", "PATH", "--key-file", "x"], "only one"),
        (["--serial", "x" * 26], "--serial"),
    ],
)
def test_what_is_refused_with_exit_code_2(tmp_path: Path, options: list[str], named: str) -> None:
    ended = run(URL, "CP-1", "--storage", str(tmp_path / "s"), *options)
    assert ended.returncode == 2
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("url", "identity", "named"),
    [("http://x", "CP-1", "URL http://x"), (URL, "a b", "IDENTITY"), (URL, "a/b", "IDENTITY"),
     ("wss://x", "CP-1", "--ca-certificate")],
)  # fmt: skip
def test_arguments_that_are_wrong(url: str, identity: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        identity_lines(url, identity, None, None, None, Product())


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


class ChargePoint:
    """A running `evtool sim charge-point --json`."""

    def __init__(self, url: str, storage: Path, program: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "evtool", "sim", "charge-point", url, "CP-1", "--storage",
             str(storage), "--program", str(program), "--key-env", "CP_KEY", "--json", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "CP_KEY": KEY}, start_new_session=True,
        )  # fmt: skip
        assert self.next("ready")["by"].startswith("microocpp ")

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def next(self, name: str, **fields: Any) -> dict[str, Any]:
        """The next event of that name with those fields; the test's time limit ends a wait."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event: dict[str, Any] = json.loads(line)
            assert KEY not in line
            if event["event"] == name and fields.items() <= event.items():
                return event
        assert self.process.stderr is not None
        pytest.fail(f"it ended: {self.process.stderr.read()}")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=WAIT_S)


class Central:
    """evtool's CSMS on loopback, in a thread of its own."""

    def __init__(self) -> None:
        self.csms = Csms(
            {"CP-1": KEY.encode()}, open_to_all=False, clock=unix_ms, report=lambda _: None
        )
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._started.wait(WAIT_S)

    async def _serve(self) -> None:
        server = await start_server("127.0.0.1", 0, "ocpp1.6", self.csms.admit, self.csms.serve)
        self.port = server.port
        self._started.set()
        await self._stop.wait()
        await server.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)
        self._loop.close()


@contextmanager
def charge_point(
    central: Central, storage: Path, program: Path, *options: str
) -> Iterator[ChargePoint]:
    running = ChargePoint(f"ws://127.0.0.1:{central.port}", storage, program, *options)
    try:
        yield running
    finally:
        running.end()


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
    file.write_text(
        "HeartbeatInterval = 0\nAuthorizationCacheEnabled = true\nConnectionTimeOut = 7\n"
    )
    options = ("--configuration", str(file), "--vendor", "Maker", "--serial", "S-7")
    with charge_point(central, storage, program, *options) as unit:
        unit.next("preset", key="HeartbeatInterval", status="Rejected")
        unit.next("preset", key="AuthorizationCacheEnabled", status="NotSupported")
        unit.next("preset", key="ConnectionTimeOut", status="Accepted")
        boot = unit.next("message", type="call", action="BootNotification")["payload"]
        assert (boot["chargePointVendor"], boot["chargePointSerialNumber"]) == ("Maker", "S-7")
        unit.next("status", connector=1, status="Available")
    with charge_point(central, storage, program, *options) as unit:
        for line in unit.process.stdout or ():
            event = json.loads(line)
            assert event["event"] != "preset", "the storage has a configuration of its own"
            if event["event"] == "status":
                break


@pytest.mark.slow
def test_a_life_with_a_kill_in_it(tmp_path: Path, central: Central) -> None:
    program = microocpp_program()
    storage = tmp_path / "storage"
    with charge_point(central, storage, program) as unit:
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
    with charge_point(central, storage, program) as unit:
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
