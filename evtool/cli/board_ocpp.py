# SPDX-License-Identifier: GPL-3.0-or-later
"""Who speaks OCPP for the virtual board, and with what.

A firmware that carries MicroOcpp speaks itself; the board only carries its WebSocket. For one
that does not, the reference charge point speaks, with the identity, URL and key that the flash
holds, and gives the firmware OCPP's word.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from evtool.cli.charge_point_connection import opening, provide_roots
from evtool.cli.charge_point_identity import Endpoint
from evtool.errors import DeviceError, EvtoolError
from evtool.link.board_websocket import SUBPROTOCOL, BoardWebSocket
from evtool.link.clock import monotonic_ms
from evtool.link.files import write_atomically
from evtool.link.private_folder import private_folder
from evtool.link.private_key import new_private_key_pem
from evtool.link.tls import client_tls_of_texts
from evtool.link.websocket import WebSocket, keep_connected, open_websocket
from evtool.protocol.csms_url import charge_point_url
from evtool.reference_impl.charge_point import (
    AskRegister,
    ChargePoint,
    Inputs,
    Persist,
    Reconnect,
    Restart,
    Send,
    Settings,
)
from evtool.reference_impl.charge_point.effects import Download, MakeKey, Upload
from evtool.reference_impl.charge_point.security import client_certificate
from evtool.virtual.effects import StartApp

STEP_S = 0.25
_ANSWER_S = 0.2
WORD_MS = 500
_STORED_FILE = "charge_point.json"
_CA_FILE = "ca_certificate.pem"
_CHANGED_KEY = "AuthorizationKey"
_CHANGED_FROM = "AuthorizationKey.from"
_SIGNED_FROM = "client.from"
_CERTIFICATE_PROFILE = 3
_NEEDED = ("cp_id", "csms_url", "vendor", "model")
_PAIR = ("client_cert", "client_key")

Report = Callable[[str, dict[str, object]], None]


class BoardOcpp:
    """The board's OCPP, whoever speaks it.

    Args:
        files_folder: the folder of a file system's name (see `StartApp.storage`).
        report: called with events and their fields.
        restart: restarts the firmware.
    """

    def __init__(
        self,
        files_folder: Callable[[str | None], Path | None],
        report: Report,
        restart: Callable[[], None],
    ) -> None:
        self.verbs = frozenset({"runs", "ocpp", "state", "ws"})
        self._files_folder = files_folder
        self._report = report
        self._restart = restart
        self._start: StartApp | None = None
        self._send: Callable[[str], object] = _nowhere
        self._bridge: BoardWebSocket | None = None
        self._reference: ReferenceOcpp | None = None

    async def run(self) -> None:
        """Nothing by itself; the firmware starts it all."""

    def app_started(self, start: StartApp, send: Callable[[str], object]) -> None:
        """A firmware starts; it will say who speaks."""
        self._start = start
        self._send = send

    def app_stopped(self) -> None:
        """The firmware is gone, and its connection with it."""
        self._start = None
        self._send = _nowhere
        if self._bridge is not None:
            self._bridge.close()
            self._bridge = None
        if self._reference is not None:
            self._reference.close()
            self._reference = None

    def on_line(self, verb: str, rest: str) -> None:
        """A line of the firmware."""
        if verb == "runs" and self._start is not None:
            self._begin(self._start, rest)
        elif verb == "ws" and self._bridge is not None:
            self._bridge.on_line(rest)
        elif verb == "state" and self._reference is not None:
            self._reference.on_state(dict(word.partition("=")[::2] for word in rest.split(" ")))
        elif verb == "ocpp" and self._reference is not None:
            self._reference.on_request(rest)

    def _begin(self, start: StartApp, version: str) -> None:
        needed = _NEEDED + (_PAIR if _shows_own(start.identity) else ())
        missing = [key for key in needed if not start.identity.get(key)]
        if missing:
            self._report("no_identity", {"missing": missing})
            return
        folder = self._files_folder(start.storage)
        if version != "-":
            self._report("ocpp", {"by": f"microocpp {version}"})
        else:
            self._report("ocpp", {"by": "reference charge point"})
        try:
            self._speak(start, folder, is_own=version != "-")
        except (ValueError, EvtoolError) as error:
            self._tell("closed", str(error))

    def _speak(self, start: StartApp, folder: Path | None, *, is_own: bool) -> None:
        if not is_own:
            self._reference = ReferenceOcpp(start, folder, self._send, self._tell, self._restart)
            return
        certificate = _ca_certificate(start.identity, folder)
        tls = _own_tls(start.identity, folder)
        self._bridge = BoardWebSocket(self._send, certificate, self._tell, tls)

    def _tell(self, state: str, reason: str | None) -> None:
        self._report("websocket", {"state": state, "reason": reason})


class ReferenceOcpp:
    """The reference charge point, connected for as long as one firmware runs.

    Raises:
        ValueError: the identity in the flash cannot be used.
        EvtoolError: its certificate cannot, or the folder.
    """

    def __init__(
        self,
        start: StartApp,
        folder: Path | None,
        send: Callable[[str], object],
        tell: Callable[[str, str | None], None],
        restart: Callable[[], None],
    ) -> None:
        self._identity = identity = start.identity
        self._send = send
        self._tell = tell
        self._restart = restart
        self._file = folder / _STORED_FILE if folder is not None else None
        self._stored = read_stored(self._file)
        if self._stored.get(_CHANGED_FROM) != _fingerprint(identity):
            self._stored.pop(_CHANGED_KEY, None)  # provisioned anew since the CSMS changed it
        if _shows_own(identity) and self._stored.get(_SIGNED_FROM) != _own_fingerprint(identity):
            self._stored.pop(client_certificate.CERTIFICATE, None)  # and since it signed one
        self._endpoint = Endpoint(
            charge_point_url(_text(identity, "csms_url"), _text(identity, "cp_id")),
            _text(identity, "cp_id"),
            None,
            _ca_certificate(identity, folder),
        )
        self._folder = folder
        self._is_over = False
        self._socket: WebSocket | None = None
        self._ping_interval_s = 0
        self._charge_point = ChargePoint(
            Settings(
                vendor=_text(identity, "vendor"),
                model=_text(identity, "model"),
                serial_number=_text(identity, "serial"),
                firmware_version=start.version,
                id_prefix=secrets.token_hex(4),
                restart_reason=restart_reason(start),
                stored=dict(self._stored),
                presets=_provisioned(identity),
                over_tls=self._endpoint.url.startswith("wss://"),
            )
        )
        provide_roots(self._charge_point, self._endpoint.ca_certificate)
        client = self._charge_point.maintenance.client
        if _shows_own(identity) and client.installed() is None:
            client.provide(*_own_pair(identity))
            client.drain()  # the flash has it: it is not kept a second time
        self._texts: asyncio.Queue[str] = asyncio.Queue()
        self._told = ""
        self._told_ms = 0
        self._tasks = [
            asyncio.ensure_future(self._tick()),
            asyncio.ensure_future(keep_connected(self._open, self._talk, self._failed)),
        ]

    def close(self) -> None:
        """Hang up, without a last word: another firmware may be listening by then."""
        self._is_over = True
        self._send = _nowhere
        for task in self._tasks:
            task.cancel()
        if self._socket is not None:
            self._socket.abort()
            self._socket = None

    def on_state(self, state: Mapping[str, str]) -> None:
        """The controller's snapshot."""
        if self._is_over:
            return
        self._charge_point.on_inputs(inputs_of(state), monotonic_ms())
        self._carry_out()

    def on_request(self, rest: str) -> None:
        """`start <id_tag>` or `stop <reason>`."""
        verb, _, argument = rest.partition(" ")
        if self._is_over:
            return
        if verb == "start":
            self._charge_point.on_start_request(argument, monotonic_ms())
        elif verb == "stop":
            self._charge_point.on_stop_request(argument, monotonic_ms())
        self._carry_out()

    async def _tick(self) -> None:
        while True:
            self._charge_point.tick(monotonic_ms())
            self._carry_out()
            await asyncio.sleep(STEP_S)

    async def _open(self) -> WebSocket:
        charge_point = self._charge_point
        try:
            with _place_for_pem(self._folder) as place:
                way = opening(charge_point, self._endpoint, place)
            self._ping_interval_s = charge_point.configuration.integer("WebSocketPingInterval")
            return await open_websocket(
                way.url,
                SUBPROTOCOL,
                authorization=way.authorization,
                tls=way.tls,
                ping_interval_s=self._ping_interval_s,
            )
        except EvtoolError as error:
            # A key or a profile on trial is taken back after some failures.
            charge_point.on_closed(monotonic_ms())
            self._carry_out()
            if isinstance(error, DeviceError):
                raise
            raise DeviceError(error.message, fix=error.fix) from error

    async def _talk(self, socket: WebSocket) -> None:
        async def send_all() -> None:
            while True:
                await socket.send(await self._texts.get())

        self._texts = asyncio.Queue()
        self._socket = socket
        self._tell("open", None)
        self._charge_point.on_open(monotonic_ms())
        self._carry_out()
        sender = asyncio.ensure_future(send_all())
        try:
            while True:
                self._charge_point.on_text(await socket.recv(), monotonic_ms())
                self._carry_out()
        finally:
            self._socket = None
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            self._charge_point.on_closed(monotonic_ms())
            self._carry_out()

    def _failed(self, error: DeviceError) -> None:
        self._tell("closed", error.message)

    def _carry_out(self) -> None:
        outputs = self._charge_point.drain()
        # Kept before anything is told, and in one write: a power cut leaves all of it or nothing.
        try:
            self._keep({each.key: each.value for each in outputs if isinstance(each, Persist)})
        except EvtoolError as error:
            self._give_up(error)
            return
        for output in outputs:
            match output:
                case Send(text):
                    self._texts.put_nowait(text)
                case AskRegister(report):
                    # The firmware stores first and says its state after it, in this order.
                    self._send(f"report {report.value}")
                case Download(ticket):  # updates are the firmware's, not of what speaks for it
                    self._charge_point.maintenance.on_downloaded(ticket, None, monotonic_ms())
                case Upload():
                    self._charge_point.maintenance.on_uploaded(
                        output, "UploadFailure", monotonic_ms()
                    )
                case MakeKey():
                    self._charge_point.maintenance.on_key(new_private_key_pem(), monotonic_ms())
                case Reconnect():
                    # Once the answer that told of it is out.
                    if self._socket is not None:
                        asyncio.get_running_loop().call_later(_ANSWER_S, self._hang_up)
                case Restart():
                    # Not from within: the restart ends this very object.
                    asyncio.get_running_loop().call_soon(self._restart)
        self._follow_ping_interval()
        self._say_word()

    def _follow_ping_interval(self) -> None:
        interval_s = self._charge_point.configuration.integer("WebSocketPingInterval")
        if self._socket is not None and interval_s != self._ping_interval_s:
            self._ping_interval_s = interval_s
            self._socket.set_ping_interval(interval_s)

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.abort()

    def _give_up(self, error: EvtoolError) -> None:
        """What cannot be kept may not be told: nobody speaks OCPP until the next start."""
        self._send("ocpp connected=0 transaction=0 permitted=0 limit_ma=0")
        self.close()
        self._tell("closed", error.message)

    def _say_word(self) -> None:
        word = self._charge_point.word()
        limit = "-" if word.limit_ma is None else str(word.limit_ma)
        line = (
            f"ocpp connected={word.connected:d} transaction={word.transaction:d} "
            f"permitted={word.permitted:d} limit_ma={limit}"
        )
        now_ms = monotonic_ms()
        if line != self._told or now_ms - self._told_ms >= WORD_MS:
            self._told, self._told_ms = line, now_ms
            self._send(line)

    def _keep(self, changed: dict[str, str | None]) -> None:
        if not changed:
            return
        for key, value in changed.items():
            if value is None:
                self._stored.pop(key, None)
            else:
                self._stored[key] = value
        if _CHANGED_KEY in changed:
            self._stored[_CHANGED_FROM] = _fingerprint(self._identity)
        if client_certificate.CERTIFICATE in changed:
            self._stored[_SIGNED_FROM] = _own_fingerprint(self._identity)
        if self._file is not None:
            write_atomically(self._file, json.dumps(self._stored, indent=1) + "\n", 0o600)


def inputs_of(state: Mapping[str, str]) -> Inputs:
    """The fields of a `state` line that OCPP reports; what is unknown stays unknown."""

    def number(name: str) -> int | None:
        text = state.get(name, "-")
        return int(text) if text.lstrip("-").isdigit() else None

    faults = set(state.get("faults", "-").split(",")) - {"-", "bus_off"}
    return Inputs(
        plugged=state.get("plugged") == "1",
        ev_ready=state.get("ev_ready") == "1",
        evse_ready=state.get("evse_ready") == "1",
        energy_mwh=number("stored_mwh") or 0,
        power_mw=number("power_mw"),
        measured_mv=number("measured_mv"),
        measured_ma=number("measured_ma"),
        offered_ma=number("offered_ma"),
        temperature_mdegc=number("temperature_mdegc"),
        soc_permille=number("soc_permille"),
        faulted=bool(faults),
        error=state.get("error", "NoError"),
        unstored=state.get("energy_mwh") != state.get("stored_mwh"),
    )


def _nowhere(_line: str) -> None:
    """Where lines go while no firmware runs."""


def _text(identity: Mapping[str, int | str | bytes], key: str) -> str:
    value = identity.get(key, "")
    return value if isinstance(value, str) else ""


def restart_reason(start: StartApp) -> str:
    """OCPP's reason for a transaction that the restart cut off; reset and power are one."""
    boot = next((line for line in start.lines if line.startswith("boot ")), "")
    return "PowerLoss" if "reset=power_on" in boot.split(" ") else "Reboot"


def _fingerprint(identity: Mapping[str, int | str | bytes]) -> str:
    """Which identity and key were provisioned, without showing the key."""
    provisioned = f"{_text(identity, 'cp_id')}:{_text(identity, 'auth_key')}"
    return hashlib.sha256(provisioned.encode()).hexdigest()


def _provisioned(identity: Mapping[str, int | str | bytes]) -> dict[str, str]:
    """What the flash says of the connection, as OCPP's keys."""
    key, profile = _text(identity, "auth_key"), identity.get("sec_profile", 1)
    if profile == 0 or not (key or _shows_own(identity)):
        return {}
    return {"SecurityProfile": str(profile)} | ({"AuthorizationKey": key} if key else {})


def _shows_own(identity: Mapping[str, int | str | bytes]) -> bool:
    """Whether it connects with a certificate of its own."""
    return identity.get("sec_profile") == _CERTIFICATE_PROFILE


def _own_pair(identity: Mapping[str, int | str | bytes]) -> tuple[str, str]:
    """Its certificate with the chain, and the private key."""
    return _text(identity, _PAIR[0]), _text(identity, _PAIR[1])


def _own_fingerprint(identity: Mapping[str, int | str | bytes]) -> str:
    """Which certificate was provisioned."""
    return hashlib.sha256(_text(identity, _PAIR[0]).encode()).hexdigest()


def _own_tls(
    identity: Mapping[str, int | str | bytes], folder: Path | None
) -> ssl.SSLContext | None:
    """What a firmware that speaks itself trusts and shows; None where it shows nothing."""
    if not _shows_own(identity):
        return None
    with _place_for_pem(folder) as place:
        return client_tls_of_texts(_text(identity, "ca_cert"), _own_pair(identity), place)


@contextmanager
def _place_for_pem(folder: Path | None) -> Iterator[Path]:
    """A folder for the moment in which OpenSSL reads the pair: the unit's own, if it has one."""
    if folder is not None:
        yield folder
        return
    with private_folder() as private:
        yield private


def _ca_certificate(identity: Mapping[str, int | str | bytes], folder: Path | None) -> Path | None:
    pem = _text(identity, "ca_cert")
    if not pem or folder is None:
        return None
    path = folder / _CA_FILE
    write_atomically(path, pem, 0o600)
    return path


def read_stored(file: Path | None) -> dict[str, str]:
    """What earlier runs kept, by key; nothing of a file that is not ours."""
    if file is None:
        return {}
    try:
        document = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {}
    return {str(key): value for key, value in document.items() if isinstance(value, str)}
