# SPDX-License-Identifier: GPL-3.0-or-later
"""Collects what a plot shows from a board's lines: curves in panels, states in lanes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from evtool.monitor.follow import Line
from evtool.monitor.plot.series import Curve, Lane
from evtool.monitor.quantities import BY_FIELD, QUANTITIES, Quantity
from evtool.monitor.unit_state import UnitState
from evtool.protocol.console import Record

MAX_PORTS = 32
_LONGEST_STATE = 64


@dataclass(frozen=True, slots=True)
class Panel:
    """Quantities of one kind, drawn in one system of axes."""

    title: str
    unit: str
    quantities: tuple[str, ...]


PANELS = (
    Panel("Voltage", "V", ("bms.v", "power_module.set_v", "output.v", "terminal.v")),
    Panel("Current", "A", ("bms.i", "power_module.set_i", "output.i", "terminal.i")),
    Panel("Power", "kW", ("terminal.p",)),
    Panel("Temperature", "°C", ("output.temp",)),
    Panel("State of charge", "%", ("bms.soc",)),
    Panel("Session energy", "kWh", ("terminal.session",)),
    Panel("Energy register", "kWh", ("terminal.energy",)),
    Panel("Metric 0x79", "", ("output.m79",)),
    Panel("Metric 0x83", "", ("output.m83",)),
)

# lane: its title
LANES = {
    "gate": "Gate",
    "vehicle": "Vehicle",
    "transaction": "Transaction",
    "csms": "CSMS",
    "module": "Power module",
    "faults": "Faults",
}


@dataclass(slots=True)
class UnitCourse:
    """What one board did.

    Attributes:
        curves: by the quantity's name.
        lanes: by the names in `LANES`.
        boots: when it started.
        begin_ms, end_ms: the first and the last moment at which it said anything.
    """

    curves: dict[str, Curve] = field(default_factory=dict)
    lanes: dict[str, Lane] = field(default_factory=lambda: {name: Lane() for name in LANES})
    boots: list[int] = field(default_factory=list)
    begin_ms: int | None = None
    end_ms: int = 0
    state: UnitState = field(default_factory=UnitState)

    @property
    def charge_point(self) -> str:
        """Its name, where it has said it."""
        return self.state.charge_point

    def observe(self, line: Line, at_ms: int) -> None:
        """Take in a line that came at `at_ms`."""
        if self.begin_ms is None:
            self.begin_ms = at_ms
        self.end_ms = max(self.end_ms, at_ms)
        if line.reset or line.event == "boot":
            self._restart(at_ms)
        record = line.record
        if record is None:
            return
        if record.name == "event":
            self.state.observe(record)
            self._note_state(at_ms)
            return
        for key, value in record.fields.items():
            quantity = BY_FIELD.get((record.name, key))
            if quantity is not None and quantity.key != "age" and not isinstance(value, str):
                self.curves.setdefault(quantity.name, Curve()).add(at_ms, value)
        self._note_module(record, at_ms)

    def _restart(self, at_ms: int) -> None:
        self.state.forget()
        for curve in self.curves.values():
            curve.add(at_ms, None)
        for lane in self.lanes.values():
            lane.add(at_ms, "")
        if not self.boots or at_ms - self.boots[-1] > 10_000:  # the ROM's banner and the event
            self.boots = [*self.boots[-999:], at_ms]

    def _note_module(self, record: Record, at_ms: int) -> None:
        if record.name == "power_module":
            state = record.fields.get("state")
            self.lanes["module"].add(
                at_ms, state[:_LONGEST_STATE] if isinstance(state, str) else ""
            )

    def _note_state(self, at_ms: int) -> None:
        state = self.state
        known = {
            "gate": "" if state.gate is None else state.gate.replace("_", " "),
            "vehicle": _word(state.plugged, "in", "none"),
            "transaction": _word(state.transaction, "running", "none"),
            "csms": _word(state.connected, "connected", "not connected"),
            "faults": ", ".join(state.faults).replace("_", " ") or "none",
        }
        for name, value in known.items():
            self.lanes[name].add(at_ms, value)

    def panels(self) -> Iterator[tuple[Panel, list[tuple[Quantity, Curve]]]]:
        """The panels in which there is anything, each with its curves."""
        for panel in PANELS:
            curves = [
                (QUANTITIES[name], self.curves[name])
                for name in panel.quantities
                if name in self.curves and not self.curves[name].empty
            ]
            if curves:
                yield panel, curves


def _word(value: bool | None, yes: str, no: str) -> str:
    return "" if value is None else yes if value else no


class PlotCollector:
    """What every board did, by its port.

    Attributes:
        left_out: whether there were more boards than a plot has room for.
    """

    def __init__(self) -> None:
        self.units: dict[str, UnitCourse] = {}
        self.left_out = False

    def on_lines(self, lines: Sequence[Line]) -> None:
        """Take in lines of one port; their `at_ns` is the time of the plot."""
        unit = self.units.get(lines[0].port)
        if unit is None:
            if len(self.units) >= MAX_PORTS:
                self.left_out = True
                return
            unit = self.units[lines[0].port] = UnitCourse()
        for line in lines:
            unit.observe(line, line.at_ns // 1_000_000)
