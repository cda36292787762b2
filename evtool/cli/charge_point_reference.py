# SPDX-License-Identifier: GPL-3.0-or-later
"""The charge point in Python as a process: its connectors' hardware, its storage, its WebSocket.

What it asks to keep is stored, whole or not at all, before anything is told; so a kill at any
moment is a power cut. An OCPP Reset starts it again within the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from evtool.cli.charge_point_connection import opening, provide_roots, security_event
from evtool.cli.charge_point_events import Conversation
from evtool.cli.charge_point_identity import Endpoint
from evtool.cli.charge_point_work import ChargePointWork
from evtool.cli.connector_models import ConnectorModel
from evtool.errors import DeviceError
from evtool.link.charge_point_storage import ChargePointStorage
from evtool.link.clock import monotonic_ms
from evtool.link.websocket import FIRST_PAUSE_S, LAST_PAUSE_S, WebSocket, open_websocket
from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point import (
    AskRegister,
    ChargePoint,
    Inputs,
    Noticed,
    Output,
    Persist,
    Reconnect,
    Restart,
    Send,
    Settings,
    Unlock,
)
from evtool.reference_impl.charge_point.effects import (
    Abandon,
    Download,
    Install,
    MakeKey,
    Upload,
)

Report = Callable[[str, dict[str, object]], None]
Models = Callable[[], dict[int, ConnectorModel]]

STEP_S = 0.05
_REPEAT_MS = 1_000
_METER_MS = 10_000
_NOTICE_MS = 1_000
_POWER_LOSS_S = 5.0
_KEY = "AuthorizationKey"
_KEY_FROM = "AuthorizationKey.from"


@dataclass(frozen=True)
class ReferenceUnit:
    """What is started.

    Attributes:
        endpoint: where it connects, and with which key.
        settings: who it is; `stored`, `id_prefix` and `restart_reason` come with every start.
    """

    endpoint: Endpoint = field(repr=False)
    settings: Settings


class ReferenceHost:
    """Runs one charge point until it is closed.

    Args:
        unit: what is started.
        storage: what survives a kill.
        models: makes the hardware beneath the connectors as it was left, by their numbers.
        report: called with each event and its fields.
    """

    def __init__(
        self, unit: ReferenceUnit, storage: ChargePointStorage, models: Models, report: Report
    ) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unit = unit
        self._storage = storage
        self._tell = report
        self._stored = storage.texts()
        if self._stored.get(_KEY_FROM) != _fingerprint(unit.endpoint):
            self._stored.pop(_KEY, None)  # another key was given since the CSMS has changed it
        self._security_event = ""
        self._work = ChargePointWork(
            storage.files_folder,
            self._report,
            self._carry_out,
            restarts=unit.settings.mode.update.restarts,
        )
        self.models: dict[int, ConnectorModel] = models()
        self._conversation = Conversation(self._report)
        self._socket: WebSocket | None = None
        self._ping_interval_s = 0
        self._network_up = asyncio.Event()
        self._network_up.set()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._kept: dict[int, dict[str, int]] = {}
        self._kept_ms = 0
        self._inputs: dict[int, tuple[Inputs, int]] = {}
        self._noticed_ms: dict[str, int] = {}
        self.charge_point = self._make("PowerLoss")

    def start(self) -> None:
        """Give it power."""
        self._step()
        self._tasks = [
            asyncio.ensure_future(self._guard(self._keep_stepping())),
            asyncio.ensure_future(self._guard(self._keep_connected())),
        ]

    async def close(self) -> None:
        """Take the power away."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._work.close()
        self._keep_models(with_meters=True)

    # What may be asked of it from outside.

    def step(self) -> None:
        """Let what was just changed take effect, and keep it: it is about to be called done."""
        self._step()
        self._keep_models(with_meters=True)

    def swipe(self, id_tag: str, connector: int | None) -> None:
        """A card at the reader of one connector, or of all."""
        self.charge_point.on_card(id_tag, monotonic_ms(), connector)
        self._carry_out()

    def set_network(self, is_up: bool) -> None:
        """Pull the network cable, or put it back."""
        if is_up:
            self._network_up.set()
            self._wake.set()
            return
        self._network_up.clear()
        if self._socket is not None:
            self._socket.abort()

    def lose_power(self) -> None:
        """The mains fail: end the transactions with PowerLoss, and be gone once that is told."""
        for connector in self.models:
            self.charge_point.on_stop_request("PowerLoss", monotonic_ms(), connector)
        self._carry_out()
        self._tasks.append(asyncio.ensure_future(self._guard(self._go_down())))

    def begin(self, id_tag: str, connector: int) -> None:
        """The controller beneath a connector asks for a transaction."""
        self.charge_point.on_start_request(id_tag, monotonic_ms(), connector)

    def end(self, reason: str, connector: int) -> None:
        """The controller beneath a connector ends the transaction."""
        self.charge_point.on_stop_request(reason, monotonic_ms(), connector)

    def status(self) -> dict[str, object]:
        """What is known of every connector."""
        return {
            "registration": self.charge_point.registration.status,
            "connected": self.charge_point.open,
            "connectors": {
                str(number): {"status": self.charge_point.connectors[number - 1].status}
                | model.status()
                for number, model in self.models.items()
            },
        }

    # The charge point.

    def _make(self, restart_reason: str) -> ChargePoint:
        known = self._unit.settings
        settings = Settings(
            **{name: getattr(known, name) for name in Settings.__dataclass_fields__}
            | {
                "id_prefix": secrets.token_hex(4),
                "restart_reason": restart_reason,
                "stored": dict(self._stored),
                "over_tls": self._unit.endpoint.url.startswith("wss://"),
                "presets": _connection_presets(self._unit.endpoint)
                | {**known.presets}
                | _given_key(self._unit.endpoint),
            }
        )
        charge_point = ChargePoint(settings)
        provide_roots(charge_point, self._unit.endpoint.ca_certificate)
        return charge_point

    def _restart(self, restart_reason: str) -> None:
        if self._socket is not None:
            self._socket.abort()
        self._socket = None
        self._work.forget()
        self._inputs.clear()
        self.charge_point = self._make(restart_reason)
        self._wake.set()
        self._step()

    async def _go_down(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_POWER_LOSS_S):
                while self.charge_point.open and self.charge_point.outbox.undelivered():
                    await asyncio.sleep(STEP_S)
        self._report("restarted", {"reason": "power_loss"})
        self._restart("PowerLoss")

    async def _guard(self, work: object) -> None:
        try:
            await work  # type: ignore[misc]  # a coroutine of this class
        except Exception as error:  # noqa: BLE001 - a task has nobody above it: the command ends with it
            if not self.failed.done():
                self.failed.set_exception(error)

    async def _keep_stepping(self) -> None:
        while True:
            await asyncio.sleep(STEP_S)
            self._step()

    def _step(self) -> None:
        now_ms = monotonic_ms()
        for number, model in self.models.items():
            model.step(now_ms, self.charge_point.word(number))
            self._tell_inputs(number, model.inputs(now_ms), now_ms)
        self.charge_point.tick(now_ms)
        self._carry_out()
        self._keep_models(with_meters=now_ms - self._kept_ms >= _METER_MS)

    def _tell_inputs(self, number: int, inputs: Inputs, now_ms: int) -> None:
        last = self._inputs.get(number)
        if last is None or last[0] != inputs or now_ms - last[1] >= _REPEAT_MS:
            self._inputs[number] = (inputs, now_ms)
            self.charge_point.on_inputs(inputs, now_ms, number)

    def _carry_out(self) -> None:
        while outputs := self.charge_point.drain():
            # The registers first: a record that is kept never says more than they do.
            if any(isinstance(each, Send | Persist) for each in outputs):
                self._keep_models(with_meters=True)
            # Kept before anything is told, and in one write: a kill leaves all of it or nothing.
            self._keep({each.key: each.value for each in outputs if isinstance(each, Persist)})
            for output in outputs:
                self._do(output)
        self._follow_ping_interval()

    def _follow_ping_interval(self) -> None:
        """A changed WebSocketPingInterval holds for the connection that is open, too."""
        interval_s = self.charge_point.configuration.integer("WebSocketPingInterval")
        if self._socket is not None and interval_s != self._ping_interval_s:
            self._ping_interval_s = interval_s
            self._socket.set_ping_interval(interval_s)

    def _do(self, output: Output) -> None:
        now_ms = monotonic_ms()
        match output:
            case Send(text):
                if self._socket is not None:
                    self._conversation.sent(text)
                    with contextlib.suppress(DeviceError):  # whoever reads from it hears of it
                        self._socket.send_now(text)
            case AskRegister(report, connector):
                model = self.models[connector]
                model.report(report, now_ms)
                self.charge_point.on_inputs(model.inputs(now_ms), now_ms, connector)
            case Unlock(connector):
                unlocked = self.models[connector].unlock()
                self.charge_point.on_unlocked(connector, unlocked, now_ms)
            case Reconnect(reason):
                self._report("reconnect", {"reason": reason})
                self._wake.set()
                if self._socket is not None:
                    self._tasks.append(asyncio.ensure_future(self._socket.close()))
            case Download() | Upload() | Install() | Abandon() | MakeKey():
                self._work.start(self.charge_point, output)
            case Restart(kind):
                self._report("restarted", {"reason": f"{kind}Reset"})
                asyncio.get_running_loop().call_soon(self._restart, "Reboot")
            case Noticed(what, detail):
                # A flood makes one line a second.
                if now_ms - self._noticed_ms.get(what, -_NOTICE_MS) >= _NOTICE_MS:
                    self._noticed_ms[what] = now_ms
                    self._report("notice", {"what": what, "detail": detail})

    # What is kept.

    def _keep(self, changed: Mapping[str, str | None]) -> None:
        if not changed:
            return
        for key, value in changed.items():
            if value is None:
                self._stored.pop(key, None)
            else:
                self._stored[key] = value
        if _KEY in changed:
            self._stored[_KEY_FROM] = _fingerprint(self._unit.endpoint)
        self._storage.store_texts(self._stored)

    def _keep_models(self, *, with_meters: bool) -> None:
        kept = {number: model.kept() for number, model in self.models.items()}
        if kept == self._kept or (not with_meters and _moved(kept) == _moved(self._kept)):
            return
        self._kept, self._kept_ms = kept, monotonic_ms()
        plain = {str(number): each for number, each in kept.items() if "energy_uj" in each}
        if plain:
            self._storage.store_connectors(plain)
        for each in kept.values():
            if "energy_uj" not in each:
                self._storage.store_vehicle(each)

    # The connection.

    async def _keep_connected(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            await self._network_up.wait()
            self._wake.clear()
            try:
                socket = await self._open()
            except DeviceError as error:
                self._report("websocket", {"state": "closed", "reason": error.message})
                self._on_refused(error)
            else:
                pause_s = FIRST_PAUSE_S
                await self._talk(socket)
            jitter = random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s * jitter):
                    await self._wake.wait()
            pause_s = min(pause_s * 2, LAST_PAUSE_S)

    async def _open(self) -> WebSocket:
        endpoint, charge_point = self._unit.endpoint, self.charge_point
        way = opening(charge_point, endpoint, self._storage.files_folder)
        self._ping_interval_s = charge_point.configuration.integer("WebSocketPingInterval")
        return await open_websocket(
            way.url,
            ocpp16.SUBPROTOCOL,
            authorization=way.authorization,
            tls=way.tls,
            ping_interval_s=self._ping_interval_s,
        )

    def _on_refused(self, error: DeviceError) -> None:
        """No connection: a security event, once until one opens, and a try less for settings
        that are on trial."""
        event = security_event(error)
        if event is not None and event[0] != self._security_event:
            self._security_event = event[0]
            self.charge_point.maintenance.on_event(*event, monotonic_ms())
        self.charge_point.on_closed(monotonic_ms())
        self._carry_out()

    async def _talk(self, socket: WebSocket) -> None:
        charge_point = self.charge_point
        if not self._network_up.is_set():
            await socket.close()
            return
        self._socket = socket
        self._security_event = ""
        self._report("websocket", {"state": "open", "reason": None})
        charge_point.on_open(monotonic_ms())
        self._carry_out()
        try:
            while True:
                text = await socket.recv()
                if self.charge_point is not charge_point:
                    break
                self._conversation.received(text)
                charge_point.on_text(text, monotonic_ms())
                self._carry_out()
        except DeviceError as error:
            reason = error.message if self._network_up.is_set() else "ws_off"
            self._report("websocket", {"state": "closed", "reason": reason})
        finally:
            await socket.close()
            if self.charge_point is charge_point:
                self._socket = None
                charge_point.on_closed(monotonic_ms())
                self._carry_out()

    def _report(self, event: str, fields: dict[str, object]) -> None:
        """Tell an event, and keep it for diagnostics."""
        unix_ms = None
        charge_point: ChargePoint | None = getattr(self, "charge_point", None)
        if charge_point is not None and charge_point.unix_offset_ms is not None:
            unix_ms = charge_point.unix_now()
        self._work.remember(unix_ms, event, fields)
        self._tell(event, fields)


def _connection_presets(endpoint: Endpoint) -> dict[str, str]:
    """The security profile that the arguments amount to."""
    if endpoint.key is None:
        return {}
    return {"SecurityProfile": "2" if endpoint.url.startswith("wss://") else "1"}


def _given_key(endpoint: Endpoint) -> dict[str, str]:
    return {} if endpoint.key is None else {_KEY: endpoint.key.hex()}


def _fingerprint(endpoint: Endpoint) -> str:
    """Which identity and key were given, without showing the key."""
    return hashlib.sha256(endpoint.identity.encode() + b":" + (endpoint.key or b"")).hexdigest()


def _moved(kept: Mapping[int, dict[str, int]]) -> dict[int, dict[str, int]]:
    """What is kept, without what a meter counts all the time."""
    return {
        number: {name: value for name, value in each.items() if name != "energy_uj"}
        for number, each in kept.items()
    }
