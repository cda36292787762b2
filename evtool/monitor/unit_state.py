# SPDX-License-Identifier: GPL-3.0-or-later
"""What the board's events say that holds now: gate, vehicle, OCPP, transaction, faults, buses.

A monitor that comes later than the event knows nothing of it: then the state is unknown (None),
except where a record tells (the module's own `state`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from evtool.protocol.console import Record

MAX_FAULTS = 32
"""A broken or a hostile board may invent names without end; a controller knows some ten faults."""

MAX_BUSES = 8
_LONGEST_WORD = 64


@dataclass(slots=True)
class UnitState:
    """None is "not said since the monitor is there".

    Attributes:
        charge_point: the name that the board said at its start; "" before.
        gate: `open`, or why it is closed (`no_vehicle`, ...); `closed` for no reason given.
        plugged: whether a vehicle is there.
        connected: whether the board is connected to its CSMS.
        transaction: whether one runs.
        permitted: whether OCPP lets energy flow.
        faults: those that are set, in the order in which they were.
        buses: a CAN controller's number -> its state.
        crowded: whether there were more faults or buses than are kept; the later ones are not.
    """

    charge_point: str = ""
    gate: str | None = None
    plugged: bool | None = None
    connected: bool | None = None
    transaction: bool | None = None
    permitted: bool | None = None
    faults: list[str] = field(default_factory=list)
    buses: dict[str, str] = field(default_factory=dict)
    crowded: bool = False

    def observe(self, record: Record) -> None:
        """Take in an event; any other record changes nothing."""
        words = {key: str(value)[:_LONGEST_WORD] for key, value in record.fields.items()}
        state = words.get("state", "")
        match record.kind:
            case "boot":
                self._start(words.get("charge_point", ""))
            case "gate":
                self.gate = "open" if state == "open" else words.get("reason", "closed")
            case "plug":
                self.plugged = state == "in"
            case "ocpp":
                self.connected = state == "connected"
            case "transaction":
                self.transaction = state == "started"
            case "permit":
                self.permitted = state == "granted"
            case "fault":
                self._note_fault(words.get("name", ""), is_set=state == "set")
            case "bus":
                self._note_bus(words.get("bus", ""), state)

    @property
    def buses_in_trouble(self) -> list[str]:
        """`bus0 bus_off`, ... for each bus that does not run."""
        return [f"bus{bus} {state}" for bus, state in self.buses.items() if state != "running"]

    def forget(self) -> None:
        """The board has started anew: nothing is known of it."""
        self.charge_point = ""
        self.gate = self.plugged = self.connected = self.transaction = self.permitted = None
        self.faults.clear()
        self.buses.clear()
        self.crowded = False

    def _start(self, charge_point: str) -> None:
        """docs/controller.md: no vehicle, no permission, and the module is told off."""
        self.forget()
        self.charge_point = charge_point
        self.gate = "closed"
        self.plugged = self.connected = self.transaction = self.permitted = False

    def _note_fault(self, name: str, *, is_set: bool) -> None:
        if name in self.faults:
            self.faults.remove(name)
        if is_set and len(self.faults) < MAX_FAULTS:
            self.faults.append(name)
        elif is_set:
            self.crowded = True

    def _note_bus(self, bus: str, state: str) -> None:
        if bus in self.buses or len(self.buses) < MAX_BUSES:
            self.buses[bus] = state
        else:
            self.crowded = True
