# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be beneath a connector of the charge point in Python.

`PlainModel`: a plug, a vehicle and a meter. `BenchModel`: the reference controller with a
vehicle's BMS and a power module on CAN, as the firmware has them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from evtool.link.charge_point_storage import ChargePointStorage
from evtool.protocol.ocpp16 import ERROR_CODES
from evtool.reference_impl.charge_point import Inputs
from evtool.reference_impl.controller import Controller
from evtool.reference_impl.controller_types import (
    BootInfo,
    BusState,
    Config,
    OcppStart,
    OcppStop,
    OcppWord,
    Report,
    SendFrame,
    Store,
)
from evtool.virtual.bench import Bench
from evtool.virtual.bench_faults import clear, provoke
from evtool.virtual.plain_connector import PlainConnector
from evtool.virtual.power_module import PowerModule
from evtool.virtual.vehicle import Vehicle

NO_CODE = "is no error code of OCPP 1.6 (ChargePointErrorCode)"
_STEP_MS = 20
_LONGEST_PAUSE_MS = 1_000


class ConnectorModel(Protocol):
    """Hardware beneath a connector. What is wrong with a command is returned as a text."""

    def step(self, now_ms: int, word: OcppWord) -> None:
        """Let time pass under the charge point's word."""

    def inputs(self, now_ms: int) -> Inputs:
        """What the charge point is to know."""

    def report(self, report: Report, now_ms: int) -> None:
        """The register is about to be told: store it."""

    def plug(self, is_in: bool) -> None:
        """Plug in or out."""

    def pause(self, is_paused: bool) -> None:
        """The vehicle's switch."""

    def fail(self, code: str) -> str | None:
        """Give cause for an OCPP error code."""

    def fail_lock(self, *, unlocking: bool) -> None:
        """From now on the lock does not lock, or does not unlock."""

    def unlock(self) -> bool:
        """Unlock the plug; whether it is."""

    def clear(self) -> None:
        """Take every fault away."""

    def set_meter(self, value_wh: int) -> str | None:
        """Let the register jump."""

    def kept(self) -> dict[str, int]:
        """What a power cut does not change."""

    def status(self) -> dict[str, object]:
        """What a person would see."""


class PlainModel:
    """A `PlainConnector`."""

    def __init__(self, plain: PlainConnector) -> None:
        self._plain = plain

    def step(self, now_ms: int, word: OcppWord) -> None:
        self._plain.tick(now_ms, word.permitted, word.limit_ma)

    def inputs(self, now_ms: int) -> Inputs:
        plain = self._plain
        drawn_mw = plain.drawn_mw
        # The ampere is rounded up, so that power and current never contradict each other at 0.
        return Inputs(
            plugged=plain.plugged,
            ev_ready=plain.plugged and not plain.paused,
            evse_ready=not plain.is_faulted,
            energy_mwh=plain.energy_mwh,
            power_mw=drawn_mw,
            measured_mv=230_000,
            measured_ma=-(-drawn_mw * 1000 // 230_000),
            offered_ma=plain.offered_ma if plain.is_charging else 0,
            soc_permille=plain.soc_permille if plain.plugged else None,
            faulted=plain.is_faulted,
            error=plain.error_code,
        )

    def report(self, report: Report, now_ms: int) -> None:
        """Its meter stores by itself."""

    def plug(self, is_in: bool) -> None:
        self._plain.plugged = is_in

    def pause(self, is_paused: bool) -> None:
        self._plain.paused = is_paused

    def fail(self, code: str) -> str | None:
        if code not in ERROR_CODES - {"NoError"}:
            return f"{code!r} {NO_CODE}"
        self._plain.error = code
        return None

    def fail_lock(self, *, unlocking: bool) -> None:
        if unlocking:
            self._plain.unlock_fails = True
        else:
            self._plain.lock_fails = True

    def unlock(self) -> bool:
        return not self._plain.unlock_fails

    def clear(self) -> None:
        self._plain.clear()

    def set_meter(self, value_wh: int) -> str | None:
        if self._plain.set_register_wh(value_wh):
            return None
        return f"{value_wh} Wh: a register only grows, to 1 000 000 000 Wh at most"

    def kept(self) -> dict[str, int]:
        return self._plain.kept()

    def status(self) -> dict[str, object]:
        plain = self._plain
        return {
            "plugged": plain.plugged,
            "paused": plain.paused,
            "charging": plain.is_charging,
            "energy_mwh": plain.energy_mwh,
            "power_mw": plain.drawn_mw,
            "error": plain.error_code,
        }


class BenchModel:
    """The controller with a vehicle and a power module on its buses.

    Args:
        storage: holds the register and how the vehicle was left.
        id_tag: whom the controller's own start key identifies.
        start, stop: called where the controller asks for a transaction, or ends it.
        now_ms: this moment.
    """

    def __init__(
        self,
        storage: ChargePointStorage,
        id_tag: str,
        start: Callable[[str], None],
        stop: Callable[[str], None],
        now_ms: int,
    ) -> None:
        self._storage = storage
        self._start = start
        self._stop = stop
        kept = storage.vehicle()
        vehicle = Vehicle(soc_permille=min(max(kept.get("soc_permille", 550), 0), 1000))
        vehicle.plugged = bool(kept.get("plugged", 0))
        vehicle.switch_on = bool(kept.get("switch_on", 1))
        self._bench = Bench(vehicle, PowerModule(), bms_bus=0, now_ms=now_ms)
        self._controller = Controller(
            Config(id_tag=id_tag), BootInfo(energy_mwh=storage.register_mwh())
        )
        self._controller.boot(now_ms)
        self._bus(BusState.RUNNING, now_ms)
        self._now_ms = now_ms
        self._bus_runs = True
        self._error = ""
        self._unlock_fails = False
        self._carry_out(now_ms)

    def step(self, now_ms: int, word: OcppWord) -> None:
        if self._error:  # nothing on the buses tells the controller of it
            word = replace(word, permitted=False)
        # Whole steps, as the firmware's loop makes them; after a long pause only the last ones.
        self._now_ms = max(self._now_ms, now_ms - _LONGEST_PAUSE_MS)
        while self._now_ms + _STEP_MS <= now_ms:
            self._now_ms += _STEP_MS
            for bus, frame in self._bench.tick(self._now_ms):
                if self._bus_runs:
                    self._controller.on_frame(bus, frame, self._now_ms)
            self._controller.tick(self._now_ms)
            self._carry_out(self._now_ms)
        self._controller.on_ocpp(word, self._now_ms)
        self._carry_out(self._now_ms)

    def inputs(self, now_ms: int) -> Inputs:
        inputs = Inputs.of(self._controller.snapshot(now_ms))
        if self._error:
            return replace(inputs, faulted=True, evse_ready=False, error=self._error)
        return inputs

    def report(self, report: Report, now_ms: int) -> None:
        self._controller.on_report(report, now_ms)
        self._carry_out(now_ms)

    def plug(self, is_in: bool) -> None:
        if is_in:
            self._bench.vehicle.plug_in()
        else:
            self._bench.vehicle.plug_out()

    def pause(self, is_paused: bool) -> None:
        self._bench.vehicle.switch_on = not is_paused

    def fail(self, code: str) -> str | None:
        if code not in ERROR_CODES - {"NoError"}:
            return f"{code!r} {NO_CODE}"
        line = provoke(self._bench, code)
        if line == "bus 0 bus_off":
            self._bus(BusState.BUS_OFF, self._now_ms)
        elif line is not None:
            self._error = code
        return None

    def fail_lock(self, *, unlocking: bool) -> None:
        if unlocking:
            self._unlock_fails = True
        else:
            self._error = "ConnectorLockFailure"

    def unlock(self) -> bool:
        return not self._unlock_fails

    def clear(self) -> None:
        clear(self._bench)
        self._error = ""
        self._unlock_fails = False
        self._bus(BusState.RUNNING, self._now_ms)

    def set_meter(self, value_wh: int) -> str | None:
        return "the register of this connector counts what its power module gives"

    def kept(self) -> dict[str, int]:
        vehicle = self._bench.vehicle
        return {
            "plugged": int(vehicle.plugged),
            "switch_on": int(vehicle.switch_on),
            "soc_permille": vehicle.soc_permille,
        }

    def status(self) -> dict[str, object]:
        return self._bench.status()

    def _bus(self, state: BusState, now_ms: int) -> None:
        self._bus_runs = state is BusState.RUNNING
        self._controller.on_bus(0, state, now_ms)

    def _carry_out(self, now_ms: int) -> None:
        while outputs := self._controller.drain():
            for output in outputs:
                match output:
                    case SendFrame(bus, frame) if self._bus_runs:
                        for answer_bus, answer in self._bench.on_frame(bus, frame, now_ms):
                            self._controller.on_frame(answer_bus, answer, now_ms)
                    case Store(_, value):
                        self._storage.store_register(value)
                    case OcppStart(id_tag):
                        self._start(id_tag)
                    case OcppStop(reason):
                        self._stop(reason)
