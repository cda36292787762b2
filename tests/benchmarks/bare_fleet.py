# SPDX-License-Identifier: GPL-3.0-or-later
"""Many charge points on the `ocpp` package's client: heartbeats, and MeterValues of half of them.

Prints `ready` when all are connected, then goes on until it is killed.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys

import websockets
from benchmarks.pair import bare_request
from ocpp.v16 import ChargePoint as OcppStation
from ocpp.v16 import call

from evtool.link.open_files import allow_open_sockets
from evtool.protocol.ocpp16 import SUBPROTOCOL

HEARTBEAT_S = 10
METER_S = 60


async def live(url: str, charges: bool, all_there: asyncio.Event) -> None:
    async with websockets.connect(
        url, subprotocols=[websockets.Subprotocol(SUBPROTOCOL)], open_timeout=60
    ) as connection:
        station = OcppStation(url.rpartition("/")[2], connection)
        reading = asyncio.ensure_future(station.start())
        boot = call.BootNotification(charge_point_model="x", charge_point_vendor="y")
        assert await station.call(boot) is not None
        connected.add(station.id)
        await all_there.wait()
        lives = [repeat(station, "Heartbeat", HEARTBEAT_S)]
        lives += [repeat(station, "MeterValues", METER_S)] if charges else []
        await asyncio.gather(reading, *lives)


async def repeat(station: OcppStation, action: str, interval_s: float) -> None:
    await asyncio.sleep(random.uniform(0, interval_s))  # noqa: S311 - spreads load
    while True:
        begin = asyncio.get_running_loop().time()
        request = call.Heartbeat() if action == "Heartbeat" else bare_request(action)
        await station.call(request)
        await asyncio.sleep(begin + interval_s - asyncio.get_running_loop().time())


connected: set[str] = set()


async def main(port: int, count: int) -> None:
    logging.getLogger("ocpp").setLevel(logging.ERROR)
    allow_open_sockets(count)
    all_there = asyncio.Event()
    lives = []
    for number in range(count):
        url = f"ws://127.0.0.1:{port}/CP-{number}"
        lives.append(asyncio.ensure_future(live(url, number % 2 == 0, all_there)))
        if number % 20 == 19:
            while len(connected) < number - 100:
                await asyncio.sleep(0.01)
    while len(connected) < count:
        await asyncio.sleep(0.05)
    all_there.set()
    print("ready", flush=True)  # noqa: T201 - whoever started it reads it
    await asyncio.gather(*lives)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
