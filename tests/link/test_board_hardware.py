# SPDX-License-Identifier: GPL-3.0-or-later
"""What the virtual board's firmware reaches by its hardware lines: CAN, WebSocket, OCPP."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import Authority, Issued
from held_port import held_port

from evtool.cli.board_ocpp import BoardOcpp, ReferenceOcpp, inputs_of, restart_reason
from evtool.errors import DeviceError
from evtool.link import websocket
from evtool.link.board_can import BoardCan
from evtool.link.board_websocket import BoardWebSocket
from evtool.link.can_bus import open_can_bus
from evtool.link.can_hub import CanHub
from evtool.link.websocket import WebSocket, start_server
from evtool.protocol.can_frame import CanFrame
from evtool.virtual.effects import StartApp

DEADLINE_S = 60.0
KEY = "0123456789abcdef0123456789abcdef01234567"


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not in time: {what}"
        await asyncio.sleep(0.01)


def test_frames_pass_both_ways_and_a_bus_that_goes_is_told_and_found_again() -> None:
    with held_port() as port:
        asyncio.run(_frames_pass(port))


async def _frames_pass(port: int) -> None:
    hub = CanHub()
    await hub.start("127.0.0.1", port)
    channel = f"127.0.0.1:{port}/can0"
    lines: list[str] = []
    changes: list[str] = []
    can = BoardCan(
        0,
        lambda: open_can_bus("socketcand", channel),
        lambda _, state, __: changes.append(state),
    )
    can.app_started(None, lines.append)
    assert lines == ["bus 0 stopped"]
    task = asyncio.ensure_future(can.run())
    try:
        await until(lambda: "bus 0 running" in lines, "the bus runs")
        other = await asyncio.to_thread(open_can_bus, "socketcand", channel)
        with contextlib.closing(other):
            other.send(CanFrame(0x1806E5F4, b"\x01\x02"))
            await until(lambda: "can 0 1806E5F4 x d 2 0102" in lines, "a frame came")
            can.on_line("can", "1 18FF50E5 x d 1 AA")  # the other controller's
            can.on_line("can", "0 18FF50E5 x d 8 0000000000000010")
            received = await asyncio.to_thread(other.receive, DEADLINE_S)
            assert received == CanFrame(0x18FF50E5, b"\0\0\0\0\0\0\0\x10")
        await hub.close()
        await until(lambda: lines[-1] == "bus 0 stopped", "the loss is told")
        hub = CanHub()
        await hub.start("127.0.0.1", port)
        await until(lambda: lines[-1] == "bus 0 running", "the bus is found again")
        assert changes[0] == "running"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await hub.close()


def test_with_nothing_connected_the_controller_is_error_passive() -> None:
    lines: list[str] = []
    can = BoardCan(1, None, lambda *_: None)
    can.app_started(None, lines.append)
    can.on_line("can", "1 18FF50E5 x d 1 AA")
    can.on_line("recover", "1")
    assert lines == ["bus 1 error_passive"] * 2


class Csms:
    """A central system that keeps what it hears; accepts every Call with an empty result."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.keys: list[str | None] = []
        self.texts: list[str] = []
        self.sockets: list[WebSocket] = []
        self.answer: Callable[[str], str | None] = lambda _: None

    def admit(self, path: str, authorization: str | None) -> int | None:
        self.paths.append(path)
        self.keys.append(authorization)
        return None if path.endswith("/CP-0001") else 404

    async def handle(self, _: str, socket: WebSocket) -> None:
        self.sockets.append(socket)
        with contextlib.suppress(DeviceError):
            while True:
                text = await socket.recv()
                self.texts.append(text)
                answer = self.answer(text)
                if answer is not None:
                    await socket.send(answer)

    def actions(self) -> list[str]:
        return [call[2] for call in map(json.loads, self.texts) if call[0] == 2]


@asynccontextmanager
async def running(csms: Csms) -> AsyncIterator[int]:
    server = await start_server("127.0.0.1", 0, "ocpp1.6", csms.admit, csms.handle)
    try:
        yield server.port
    finally:
        await server.close()


def test_the_firmwares_websocket_is_carried_word_for_word() -> None:
    asyncio.run(_websocket_is_carried())


async def _websocket_is_carried() -> None:
    csms = Csms()
    lines: list[str] = []
    socket = BoardWebSocket(lines.append, None, lambda *_: None)
    async with running(csms) as port:
        credentials = b"CP-0001:\x00\xffkey"
        socket.on_line(f"connect ws://127.0.0.1:{port}/ocpp/CP-0001 {credentials.hex()}")
        await until(lambda: lines == ["ws open"], "open")
        assert csms.keys == ["Basic " + base64.b64encode(credentials).decode()]
        socket.on_line('send [2,"1","Heartbeat",{}]')
        await until(lambda: csms.texts == ['[2,"1","Heartbeat",{}]'], "sent")
        await csms.sockets[0].send('[3,"1",\n{"currentTime":"2020-01-01T00:00:00Z"}]')
        await until(lambda: len(lines) == 2, "received")
        assert lines[1] == 'ws recv [3,"1", {"currentTime":"2020-01-01T00:00:00Z"}]'
        await csms.sockets[0].send('[2,"7","X",{"text":"one\u2028two\x85three"}]')
        await until(lambda: len(lines) == 3, "received again")
        assert lines[2] == 'ws recv [2,"7","X",{"text":"one\u2028two\x85three"}]'
        await csms.sockets[0].close()
        await until(lambda: lines[-1] == "ws closed", "closed")
        # Refused is closed, too; and a new attempt in place of an old one says so once.
        socket.on_line(f"connect ws://127.0.0.1:{port}/ocpp/NOBODY -")
        await until(lambda: lines.count("ws closed") == 2, "refused")
        socket.on_line(f"connect ws://127.0.0.1:{port}/ocpp/CP-0001 -")
        socket.on_line(f"connect ws://127.0.0.1:{port}/ocpp/CP-0001 -")
        await until(lambda: lines.count("ws open") == 2, "open again")
        assert lines.count("ws closed") == 2
        socket.close()
        await asyncio.sleep(0)
        assert lines.count("ws closed") == 2


def identity(port: int) -> dict[str, int | str | bytes]:
    return {
        "schema": 1,
        "cp_id": "CP-0001",
        "vendor": "Vendor",
        "model": "Model",
        "serial": "SN-1",
        "csms_url": f"ws://127.0.0.1:{port}/ocpp",
        "auth_key": KEY,
        "sec_profile": 1,
    }


def accept(text: str) -> str | None:
    kind, unique_id, action, *_ = json.loads(text)
    payloads = {
        "BootNotification": {
            "status": "Accepted",
            "currentTime": "2020-01-01T00:00:00Z",
            "interval": 300,
        },
        "StartTransaction": {"transactionId": 7, "idTagInfo": {"status": "Accepted"}},
        "Authorize": {"idTagInfo": {"status": "Accepted"}},
    }
    return json.dumps([3, unique_id, payloads.get(action, {})]) if kind == 2 else None


def test_the_reference_charge_point_speaks_for_a_firmware_that_does_not(tmp_path: Path) -> None:
    asyncio.run(_reference_speaks(tmp_path))


async def _reference_speaks(folder: Path) -> None:
    csms = Csms()
    csms.answer = accept
    lines: list[str] = []
    events: list[tuple[str, dict[str, object]]] = []
    restarts: list[None] = []
    ocpp = BoardOcpp(
        lambda _: folder,
        lambda event, fields: events.append((event, fields)),
        lambda: restarts.append(None),
    )
    async with running(csms) as port:
        server_tasks = asyncio.all_tasks()
        start = StartApp(b"", (), identity(port), "1.2.3", "name")
        ocpp.app_started(start, lines.append)
        ocpp.on_line("runs", "-")
        assert events[0] == ("ocpp", {"by": "reference charge point"})
        await until(lambda: "BootNotification" in csms.actions(), "registration")
        assert csms.paths[-1] == "/ocpp/CP-0001"
        basic = base64.b64encode(b"CP-0001:" + bytes.fromhex(KEY)).decode()
        assert csms.keys[-1] == f"Basic {basic}"
        boot = json.loads(csms.texts[0])[3]
        assert boot["chargePointVendor"] == "Vendor"
        assert boot["firmwareVersion"] == "1.2.3"
        await until(lambda: any("connected=1" in line for line in lines), "connected")
        ocpp.on_line(
            "state",
            "plugged=1 ev_ready=1 evse_ready=1 energy_mwh=5000 stored_mwh=5000 soc_permille=-",
        )
        ocpp.on_line("ocpp", "start LOCAL")
        await until(lambda: any("permitted=1" in line for line in lines), "permission")
        ocpp.on_line("ocpp", "stop Local")
        await until(lambda: "StopTransaction" in csms.actions(), "the end")
        await until(lambda: "transaction=0 permitted=0" in lines[-1], "no permission")
        await csms.sockets[0].send(
            '[2,"x","ChangeConfiguration",{"key":"MeterValueSampleInterval","value":"17"}]'
        )
        kept = folder / "charge_point.json"
        await until(lambda: '"17"' in kept.read_text(), "a setting is kept")
        ocpp.app_stopped()
        said = len(lines)
        await until(lambda: asyncio.all_tasks() <= {asyncio.current_task(), *server_tasks}, "end")
        assert len(lines) == said
    assert KEY not in json.dumps(events)
    assert restarts == []


def test_the_key_that_the_csms_sets_is_used_from_the_next_connection_on(tmp_path: Path) -> None:
    asyncio.run(_key_is_changed(tmp_path))


async def _key_is_changed(folder: Path) -> None:
    csms = Csms()
    csms.answer = accept
    told: list[dict[str, object]] = []
    ocpp = BoardOcpp(lambda _: folder, lambda _, fields: told.append(fields), lambda: None)
    changed = "fedcba9876543210fedcba9876543210fedcba98"

    async def connected_with(provisioned: str, key: str) -> None:
        seen, registered = len(csms.keys), csms.actions().count("BootNotification")
        start = StartApp(b"", (), identity(port) | {"auth_key": provisioned}, "1.2.3", "name")
        ocpp.app_started(start, lambda _: None)
        ocpp.on_line("runs", "-")
        await until(lambda: csms.actions().count("BootNotification") > registered, "registration")
        basic = base64.b64encode(b"CP-0001:" + bytes.fromhex(key)).decode()
        assert csms.keys[seen:] == [f"Basic {basic}"]

    async with running(csms) as port:
        await connected_with(KEY, KEY)
        request = {"key": "AuthorizationKey", "value": changed}
        await csms.sockets[0].send(json.dumps([2, "x", "ChangeConfiguration", request]))
        await until(lambda: '[3,"x",{"status":"Accepted"}]' in csms.texts, "its answer")
        assert changed in (folder / "charge_point.json").read_text(), "kept before it is answered"
        await csms.sockets[0].close()
        await until(lambda: len(csms.keys) == 2, "the next connection")
        basic = base64.b64encode(b"CP-0001:" + bytes.fromhex(changed)).decode()
        assert csms.keys[1] == f"Basic {basic}"
        ocpp.app_stopped()
        await connected_with(KEY, changed)
        ocpp.app_stopped()
        # Provisioned anew, it has the key that it was given.
        await connected_with("00" * 20, "00" * 20)
        ocpp.app_stopped()
    assert changed not in json.dumps(told)


def with_own(own: Issued) -> dict[str, int | str | bytes]:
    """An identity of profile 3 with a certificate; nobody listens at its central system."""
    pair = {"client_cert": own.pem().decode(), "client_key": own.key_pem()}
    tls = {"csms_url": "wss://127.0.0.1:9/ocpp", "ca_cert": AUTHORITY.root.pem().decode()}
    return identity(9) | {"sec_profile": 3} | tls | pair


BEGIN = datetime.now(UTC) - timedelta(days=1)
AUTHORITY = Authority(BEGIN, days=100)


def test_the_certificate_that_the_csms_signs_is_used_until_another_is_provisioned(
    tmp_path: Path,
) -> None:
    asyncio.run(_certificate_is_signed(tmp_path))


async def _certificate_is_signed(folder: Path) -> None:
    first, signed, second = (AUTHORITY.issue("CP-0001", BEGIN, days=50) for _ in range(3))
    ocpp = BoardOcpp(lambda _: folder, lambda *_: None, lambda: None)

    def started(own: Issued) -> ReferenceOcpp:
        ocpp.app_stopped()
        ocpp.app_started(StartApp(b"", (), with_own(own), "1.2.3", "name"), lambda _: None)
        ocpp.on_line("runs", "-")
        reference = ocpp._reference
        assert reference is not None
        settings = reference._charge_point.maintenance.settings()
        assert (settings.security_profile, settings.authorization_key) == (3, KEY)
        return reference

    def shown(reference: ReferenceOcpp) -> tuple[str, str] | None:
        return reference._charge_point.maintenance.client.installed()

    def pair(own: Issued) -> tuple[str, str]:
        return own.pem().decode(), own.key_pem()

    reference = started(first)
    assert shown(reference) == pair(first)
    reference._carry_out()
    kept = folder / "charge_point.json"
    assert not kept.exists() or "PRIVATE" not in kept.read_text(), "the flash has it"
    reference._charge_point.maintenance.client.provide(*pair(signed))  # as CertificateSigned does
    reference._charge_point.maintenance.route()
    reference._carry_out()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert shown(started(first)) == pair(signed)
    assert shown(started(second)) == pair(second)
    ocpp.app_stopped()


@pytest.mark.parametrize("key", ["client_cert", "client_key"])
@pytest.mark.parametrize("runs", ["-", "1.2.0"])
def test_nobody_speaks_in_profile_3_without_the_whole_pair(
    tmp_path: Path, key: str, runs: str
) -> None:
    events: list[tuple[str, dict[str, object]]] = []
    ocpp = BoardOcpp(lambda _: tmp_path, lambda *each: events.append(each), lambda: None)
    half = with_own(AUTHORITY.issue("CP-0001", BEGIN, days=50)) | {key: ""}
    ocpp.app_started(StartApp(b"", (), half, "1.2.3", "name"), lambda _: None)
    ocpp.on_line("runs", runs)
    assert events == [("no_identity", {"missing": [key]})]
    ocpp.app_stopped()


def test_a_pair_that_is_none_is_said_and_nobody_speaks(tmp_path: Path) -> None:
    asyncio.run(_pair_is_none(tmp_path))


async def _pair_is_none(folder: Path) -> None:
    wrong = with_own(AUTHORITY.issue("CP-0001", BEGIN, days=50))
    wrong["client_key"] = AUTHORITY.issue("CP-0001", BEGIN, days=50).key_pem()
    for runs in ("-", "1.2.0"):
        events: list[tuple[str, dict[str, object]]] = []
        ocpp = BoardOcpp(lambda _: folder, lambda *each: events.append(each), lambda: None)  # noqa: B023 - called within this round
        ocpp.app_started(StartApp(b"", (), wrong, "1.2.3", "name"), lambda _: None)
        ocpp.on_line("runs", runs)
        assert events[-1][1]["state"] == "closed"
        assert "private key" in str(events[-1][1]["reason"])
        assert str(wrong["client_key"]).splitlines()[1] not in str(events)
        ocpp.app_stopped()
    assert not list(folder.glob(".client*"))


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(b"CP-0001:" + bytes.fromhex(key)).decode()


def test_a_key_that_nobody_takes_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "FIRST_PAUSE_S", 0.02)
    asyncio.run(_key_is_taken_back(tmp_path))


async def _key_is_taken_back(folder: Path) -> None:
    class Insisting(Csms):
        def admit(self, path: str, authorization: str | None) -> int | None:
            status = super().admit(path, authorization)
            return status if authorization == basic(KEY) else 401

    csms = Insisting()
    csms.answer = accept
    ocpp = BoardOcpp(lambda _: folder, lambda *_: None, lambda: None)
    changed = "fedcba9876543210fedcba9876543210fedcba98"
    async with running(csms) as port:
        ocpp.app_started(StartApp(b"", (), identity(port), "1.2.3", "name"), lambda _: None)
        ocpp.on_line("runs", "-")
        await until(lambda: "BootNotification" in csms.actions(), "registration")
        request = {"key": "AuthorizationKey", "value": changed}
        await csms.sockets[0].send(json.dumps([2, "x", "ChangeConfiguration", request]))
        await until(lambda: '[3,"x",{"status":"Accepted"}]' in csms.texts, "its answer")
        await until(lambda: csms.keys[1:2] == [basic(changed)], "it connects anew by itself")
        await until(lambda: len(csms.sockets) == 2, "the old key again")
        assert csms.keys == [basic(KEY), *[basic(changed)] * 3, basic(KEY)]
        ocpp.app_stopped()


def test_a_changed_ping_interval_holds_for_the_connection_that_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    intervals: list[float] = []
    monkeypatch.setattr(WebSocket, "set_ping_interval", lambda _, each: intervals.append(each))
    asyncio.run(_pings_change(tmp_path, intervals))


async def _pings_change(folder: Path, intervals: list[float]) -> None:
    csms = Csms()
    csms.answer = accept
    ocpp = BoardOcpp(lambda _: folder, lambda *_: None, lambda: None)
    async with running(csms) as port:
        ocpp.app_started(StartApp(b"", (), identity(port), "1.2.3", "name"), lambda _: None)
        ocpp.on_line("runs", "-")
        await until(lambda: "BootNotification" in csms.actions(), "registration")
        request = {"key": "WebSocketPingInterval", "value": "7"}
        await csms.sockets[0].send(json.dumps([2, "x", "ChangeConfiguration", request]))
        await until(lambda: 7 in intervals, "another interval")
        ocpp.app_stopped()


def test_what_cannot_be_kept_is_not_told(tmp_path: Path) -> None:
    asyncio.run(_nothing_is_told(tmp_path))


async def _nothing_is_told(folder: Path) -> None:
    csms = Csms()
    csms.answer = accept
    lines: list[str] = []
    told: list[dict[str, object]] = []
    ocpp = BoardOcpp(lambda _: folder, lambda _, fields: told.append(fields), lambda: None)
    async with running(csms) as port:
        ocpp.app_started(StartApp(b"", (), identity(port), "1.2.3", "name"), lines.append)
        ocpp.on_line("runs", "-")
        await until(lambda: any("connected=1" in line for line in lines), "connected")
        kept = folder / "charge_point.json"
        kept.unlink(missing_ok=True)
        kept.mkdir()
        (kept / "in the way").touch()
        state = "plugged=1 ev_ready=1 evse_ready=1 energy_mwh=5000 stored_mwh=5000 soc_permille=-"
        ocpp.on_line("state", state)
        ocpp.on_line("ocpp", "start LOCAL")
        await until(lambda: any("charge_point.json" in str(each) for each in told), "why")
        assert lines[-1] == "ocpp connected=0 transaction=0 permitted=0 limit_ma=0"
        said = len(lines)
        ocpp.on_line("state", state)
        ocpp.on_line("ocpp", "start LOCAL")
        assert "StartTransaction" not in csms.actions()
        assert len(lines) == said
        ocpp.app_stopped()


@pytest.mark.parametrize("version", ["-", "1.2.0"])
def test_without_an_identity_nobody_speaks(version: str) -> None:
    events: list[tuple[str, dict[str, object]]] = []
    ocpp = BoardOcpp(
        lambda _: None, lambda event, fields: events.append((event, fields)), lambda: None
    )
    ocpp.app_started(StartApp(b"", (), {"cp_id": "CP-0001"}), lambda _: None)
    ocpp.on_line("runs", version)
    assert events == [("no_identity", {"missing": ["csms_url", "vendor", "model"]})]


def test_unknown_values_stay_unknown_and_bus_off_is_no_fault_of_ours() -> None:
    inputs = inputs_of({"faults": "bus_off", "power_mw": "-", "temperature_mdegc": "-5000"})
    assert not inputs.faulted
    assert inputs.power_mw is None
    assert inputs.temperature_mdegc == -5000
    assert inputs_of({"faults": "bus_off,over_voltage"}).faulted
    assert not inputs_of({"faults": "-"}).faulted


@pytest.mark.parametrize(
    ("reset", "reason"), [("power_on", "PowerLoss"), ("panic", "Reboot"), ("software", "Reboot")]
)
def test_why_a_transaction_was_cut_off(reset: str, reason: str) -> None:
    assert restart_reason(StartApp(b"", ("nvs x", f"boot reset={reset}"))) == reason
