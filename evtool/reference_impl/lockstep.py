# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference behind the host program's lockstep lines: the same lines in, the same lines out."""

from __future__ import annotations

from evtool.protocol.can_frame import Malformed
from evtool.reference_impl.controller import Controller
from evtool.reference_impl.controller_types import (
    MAX_TIME_MS,
    BootInfo,
    Config,
    OcppWord,
    Report,
    Snapshot,
)
from evtool.reference_impl.line_format import (
    BusCommand,
    CanCommand,
    Command,
    KeyCommand,
    TickCommand,
    output_line,
    parse_command,
    parse_number,
    state_line,
)

OK = "ok"


class Lockstep:
    """What `program --lockstep` does, in Python.

    `failed` becomes True with the first line that was not understood: the program exits with 2
    there, so later lines are not answered.
    """

    def __init__(self) -> None:
        self.failed = False
        self.controller: Controller | None = None
        self._config = Config()
        self._told: Snapshot | None = None
        self._told_line = ""

    def answer(self, line: str) -> list[str]:
        """Answer one command line (without its end).

        Returns:
            outputs in order, the state, `ok`; or one `malformed <reason>`; nothing after that.
        """
        if self.failed:
            return []
        stamp, space, text = line.partition(" ")
        now_ms = parse_number(stamp[1:], MAX_TIME_MS) if stamp.startswith("@") else None
        if now_ms is None or not space:
            return self._fail("bad time")
        command = parse_command(text, self._config)
        if isinstance(command, Malformed):
            return self._fail(command.reason)
        if isinstance(command, Config):
            self._config = command
            return [OK]
        if isinstance(command, BootInfo):
            self.controller = Controller(self._config, command)
            self.controller.boot(now_ms)
        elif self.controller is not None:
            apply_command(self.controller, command, now_ms)
        if self.controller is None:
            return [OK]
        lines = [output_line(output) for output in self.controller.drain()]
        return [*lines, self._state_line(self.controller.snapshot(now_ms)), OK]

    def _state_line(self, snapshot: Snapshot) -> str:
        # Most inputs change nothing that the line says.
        if snapshot != self._told:
            self._told, self._told_line = snapshot, state_line(snapshot)
        return self._told_line

    def _fail(self, reason: str) -> list[str]:
        self.failed = True
        return [f"malformed {reason}"]


def apply_command(controller: Controller, command: Command, now_ms: int) -> None:
    """Give the controller an input; `config` and `boot` are none."""
    match command:
        case CanCommand(bus=bus, frame=frame):
            controller.on_frame(bus, frame, now_ms)
        case BusCommand(bus=bus, state=state):
            controller.on_bus(bus, state, now_ms)
        case KeyCommand(key=key):
            controller.on_key(key, now_ms)
        case OcppWord():
            controller.on_ocpp(command, now_ms)
        case Report():
            controller.on_report(command, now_ms)
        case TickCommand():
            controller.tick(now_ms)
        case _:
            raise TypeError(f"not an input of the controller: {command!r}")
