# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a board to rest before a scenario, and knowing that it is."""

from __future__ import annotations

from evtool.verify.board.live import LiveRun, Order
from evtool.verify.board.seen import FLAGS, SWITCH

PATIENCE_MS = 40_000
CONNECT_PATIENCE_MS = 100_000
"""A board whose connection was cut may wait a minute before it tries again."""
_AGAIN_MS = 4_000
# What was heard of another vehicle and module is stale by then, and everything is known anew.
_SETTLED_MS = 3_500
_RECENT_MS = 1_500
_LEAK_MA = 1_000
_AT_REST = "18"
"""charge_feedback's flags: no fault, no vehicle, and none for 5 s."""


class Rest:
    """What is done, again and again, until the board is at rest: no vehicle, no transaction."""

    def __init__(self, run: LiveRun, now_ms: int) -> None:
        self._run = run
        self._next_ms = now_ms
        self._end_ms = now_ms + PATIENCE_MS
        self._connect_end_ms = now_ms + CONNECT_PATIENCE_MS

    def tick(self, now_ms: int) -> None:
        """Press and order what is needed."""
        run = self._run
        if now_ms < self._next_ms:
            return
        self._next_ms = now_ms + _AGAIN_MS
        run.press("5" if run.no_transaction else "5t", now_ms)
        if not run.setup.csms:
            return
        run.acts.append(Order("online"))
        if not run.is_unlimited:
            run.order(Order("limit", -1))
        if run.status != "Available":
            run.order(Order("status"))

    def missing(self, now_ms: int) -> str:
        """What keeps the scenario from starting; empty when the board is at rest."""
        run = self._run
        if now_ms - run.begun_ms < _SETTLED_MS:
            return "the board needs a few seconds to know its surroundings"
        if run.setup.csms and not (run.is_connected and run.word.connected):
            return "the board is not connected to the CSMS"
        if run.setup.csms and not run.is_unlimited:
            return "the charging profile of the last scenario is not cleared"
        if not run.no_transaction or run.word.transaction:
            return "a transaction runs"
        return self._board(now_ms) or self._reference()

    def is_hopeless(self, now_ms: int) -> bool:
        """Whether it has taken too long."""
        run = self._run
        waits_for_csms = run.setup.csms and not (run.is_connected and run.word.connected)
        return now_ms >= (self._connect_end_ms if waits_for_csms else self._end_ms)

    def _board(self, now_ms: int) -> str:
        wanted = (
            (SWITCH, "0", "its frames tell the module off"),
            (FLAGS, _AT_REST, "charge_feedback says no vehicle and no fault"),
            ("power_module.state", "off", "its console shows the module off"),
            ("bms.voltage_mv", "-", "its console shows no vehicle"),
        )
        for field, value, words in wanted:
            shown = self._recent(field, now_ms)
            if shown != value:
                return f"waiting until {words} (now: {field} {shown})"
        current = self._recent("terminal.current_ma", now_ms)
        if not current.lstrip("-").isdigit() or abs(int(current)) > _LEAK_MA:
            return f"waiting until no current flows (now: {current} mA)"
        if self._run.setup.csms and self._run.status != "Available":
            return f"waiting for its status Available (now: {self._run.status or 'none'})"
        return ""

    def _recent(self, field: str, now_ms: int) -> str:
        last = self._run.seen.last(field)
        return "unknown" if last is None or now_ms - last.at_ms > _RECENT_MS else last.value

    def _reference(self) -> str:
        wanted = {"flags": _AT_REST, "gate": "no_vehicle", "faults": "-", "module": "off"}
        state = self._run.reference.state
        for field, value in wanted.items():
            if state.get(field) != value:
                return f"waiting for the reference: {field} {state.get(field)}, not {value}"
        return ""
