# SPDX-License-Identifier: GPL-3.0-or-later
"""A central system for OCPP 1.6J, on the routing and the schemas of the `ocpp` package.

Connections come in from outside (`Connection`), and so does the clock. A station is admitted
by the identity in its URL and, where it has a key, by HTTP Basic: an unknown identity is 404,
a missing or wrong password 401. Transactions are kept in memory; a StartTransaction that is
repeated gets the transaction_id of the first.
"""

from __future__ import annotations

import hmac
import itertools
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeVar

import ocpp.messages
import ocpp.routing
from ocpp.charge_point import camel_to_snake_case, remove_nones, snake_to_camel_case
from ocpp.exceptions import OCPPError
from ocpp.v16 import ChargePoint as OcppStation
from ocpp.v16 import call, call_result

from evtool.errors import DeviceError, LinkTimeout
from evtool.protocol import ocpp16
from evtool.protocol.can_frame import Malformed

Event = dict[str, object]
F = TypeVar("F", bound=Callable[..., object])

on: Callable[[str], Callable[[F], F]] = ocpp.routing.on
"""The decorator of the `ocpp` package, with its type."""

UNAUTHORIZED = 401
NOT_FOUND = 404

# The package's own switch. A thread for every message would cost more than the check, and what
# happens would depend on the scheduler.
ocpp.messages.ASYNC_VALIDATION = False

_SILENT = logging.Logger("evtool.csms", logging.CRITICAL + 1)
"""The `ocpp` package logs whole messages, keys included; ours are events, and masked."""


class Connection(Protocol):
    """An open WebSocket; both raise DeviceError once it has closed."""

    async def recv(self) -> str:
        """The next text."""

    async def send(self, text: str) -> None:
        """Send a text."""


@dataclass(slots=True)
class TransactionRecord:
    """What the CSMS knows of one transaction; energy in Wh, times as they came."""

    transaction_id: int
    station: str
    connector_id: int
    id_tag: str
    meter_start: int
    started: str
    meter_stop: int | None = None
    stopped: str | None = None
    reason: str | None = None
    meter_values: list[dict[str, Any]] = field(default_factory=list)

    def describe(self) -> Event:
        """The record as JSON, with the number of its meter values instead of them."""
        return asdict(self) | {"meter_values": len(self.meter_values)}


class Csms:
    """The central system.

    Args:
        keys: identity to key bytes; None admits the station without a password.
        open_to_all: admit every identity that `keys` does not name, without a password.
        clock: Unix milliseconds.
        report: called with every event, ready for JSON.
        heartbeat_s: the interval told in BootNotification.conf.
    """

    def __init__(
        self,
        keys: Mapping[str, bytes | None],
        *,
        open_to_all: bool,
        clock: Callable[[], int],
        report: Callable[[Event], None],
        heartbeat_s: int = 300,
    ) -> None:
        self._keys = dict(keys)
        self._open_to_all = open_to_all
        self.clock = clock
        self.report = report
        self.heartbeat_s = heartbeat_s
        self.id_tags: dict[str, str] = {}
        """The status of each id_tag (AuthorizationStatus); all others are Accepted."""
        self.stations: dict[str, Station] = {}
        self.transactions: dict[int, TransactionRecord] = {}
        self._numbers = itertools.count(1)

    def admit(self, path: str, authorization: str | None) -> int | None:
        """Check a connection request: None to accept it, else the HTTP status to refuse with."""
        identity = ocpp16.parse_identity(path)
        if identity is None or (identity not in self._keys and not self._open_to_all):
            return self._reject(identity, NOT_FOUND, "no station of that identity is admitted")
        key = self._keys.get(identity)
        if key is None:
            return None
        given = ocpp16.parse_basic_authorization(authorization or "")
        if given is None:
            return self._reject(identity, UNAUTHORIZED, "it gave no password (HTTP Basic)")
        if given[0] != identity:
            return self._reject(identity, UNAUTHORIZED, "its user name is not its identity")
        if not hmac.compare_digest(given[1], key):
            return self._reject(identity, UNAUTHORIZED, "its password is not the AuthorizationKey")
        return None

    def _reject(self, identity: str | None, status: int, reason: str) -> int:
        """Tell the operator what the station itself is only told as a number."""
        self.report(
            {"event": "rejected", "station": identity or "?", "status": status, "reason": reason}
        )
        return status

    async def serve(self, path: str, connection: Connection) -> None:
        """Talk to an admitted station until its connection closes."""
        identity = ocpp16.parse_identity(path) or ""
        station = Station(identity, connection, self)
        # A station that comes back before its old connection is seen to end: the new one counts.
        self.stations[identity] = station
        self.report({"event": "connected", "station": identity})
        try:
            await station.start()
        except DeviceError:
            pass  # this is how a connection ends
        finally:
            if self.stations.get(identity) is station:
                del self.stations[identity]
            self.report({"event": "disconnected", "station": identity})

    async def ask(self, identity: str, action: str, payload: ocpp16.Payload) -> ocpp16.Payload:
        """Send a Call to a station and return the payload of its answer.

        Raises:
            DeviceError: the station is not connected, or answered with a CallError.
            LinkTimeout: it did not answer.
            ValueError: the action does not exist, or the payload breaks its schema.
        """
        station = self.stations.get(identity)
        if station is None:
            raise DeviceError(
                f"station {identity} is not connected",
                fix="wait until it is; `stations` lists those that are",
            )
        violation = ocpp16.find_violation(action, payload)
        if violation is not None:
            raise ValueError(f"{action}: {violation.code}: {violation.description}")
        return await station.ask(action, payload)

    async def remote_start(self, identity: str, id_tag: str) -> ocpp16.Payload:
        """RemoteStartTransaction on connector 1; raises as `ask` does."""
        payload = {"idTag": id_tag, "connectorId": 1}
        return await self.ask(identity, "RemoteStartTransaction", payload)

    async def remote_stop(self, identity: str, transaction_id: int | None = None) -> ocpp16.Payload:
        """RemoteStopTransaction, of the latest that runs unless told; raises as `ask` does."""
        if transaction_id is None:
            running = [
                record.transaction_id
                for record in self.transactions.values()
                if record.station == identity and record.stopped is None
            ]
            if not running:
                raise ValueError(f"no transaction runs at {identity}")
            transaction_id = running[-1]
        return await self.ask(identity, "RemoteStopTransaction", {"transactionId": transaction_id})

    def start_transaction(
        self, station: str, connector_id: int, id_tag: str, meter_start: int, started: str
    ) -> int:
        """Record a start and return its transaction_id; a repeated one gets the first's."""
        same = (station, connector_id, id_tag, meter_start, started)
        for record in self.transactions.values():
            known = (record.station, record.connector_id, record.id_tag)
            if (*known, record.meter_start, record.started) == same:
                return record.transaction_id
        number = next(self._numbers)
        self.transactions[number] = TransactionRecord(number, *same)
        return number

    def id_tag_info(self, id_tag: str) -> dict[str, str]:
        """The idTagInfo of an id_tag."""
        return {"status": self.id_tags.get(id_tag, "Accepted")}


class _Reported:
    """A connection whose messages are reported as they pass."""

    def __init__(self, identity: str, connection: Connection, csms: Csms) -> None:
        self._identity = identity
        self._connection = connection
        self._csms = csms
        self._actions: dict[tuple[str, str], str] = {}  # (who asked, unique_id): action

    async def recv(self) -> str:
        text = await self._connection.recv()
        self._report("received", text)
        return text

    async def send(self, text: str) -> None:
        self._report("sent", text)
        await self._connection.send(text)

    def _report(self, direction: str, text: str) -> None:
        message = ocpp16.parse_message(text)
        event: Event = {"event": "message", "station": self._identity, "direction": direction}
        other = "sent" if direction == "received" else "received"
        match message:
            case Malformed(reason):
                event |= {"type": "malformed", "reason": reason}
            case ocpp16.Call(unique_id, action, payload):
                self._actions[direction, unique_id] = action
                event |= {"type": "call", "action": action}
                event["payload"] = ocpp16.masked(action, payload)
            case ocpp16.CallResult(unique_id, payload):
                action = self._actions.pop((other, unique_id), "")
                event |= {"type": "result", "action": action}
                event["payload"] = ocpp16.masked(action, payload)
            case ocpp16.CallError(unique_id, code, description):
                action = self._actions.pop((other, unique_id), "")
                event |= {"type": "error", "action": action, "code": code}
                event["description"] = description
        self._csms.report(event)


class Station(OcppStation):  # type: ignore[misc]  # the ocpp package has no types
    """One connected charge point; the handlers are the CSMS's side of OCPP 1.6 Core."""

    def __init__(self, identity: str, connection: Connection, csms: Csms) -> None:
        super().__init__(identity, _Reported(identity, connection, csms), logger=_SILENT)
        self._csms = csms
        self.identity = identity
        self.boot: dict[str, object] = {}
        self.statuses: dict[int, str] = {}

    async def ask(self, action: str, payload: ocpp16.Payload) -> ocpp16.Payload:
        """Send a Call whose payload conforms; raises as `Csms.ask` does."""
        request = _as_request(action, payload)
        try:
            answer = await self.call(request, suppress=False)
        except TimeoutError as error:
            raise LinkTimeout(
                f"station {self.identity} did not answer {action}",
                fix="look at its console: is it still running?",
            ) from error
        except OCPPError as error:
            code = getattr(error, "code", "GenericError")
            raise DeviceError(
                f"station {self.identity} answered {action} with {code}: {error.description}",
                fix="the CallError code says what it does not like (OCPP-J 1.6, 4.2.3)",
            ) from error
        result: ocpp16.Payload = snake_to_camel_case(remove_nones(asdict(answer)))
        return result

    def describe(self) -> Event:
        """What is known of the station, as JSON."""
        return {
            "station": self.identity,
            "boot": self.boot,
            "statuses": {str(number): status for number, status in self.statuses.items()},
        }

    def _now(self) -> str:
        return ocpp16.render_timestamp(self._csms.clock())

    @on("BootNotification")
    def on_boot_notification(self, **boot: object) -> object:
        """Every admitted station is accepted."""
        self.boot = boot
        return call_result.BootNotification(
            current_time=self._now(), interval=self._csms.heartbeat_s, status="Accepted"
        )

    @on("Heartbeat")
    def on_heartbeat(self) -> object:
        """The time."""
        return call_result.Heartbeat(current_time=self._now())

    @on("Authorize")
    def on_authorize(self, id_tag: str) -> object:
        """Accepted unless `Csms.id_tags` says otherwise."""
        return call_result.Authorize(id_tag_info=self._csms.id_tag_info(id_tag))

    @on("StatusNotification")
    def on_status_notification(self, connector_id: int, status: str, **_: object) -> object:
        """The last status of each connector is kept."""
        self.statuses[connector_id] = status
        return call_result.StatusNotification()

    @on("StartTransaction")
    def on_start_transaction(
        self, connector_id: int, id_tag: str, meter_start: int, timestamp: str, **_: object
    ) -> object:
        """Recorded whatever the id_tag is worth, as OCPP wants it."""
        number = self._csms.start_transaction(
            self.identity, connector_id, id_tag, meter_start, timestamp
        )
        return call_result.StartTransaction(
            transaction_id=number, id_tag_info=self._csms.id_tag_info(id_tag)
        )

    @on("StopTransaction")
    def on_stop_transaction(
        self, transaction_id: int, meter_stop: int, timestamp: str, **more: Any
    ) -> object:
        """Ends the record, if there is one; an unknown transaction is accepted too."""
        record = self._csms.transactions.get(transaction_id)
        if record is not None and record.station == self.identity:
            record.meter_stop = meter_stop
            record.stopped = timestamp
            record.reason = more.get("reason", "Local")
        return call_result.StopTransaction()

    @on("MeterValues")
    def on_meter_values(
        self, meter_value: list[dict[str, Any]], transaction_id: int | None = None, **_: object
    ) -> object:
        """Kept with the transaction they belong to."""
        record = self._csms.transactions.get(transaction_id or 0)
        if record is not None and record.station == self.identity:
            record.meter_values.extend(meter_value)
        return call_result.MeterValues()

    @on("DataTransfer")
    def on_data_transfer(self, **_: object) -> object:
        """No vendor is known."""
        return call_result.DataTransfer(status="UnknownVendorId")

    @on("FirmwareStatusNotification")
    def on_firmware_status_notification(self, **_: object) -> object:
        """Heard."""
        return call_result.FirmwareStatusNotification()

    @on("DiagnosticsStatusNotification")
    def on_diagnostics_status_notification(self, **_: object) -> object:
        """Heard."""
        return call_result.DiagnosticsStatusNotification()


def _as_request(action: str, payload: ocpp16.Payload) -> object:
    """The payload as the `ocpp` package's dataclass of that action."""
    request: object = getattr(call, action)(**camel_to_snake_case(payload))
    return request
