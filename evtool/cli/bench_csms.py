# SPDX-License-Identifier: GPL-3.0-or-later
"""The central system of a board under test: orders go in, and it can be out of reach."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from evtool.errors import DeviceError
from evtool.link.clock import unix_ms
from evtool.link.websocket import WebSocket, WebSocketServer, start_server
from evtool.protocol import ocpp16
from evtool.verify.board.live import Order
from evtool.virtual.csms import Csms, Event

ID_TAG = "EVTOOL-VERIFY"
_PROFILE = 7001
_UNAVAILABLE = 503


class BenchCsms:
    """evtool's virtual CSMS for one charge point.

    Args:
        identity: the charge point's; every order is for it.
        keys: as `Csms` takes them.

    Attributes:
        events: what happened; whoever reads one takes it out.
    """

    def __init__(self, identity: str, keys: Mapping[str, bytes | None]) -> None:
        self.events: list[Event] = []
        self._identity = identity
        self._csms = Csms(keys, open_to_all=False, clock=unix_ms, report=self.events.append)
        self._refuses = False
        self._sockets: set[WebSocket] = set()
        self._server: WebSocketServer | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the charge point is there."""
        return self._identity in self._csms.stations

    @property
    def why_not(self) -> str:
        """Why a charge point was refused last; empty where none was."""
        refused = [each for each in self.events if each["event"] == "rejected"]
        return str(refused[-1]["reason"]) if refused else ""

    async def listen(self, host: str, port: int) -> int:
        """Serve; returns the port. Raises DeviceError where that cannot be."""
        self._server = await start_server(host, port, ocpp16.SUBPROTOCOL, self._admit, self._talk)
        return self._server.port

    async def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            await self._server.close()
            self._server = None

    async def obey(self, order: Order) -> str:
        """Carry out an order; returns the status that the board answers, or why there is none."""
        if order.name in ("offline", "online"):
            self._refuses = order.name == "offline"
            if self._refuses:
                await asyncio.gather(*(each.close() for each in list(self._sockets)))
            return "Accepted"
        try:
            answer = await self._ask(order)
        except (DeviceError, ValueError) as error:
            return str(getattr(error, "message", error))
        return str(answer.get("status", "no status"))

    async def _ask(self, order: Order) -> ocpp16.Payload:
        csms, identity = self._csms, self._identity
        match order.name:
            case "remote_start":
                return await csms.remote_start(identity, ID_TAG)
            case "remote_stop":
                return await csms.remote_stop(identity)
            case "limit" if order.value < 0:
                return await csms.ask(identity, "ClearChargingProfile", {"id": _PROFILE})
            case "limit":
                return await csms.ask(identity, "SetChargingProfile", _profile(order.value))
            case _:
                wanted = {"requestedMessage": "StatusNotification", "connectorId": 1}
                return await csms.ask(identity, "TriggerMessage", wanted)

    def _admit(self, path: str, authorization: str | None) -> int | None:
        return _UNAVAILABLE if self._refuses else self._csms.admit(path, authorization)

    async def _talk(self, path: str, socket: WebSocket) -> None:
        self._sockets.add(socket)
        try:
            await self._csms.serve(path, socket)
        finally:
            self._sockets.discard(socket)


def _profile(limit_ma: int) -> dict[str, Any]:
    """SetChargingProfile.req for the whole charge point, from now on."""
    amperes = limit_ma // 1000 if limit_ma % 1000 == 0 else limit_ma / 1000
    return {
        "connectorId": 0,
        "csChargingProfiles": {
            "chargingProfileId": _PROFILE,
            "stackLevel": 0,
            "chargingProfilePurpose": "ChargePointMaxProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "startSchedule": ocpp16.render_timestamp(unix_ms() - 60_000),
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": amperes}],
            },
        },
    }
