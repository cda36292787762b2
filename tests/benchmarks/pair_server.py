# SPDX-License-Identifier: GPL-3.0-or-later
"""The central systems of `pair`: prints its port, and serves until it is killed.

`ocpp` is the `ocpp` package as its own examples run it; `ocpp_tuned` without compression and
with the validation in line, not in a thread; `evtool` is ours.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import ocpp.messages
import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint as OcppStation
from ocpp.v16 import call_result

from evtool.link.clock import unix_ms
from evtool.link.ocpp_server import OcppServer
from evtool.protocol.ocpp16 import SUBPROTOCOL
from evtool.virtual.csms import Csms

on_action: Callable[[str], Callable[[Any], Any]] = on


class BareStation(OcppStation):  # type: ignore[misc]  # the package has no types
    """What the package's own example of a central system does, and MeterValues."""

    @on_action("BootNotification")
    def on_boot(self, **_: object) -> object:
        return call_result.BootNotification(current_time=now(), interval=300, status="Accepted")

    @on_action("Heartbeat")
    def on_heartbeat(self) -> object:
        return call_result.Heartbeat(current_time=now())

    @on_action("MeterValues")
    def on_meter_values(self, **_: object) -> object:
        return call_result.MeterValues()


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def serve_bare(**options: Any) -> int:
    async def handle(connection: Any) -> None:
        await BareStation("CP", connection).start()

    server = await websockets.serve(
        handle, "127.0.0.1", 0, subprotocols=[websockets.Subprotocol(SUBPROTOCOL)], **options
    )
    port: int = next(iter(server.sockets)).getsockname()[1]
    return port


async def serve_evtool() -> int:
    """The server that `evtool sim csms` listens with."""
    csms = Csms({}, open_to_all=True, clock=unix_ms, report=lambda _: None)
    server = OcppServer(
        subprotocol=SUBPROTOCOL,
        admit=lambda request: csms.admit(request.path, request.authorization),
        handle=csms.serve,
        refused=lambda *_: None,
    )
    return await server.listen("127.0.0.1", 0)


async def main(kind: str) -> None:
    for name in ("ocpp", "websockets"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    match kind:
        case "evtool":
            port = await serve_evtool()
        case "ocpp_tuned":
            ocpp.messages.ASYNC_VALIDATION = False
            port = await serve_bare(compression=None)
        case _:
            port = await serve_bare()
    print(port, flush=True)  # noqa: T201 - whoever started it reads it
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
