# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls a second of one charge point, one after the other, against a central system on loopback
in another process, everything validated at both ends: ours, and the `ocpp` package's.

They run in turn (A B C A B C ...), so that a machine whose speed drifts favours none of them;
each ratio is that of the medians. The processor time of both processes together is steadier
than calls a second, on a machine that does something else besides.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import statistics
import sys
from collections.abc import Callable
from typing import Any

import ocpp.messages
import websockets
from benchmarks.processes import Meter, server
from ocpp.v16 import ChargePoint as OcppStation
from ocpp.v16 import call

from evtool.link.clock import monotonic_ms
from evtool.link.websocket import open_websocket
from evtool.protocol.ocpp16 import SUBPROTOCOL
from evtool.reference_impl.charge_point import ChargePoint, Inputs, Send, Settings
from evtool.reference_impl.charge_point.outbox import Lane, Request

KINDS = {
    "ocpp": "the ocpp package",
    "ocpp_tuned": "the same, no compression, no threads",
    "evtool": "evtool",
}
WANTED = {"Heartbeat": 2.5, "MeterValues": 3.0}
ROUNDS = 5
CALLS = 1000
WARM_UP = 100

MEASURANDS = "Energy.Active.Import.Register,Power.Active.Import,Voltage,Current.Import,SoC"
SAMPLED = [
    ("5000", "Energy.Active.Import.Register", "Wh", None),
    ("11000.00", "Power.Active.Import", "W", None),
    ("400.00", "Voltage", "V", None),
    ("27.50", "Current.Import", "A", None),
    ("55.10", "SoC", "Percent", "EV"),
]
CHARGING = Inputs(
    plugged=True,
    ev_ready=True,
    evse_ready=True,
    energy_mwh=5_000_000,
    power_mw=11_000_000,
    measured_mv=400_000,
    measured_ma=27_500,
    soc_permille=551,
)


class OurClient:
    """The reference charge point, which is given the next thing to say with every answer."""

    def __init__(self) -> None:
        presets = {"MeterValuesSampledData": MEASURANDS, "MeterValueSampleInterval": "0"}
        self._charge_point = ChargePoint(Settings("evtool", "benchmark", presets=presets))
        self._left = 0
        self._done: asyncio.Future[None] | None = None
        self._action = ""

    async def open(self, url: str) -> None:
        self._socket = await open_websocket(url, SUBPROTOCOL)
        self._socket.listen(self._on_text, lambda error: sys.exit(str(error)))
        charge_point = self._charge_point
        charge_point.on_open(monotonic_ms())
        charge_point.on_inputs(CHARGING, monotonic_ms())
        self._carry_out()
        await self._until(lambda: charge_point.registered)

    async def measure(self, action: str, meter: Meter) -> None:
        """Make the calls that are counted, after others that are not."""
        if action == "MeterValues":
            charge_point = self._charge_point
            charge_point.on_start_request("TAG", monotonic_ms())
            self._carry_out()
            transaction = charge_point.connectors[0]
            await self._until(
                lambda: (
                    transaction.transaction is not None
                    and transaction.transaction.transaction_id is not None
                )
            )
        outbox = self._charge_point.outbox
        await self._until(lambda: outbox.next_due_ms(frozenset(Lane)) is None)
        for count in (WARM_UP, CALLS):
            self._done = asyncio.get_running_loop().create_future()
            self._action, self._left = action, count
            meter.begin()
            self._next()
            await self._done
            meter.end()

    async def _until(self, fulfilled: Callable[[], bool]) -> None:
        while not fulfilled():
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        self._socket.listen(lambda _: None, lambda _: None)
        await self._socket.close()

    def _next(self) -> None:
        charge_point = self._charge_point
        if self._action == "Heartbeat":
            charge_point.outbox.put(Request("Heartbeat"))
        else:
            charge_point.connectors[0].sampling.queue("MeterValuesSampledData", "Sample.Periodic")
        charge_point.tick(monotonic_ms())
        self._carry_out()

    def _on_text(self, text: str) -> None:
        self._charge_point.on_text(text, monotonic_ms())
        self._carry_out()
        if self._done is not None and not self._done.done():
            self._left -= 1
            if self._left:
                self._next()
            else:
                self._done.set_result(None)

    def _carry_out(self) -> None:
        for output in self._charge_point.drain():
            if isinstance(output, Send):
                self._socket.send_now(output.text)


async def measure_ours(port: int, action: str, meter: Meter) -> None:
    client = OurClient()
    await client.open(f"ws://127.0.0.1:{port}/CP")
    try:
        await client.measure(action, meter)
    finally:
        await client.close()


async def measure_bare(port: int, action: str, meter: Meter, **options: Any) -> None:
    async with websockets.connect(
        f"ws://127.0.0.1:{port}/CP", subprotocols=[websockets.Subprotocol(SUBPROTOCOL)], **options
    ) as connection:
        station = OcppStation("CP", connection)
        reading = asyncio.ensure_future(station.start())
        for count in (WARM_UP, CALLS):
            meter.begin()
            for _ in range(count):
                answer = await station.call(bare_request(action))
                assert answer is not None
            meter.end()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def bare_request(action: str) -> object:
    if action == "Heartbeat":
        return call.Heartbeat()
    values = []
    for text, measurand, unit, location in SAMPLED:
        value = {"value": text, "context": "Sample.Periodic", "measurand": measurand, "unit": unit}
        values.append(value | ({"location": location} if location else {}))
    stamped = {"timestamp": "2024-05-01T12:00:00Z", "sampled_value": values}
    return call.MeterValues(connector_id=1, transaction_id=1, meter_value=[stamped])


def measure(kind: str, port: int, action: str, meter: Meter) -> None:
    if kind == "evtool":
        asyncio.run(measure_ours(port, action, meter))
        return
    ocpp.messages.ASYNC_VALIDATION = kind != "ocpp_tuned"
    options = {"compression": None} if kind == "ocpp_tuned" else {}
    asyncio.run(measure_bare(port, action, meter, **options))


def main() -> None:
    logging.getLogger("ocpp").setLevel(logging.ERROR)
    rates: dict[tuple[str, str], list[float]] = {}
    costs: dict[tuple[str, str], list[float]] = {}
    with contextlib.ExitStack() as stack:
        servers = {
            kind: stack.enter_context(server("benchmarks.pair_server", kind)) for kind in KINDS
        }
        for _ in range(ROUNDS):
            for action in WANTED:
                for kind, each in servers.items():
                    meter = Meter(each.pid)
                    measure(kind, each.port, action, meter)
                    rates.setdefault((action, kind), []).append(CALLS / meter.elapsed_s)
                    costs.setdefault((action, kind), []).append(meter.cpu_s / CALLS * 1e6)
    write = sys.stdout.write
    write(f"{'':50} {'calls/s':>8} {'ratio':>6} {'CPU/call':>9} {'ratio':>6}\n")
    for action, wanted in WANTED.items():
        rate_of_bare = statistics.median(rates[action, "ocpp"])
        cost_of_bare = statistics.median(costs[action, "ocpp"])
        for kind, name in KINDS.items():
            rate, cost = (statistics.median(each[action, kind]) for each in (rates, costs))
            hint = f"   wanted {wanted:g}" if kind == "evtool" else ""
            write(f"{action:12}{name:38} {rate:8.0f} {rate / rate_of_bare:6.2f}")
            write(f" {cost:6.0f} us {cost_of_bare / cost:6.2f}{hint}\n")


if __name__ == "__main__":
    main()
