# SPDX-License-Identifier: GPL-3.0-or-later
"""The firmware's host program as a charge point: hardware and WebSocket beside it, in real time.

The vehicle and the power module are at its CAN lines, its register goes into the storage, its
WebSocket is a real one. When the program restarts itself (OCPP's Reset) it is started again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evtool.cli.charge_point_events import Conversation
from evtool.errors import ConfigError, DeviceError
from evtool.link.app_process import AppProcess, describe_exit
from evtool.link.board_websocket import BoardWebSocket
from evtool.link.charge_point_storage import ChargePointStorage
from evtool.link.clock import monotonic_ms
from evtool.protocol.can_frame import Malformed
from evtool.protocol.can_line import parse_can_words, render_can_line
from evtool.virtual.bench import Bench

Report = Callable[[str, dict[str, object]], None]

TICK_S = 0.02
_SPEAKS_S = 10.0
_SHOWN_CONSOLE = 2_000
NO_MICROOCPP = ConfigError(
    "this program carries no MicroOcpp, so it speaks no OCPP",
    fix="build one that does: evtool build --env host --microocpp DIR (a MicroOcpp checkout), "
    "and name build/host/program with --program",
)


@dataclass(frozen=True)
class Unit:
    """What is started.

    Args:
        program: the executable file's bytes.
        identity_lines: `nvs` lines that say who it is.
        environment: variables that the program gets beside its storage.
        configuration: OCPP's keys and values that a new storage starts with.
    """

    program: bytes
    identity_lines: Sequence[str] = field(repr=False)  # they hold the key
    environment: Mapping[str, str]
    configuration: Mapping[str, str]


class ChargePointHost:
    """Runs one charge point until `failed` is set or it is closed.

    Args:
        unit: what is started.
        storage: what survives a kill.
        bench: the vehicle and the power module.
        ca_certificate: the only authority for wss, None for the system's.
        report: called with each event and its fields.
    """

    def __init__(
        self,
        unit: Unit,
        storage: ChargePointStorage,
        bench: Bench,
        ca_certificate: Path | None,
        report: Report,
    ) -> None:
        self.bench = bench
        self.state: dict[str, str] = {}
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.runs = ""
        self._unit = unit
        self._storage = storage
        self._environment = {**unit.environment, "EVTOOL_STORAGE": str(storage.files_folder)}
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._app: AppProcess | None = None
        self._console = ""
        self._conversation = Conversation(report)
        self._websocket = BoardWebSocket(self._send_of_websocket, ca_certificate, self._on_change)
        self._is_network_up = True
        self._bus_runs = True
        self._kept: dict[str, int] = {}
        self._ticker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Give it power. Raises DeviceError where the program cannot be run."""
        self._keep_vehicle()
        self._start("power_on")
        self._loop.call_later(_SPEAKS_S, self._check_that_it_speaks)
        self._ticker = asyncio.ensure_future(self._tick())

    async def close(self) -> None:
        """Take the power away."""
        self._websocket.close()
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
        self._stop()

    def tell(self, line: str) -> None:
        """Hand the program a line of docs/host-program.md."""
        if line.startswith("bus 0 "):
            self._bus_runs = line == "bus 0 running"
        if self._app is not None:
            self._app.send(line)

    def status(self) -> dict[str, object]:
        """The controller's state, and what a person at the bench would see."""
        return {"controller": self.state, "bench": self.bench.status()}

    def set_network(self, is_up: bool) -> None:
        """Pull the network cable, or put it back; the program tries again by itself."""
        if self._is_network_up and not is_up:
            self._websocket.close()
            self.tell("ws closed")
            self._on_change("closed", "ws_off")
        self._is_network_up = is_up

    def _check_that_it_speaks(self) -> None:
        if not self.runs and self._app is not None:
            self._fail(
                DeviceError(
                    "the program says nothing: it is no firmware built by evtool",
                    fix=f"{NO_MICROOCPP.fix}",
                )
            )

    # --- the program ----------------------------------------------------------------

    def _start(self, reset: str) -> None:
        app = AppProcess(self._unit.program, self._environment)
        self._app, self._console = app, ""
        self._loop.add_reader(app.console_descriptor, self._on_console)
        self._loop.add_reader(app.hardware_descriptor, self._on_hardware)
        self._loop.add_reader(app.exit_descriptor, self._on_exit)
        register = self._storage.register_mwh().to_bytes(8, "little").hex()
        for line in (
            *self._unit.identity_lines,
            f"nvs evstate energy_mwh u64 {register}",
            f"boot reset={reset}",
            "bus 0 " + ("running" if self._bus_runs else "bus_off"),
            *self._preset_lines(),
        ):
            app.send(line)

    def _preset_lines(self) -> list[str]:
        if self._storage.is_configured():
            return []
        return [
            f"preset {key} {value.encode('ascii').hex() or '-'}"
            for key, value in self._unit.configuration.items()
        ]

    def _stop(self) -> int:
        app, self._app = self._app, None
        if app is None:
            return 0
        for descriptor in (app.console_descriptor, app.hardware_descriptor, app.exit_descriptor):
            self._loop.remove_reader(descriptor)
        return app.stop()

    def _on_exit(self) -> None:
        self._on_console()
        self._on_hardware()
        self._websocket.close()
        return_code = self._stop()
        self.state = {}
        if return_code == 0 and self.runs not in ("", "-"):
            self._report("restarted", {})
            self._start("software")
        else:
            self._fail(
                DeviceError(
                    f"the program has ended: {describe_exit(return_code)}",
                    fix="it said last: " + (self._console.strip() or "nothing"),
                )
            )

    def _fail(self, error: Exception) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    def _on_console(self) -> None:
        app = self._app
        if app is None:
            return
        while data := app.read_console():
            self._console = (self._console + data.decode("ascii", "replace"))[-_SHOWN_CONSOLE:]
        if data is None:
            self._loop.remove_reader(app.console_descriptor)

    def _on_hardware(self) -> None:
        app = self._app
        if app is None:
            return
        lines = app.read_lines()
        if lines is None:
            self._loop.remove_reader(app.hardware_descriptor)
        for line in lines or ():
            try:
                self._on_line(line)
            except Exception as error:  # noqa: BLE001 - a callback has nobody above it: the command ends with it
                self._fail(error)

    def _on_line(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        match verb:
            case "can":
                self._on_can(rest)
            case "store":
                key, _, value = rest.partition(" ")
                self._storage.store_register(int(value))
                self.tell(f"stored {key} {value}")
            case "state":
                self.state = dict(word.partition("=")[::2] for word in rest.split(" "))
            case "ws":
                self._on_websocket_line(rest)
            case "runs":
                if rest == "-":
                    self._fail(NO_MICROOCPP)
                elif not self.runs:
                    self._report("runs", {"version": rest})
                self.runs = rest
            case "preset":
                key, _, status = rest.partition(" ")
                self._report("preset", {"key": key, "status": status})
            case "malformed":
                self._report("refused", {"command": "", "reason": rest})

    def _on_can(self, words: str) -> None:
        parsed = parse_can_words(words)
        if isinstance(parsed, Malformed) or not self._bus_runs:
            return
        for bus, frame in self.bench.on_frame(*parsed, monotonic_ms()):
            self.tell(render_can_line(bus, frame))

    # --- the world ------------------------------------------------------------------

    def _on_websocket_line(self, rest: str) -> None:
        verb, _, argument = rest.partition(" ")
        if verb == "connect" and not self._is_network_up:
            self.tell("ws closed")
            return
        if verb == "send":
            self._conversation.sent(argument)
        self._websocket.on_line(rest)

    def _send_of_websocket(self, line: str) -> None:
        if line.startswith("ws recv "):
            self._conversation.received(line.removeprefix("ws recv "))
        self.tell(line)

    def _on_change(self, state: str, reason: str | None) -> None:
        self._report("websocket", {"state": state, "reason": reason})

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                for bus, frame in self.bench.tick(monotonic_ms()):
                    if self._bus_runs:
                        self.tell(render_can_line(bus, frame))
                if self._app is not None:
                    self._app.flush()
                self._keep_vehicle()
            except Exception as error:  # noqa: BLE001 - as above
                self._fail(error)
                return

    def _keep_vehicle(self) -> None:
        vehicle = self.bench.vehicle
        # In whole permille: a file a second would be too many.
        now = {
            "plugged": int(vehicle.plugged),
            "switch_on": int(vehicle.switch_on),
            "soc_permille": vehicle.soc_permille,
        }
        if now != self._kept:
            self._kept = now
            self._storage.store_vehicle(now)
