# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at bus and console before anything is sent: who is there already."""

from __future__ import annotations

from evtool.protocol.can_frame import CanFrame
from evtool.protocol.can_tables import ControlRequest
from evtool.protocol.console import Record, parse_line
from evtool.verify.board.ocpp import BoardWord
from evtool.verify.board.seen import (
    BOARD_IDS,
    CONNECTED,
    OTHERS_IDS,
    PERMIT,
    TRANSACTION,
    field_of_event,
)

LISTEN_MS = 3_500
"""A module or a BMS that is there says something in this time."""
PATIENCE_MS = 10_000
"""A board that had nobody to acknowledge its frames recovers its bus within seconds."""


def other_sender(frame: CanFrame) -> str | None:
    """The BMS or power module that sent a frame which no board sends; None for any other."""
    if not frame.extended or frame.remote:
        return None
    return OTHERS_IDS.get(frame.can_id)


class Watch:
    """What was heard so far.

    Attributes:
        commands_on: the buses on which a board commands a module.
        on_console: whether the console said anything.
        energy_mwh: the register, from a record of the console.
    """

    def __init__(self, word: BoardWord) -> None:
        self.word = word
        self.commands_on: set[int] = set()
        self.on_bus = False
        self.on_console = False
        self.energy_mwh: int | None = None

    def frame(self, bus: int, frame: CanFrame) -> None:
        """A frame was heard."""
        if not frame.extended or frame.remote:
            return
        self.on_bus = self.on_bus or frame.can_id in BOARD_IDS
        if frame.can_id == ControlRequest.ID:
            self.commands_on.add(bus)

    def line(self, text: str) -> None:
        """A line of the console."""
        self.on_console = True
        record = parse_line(text)
        if not isinstance(record, Record):
            return
        energy = record.fields.get("energy_mwh")
        if record.name == "terminal" and isinstance(energy, int):
            self.energy_mwh = energy
        if record.name == "event" and (found := field_of_event(record)) is not None:
            if found[0] in (TRANSACTION, PERMIT, CONNECTED):
                self.word.event(*found)
            if record.kind == "boot":
                self.word.restart()

    @property
    def complete(self) -> bool:
        """Whether the board was heard wherever it must be."""
        return bool(self.commands_on) and self.energy_mwh is not None
