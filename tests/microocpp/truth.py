# SPDX-License-Identifier: GPL-3.0-or-later
"""What really happened at a unit, from its state and its module alone, and what must be so.

The central system's book is held against it in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evtool.virtual.power_module import PowerModule

# A unit that starts hears the vehicle within 3.5 s, and OCPP's word comes within 0.5 s more.
_RESUMED_MS = 4_500
_REVOKED_MS = 1_000
_OPEN_NEEDS = {
    "plugged": "1",
    "in_range": "1",
    "ev_ready": "1",
    "module_alive": "1",
    "evse_ready": "1",
    "transaction": "1",
    "permitted": "1",
    "faults": "-",
    "bus0": "running",
}


@dataclass(slots=True)
class Charge:
    """One transaction; registers in Wh as the controller had stored them, times in ms.

    Attributes:
        meter_start: None where it was under way when it was first seen.
        meter_stop: the register at its end, at least and at most.
    """

    started_ms: int
    meter_start: int | None
    meter_stop: tuple[int, int] | None = None
    stopped_ms: int | None = None


class Truth:
    """Takes every state of the unit, and raises AssertionError for what must never be.

    Args:
        module: whose switch is looked at.
        grants: how often a start has been allowed so far.
    """

    def __init__(self, module: PowerModule, grants: Callable[[], int]) -> None:
        self.charges: list[Charge] = []
        self.cuts_ms: list[int] = []
        self._module = module
        self._grants = grants
        self._running = False
        self._stored = 0
        self._booted_ms: int | None = None
        self._was_closed = False
        self.energised = 0

    @property
    def _open(self) -> Charge | None:
        return self.charges[-1] if self.charges and self.charges[-1].stopped_ms is None else None

    def booted(self, now_ms: int) -> None:
        """The unit has power again."""
        self._booted_ms = now_ms

    def cut(self, now_ms: int) -> None:
        """Its power is gone."""
        self.cuts_ms.append(now_ms)
        self._running = self._was_closed = False
        self._booted_ms = None

    def see(self, state: Mapping[str, str], ordered_on: bool, bus_runs: bool, now_ms: int) -> None:
        """The state after a command; `ordered_on`: the module was told to switch on in it."""
        self._gate(state, ordered_on, bus_runs)
        stored = int(state["stored_mwh"]) // 1000
        running = state["transaction"] == "1"
        early = self._booted_ms is not None and now_ms - self._booted_ms <= _RESUMED_MS
        if running and not self._running:
            self._began(stored, early, now_ms)
        elif self._running and not running:
            assert self._open is not None
            self._ended((stored, stored), now_ms)
        elif self._open is not None and not running and not early:
            # It was running when the power failed, and is not taken up again.
            self._ended((self._stored, stored), now_ms)
        self._running = running
        if running or self._open is None:
            self._stored = stored

    def _began(self, stored: int, early: bool, now_ms: int) -> None:
        if self._open is not None:
            assert early, "a second transaction beside the one that runs"
            return
        # One that the power cut hid is seen first when it is taken up again.
        self.charges.append(Charge(now_ms, None if early else stored))
        assert len(self.charges) <= self._grants(), "it began, and nobody had allowed it"

    def _ended(self, meter_stop: tuple[int, int], now_ms: int) -> None:
        charge = self._open
        assert charge is not None
        charge.meter_stop, charge.stopped_ms = meter_stop, now_ms

    def _gate(self, state: Mapping[str, str], ordered_on: bool, bus_runs: bool) -> None:
        is_open = state["gate"] == "open"
        if is_open:
            wrong = {name: state[name] for name, need in _OPEN_NEEDS.items() if state[name] != need}
            assert not wrong, f"the gate is open, and {wrong}"
            assert state["limit_ma"] != "0", "the gate is open, and the limit is 0"
            self.energised += 1
        assert is_open or not ordered_on, "the module was switched on while the gate is closed"
        assert is_open == (state["energised"] == "1")
        # Off goes out in the answer in which the gate closes, and reaches a module on a live bus.
        on = self._module.on and bus_runs and not is_open and self._was_closed
        assert not on, f"the module is on, and the gate is closed: {state['gate']}"
        self._was_closed = not is_open and bus_runs
