# SPDX-License-Identifier: GPL-3.0-or-later
"""A vehicle at a power module: the wire between them, and the words that move them.

The two share nothing but the plug. Frames carry the number of their bus: the module is on
bus 0, the BMS on bus 0 too or on bus 1.
"""

from __future__ import annotations

from evtool.protocol.can_frame import CanFrame
from evtool.virtual.power_module import Battery, Behaviour, PowerModule
from evtool.virtual.vehicle import Vehicle

COMMANDS = (
    "plug_in",
    "plug_out",
    "switch on|off",
    "bms silent|normal",
    "module silent|normal|hot|disobey",
    "status",
    "quit",
)
MODULE_BUS = 0
_STEP_MS = 20
_MAX_STEPS = 2_000


class Bench:
    """Both models, moved together; time comes in as an argument."""

    def __init__(self, vehicle: Vehicle, module: PowerModule, bms_bus: int, now_ms: int) -> None:
        self.vehicle = vehicle
        self.module = module
        self._bms_bus = bms_bus
        self._now_ms = now_ms

    def on_frame(self, bus: int, frame: CanFrame, now_ms: int) -> list[tuple[int, CanFrame]]:
        """Hear a frame from `bus`; return (bus, frame) for each answer."""
        self._advance(now_ms)
        answers = []
        if bus == MODULE_BUS:
            for answer in self.module.on_frame(frame):
                answers.append((bus, answer))
        if bus == self._bms_bus:
            for answer in self.vehicle.on_frame(frame):
                answers.append((bus, answer))
        return answers

    def tick(self, now_ms: int) -> list[tuple[int, CanFrame]]:
        """Let time pass; return (bus, frame) for each frame that is due."""
        self._advance(now_ms)
        due = []
        for frame in self.module.tick(now_ms):
            due.append((MODULE_BUS, frame))
        for frame in self.vehicle.tick(now_ms):
            due.append((self._bms_bus, frame))
        return due

    def command(self, line: str) -> bool:
        """Obey one of `COMMANDS` but `status` and `quit`; False where it is none of them."""
        match line.split():
            case ["plug_in"]:
                self.vehicle.plug_in()
            case ["plug_out"]:
                self.vehicle.plug_out()
            case ["switch", "on" | "off" as word]:
                self.vehicle.switch_on = word == "on"
            case ["bms", "silent" | "normal" as word]:
                self.vehicle.silent = word == "silent"
            case ["module", "silent" | "normal" | "hot" | "disobey" as word]:
                self.module.behaviour = Behaviour(word)
            case _:
                return False
        return True

    def status(self) -> dict[str, object]:
        """What a person at the bench would see."""
        vehicle, module = self.vehicle, self.module
        return {
            "plugged": vehicle.plugged,
            "switch": "on" if vehicle.switch_on else "off",
            "bms": "silent" if vehicle.silent else "normal",
            "soc_permille": vehicle.soc_permille,
            "requested_mv": vehicle.settings.request_mv,
            "requested_ma": vehicle.requested_ma,
            "feedback": vehicle.feedback.hex() if vehicle.feedback is not None else None,
            "module": module.behaviour.value,
            "output": "on" if module.on else "off",
            "setpoint_mv": module.set_mv,
            "setpoint_ma": module.set_ma,
            "measured_mv": module.output_mv,
            "measured_ma": module.output_ma,
            "temperature_mdegc": module.temperature_mdegc,
        }

    def _advance(self, now_ms: int) -> None:
        # Whole steps, so that often asking loses nothing to rounding; short ones, so that the
        # current follows the battery; after a long pause coarser ones.
        passed_ms = now_ms - self._now_ms
        if passed_ms < _STEP_MS:
            return
        vehicle = self.vehicle
        step = max(_STEP_MS, passed_ms // _MAX_STEPS)
        for _ in range(passed_ms // step):
            battery = None
            if vehicle.plugged:
                battery = Battery(vehicle.open_circuit_mv, vehicle.settings.resistance_mohm)
            current_ma = self.module.deliver(battery, step)
            if battery is not None:
                vehicle.charge(current_ma, step)
        self._now_ms += passed_ms // step * step
