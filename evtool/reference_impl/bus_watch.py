# SPDX-License-Identifier: GPL-3.0-or-later
"""The CAN controllers' states, and when to ask for a recovery.

A bus counts as stopped until it is said to run. Frames (but for the off command) are given only
to a bus that can transmit: running or error_passive. The gate wants every bus running. A bus that
cannot transmit is asked to recover, at most once in 5000 ms; after the controller's start its
driver has 5000 ms to bring it up, unless it says bus_off.
"""

from __future__ import annotations

from evtool.reference_impl.controller_types import BusState

RECOVERY_MS = 5000
TRANSMITTING = (BusState.RUNNING, BusState.ERROR_PASSIVE)


class BusWatch:
    """One or two buses."""

    def __init__(self, buses: int) -> None:
        self._buses = buses
        self._state = [BusState.STOPPED, BusState.STOPPED]
        self._all_running = False
        self._any_bus_off = False
        self._start_ms = 0
        self._last_recovery_ms: list[int | None] = [None, None]

    def start(self, now_ms: int) -> None:
        """The controller starts."""
        self._start_ms = now_ms

    def knows(self, bus: int) -> bool:
        """Whether the configuration has this bus."""
        return 0 <= bus < self._buses

    def set(self, bus: int, state: BusState) -> bool:
        """Take a state; True if the bus has just become able to transmit."""
        came_back = state in TRANSMITTING and self._state[bus] not in TRANSMITTING
        self._state[bus] = state
        known = self._state[: self._buses]
        self._all_running = all(each is BusState.RUNNING for each in known)
        self._any_bus_off = BusState.BUS_OFF in known
        return came_back

    def state(self, bus: int) -> BusState:
        """The last state; stopped for a bus that is not configured."""
        return self._state[bus]

    def states(self) -> tuple[BusState, BusState]:
        """Both states."""
        return self._state[0], self._state[1]

    def transmits(self, bus: int) -> bool:
        """Whether frames can go out."""
        return self._state[bus] in TRANSMITTING

    def all_running(self) -> bool:
        """Whether every configured bus runs."""
        return self._all_running

    def any_bus_off(self) -> bool:
        """Whether any configured bus is bus_off."""
        return self._any_bus_off

    def due_recoveries(self, now_ms: int) -> list[int]:
        """Buses to recover now."""
        due = []
        for bus in range(self._buses):
            since_ms = self._last_recovery_ms[bus]
            if since_ms is None and self._state[bus] is not BusState.BUS_OFF:
                since_ms = self._start_ms
            if self.transmits(bus) or (since_ms is not None and now_ms - since_ms < RECOVERY_MS):
                continue
            self._last_recovery_ms[bus] = now_ms
            due.append(bus)
        return due
