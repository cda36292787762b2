# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual board in the real world: its effects carried out, the world's events handed in.

One asyncio loop waits on the serial line, the firmware's console and hardware lines, and the
board's own deadline; when nothing happens, nothing runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from typing import Protocol

from evtool.cli.board_serial import BoardSerial
from evtool.errors import DeviceError
from evtool.link.app_process import AppProcess, describe_exit
from evtool.link.clock import monotonic_ms
from evtool.link.line_news import Line
from evtool.link.pty_lines import PtyLines
from evtool.virtual.board import Board, Crash
from evtool.virtual.effects import (
    AppInput,
    Busy,
    Discard,
    Effect,
    Report,
    StartApp,
    StopApp,
    Transmit,
)
from evtool.virtual.pace import Pace

# What a shell says of a program that it cannot execute.
_CANNOT_EXECUTE = 126


class Peripheral(Protocol):
    """Hardware that the firmware reaches by lines."""

    @property
    def verbs(self) -> frozenset[str]:
        """The first words of the lines that it wants."""
        ...

    async def run(self) -> None:
        """Work until cancelled, or return when there is nothing to do."""
        ...

    def app_started(self, start: StartApp, send: Callable[[str], object]) -> None:
        """The firmware runs; `send` hands it a line."""
        ...

    def app_stopped(self) -> None:
        """The firmware is gone."""
        ...

    def on_line(self, verb: str, rest: str) -> None:
        """A line of the firmware."""
        ...


class BoardHost:
    """Runs one board.

    Args:
        board: the board, not powered yet.
        line: its serial line.
        report: called with each event and its fields.
        environment: the firmware's environment variables, by the name of its file system.
        helper: DTR and RTS, where the line has none of its own.
        seed: of the line's faults.

    Attributes:
        state: the firmware's own, as it last said.
        pace: the line's time and faults.
    """

    def __init__(
        self,
        board: Board,
        line: Line,
        report: Callable[[str, dict[str, object]], None],
        environment: Callable[[str | None], dict[str, str]],
        *,
        helper: PtyLines | None = None,
        seed: int = 0,
    ) -> None:
        self.board = board
        self.state: dict[str, str] = {}
        self.pace = Pace(random.Random(seed))  # noqa: S311 - faults, not secrets
        self._serial = BoardSerial(board, line, self.pace, self._settle, helper)
        self._peripherals: list[Peripheral] = []
        self._report = report
        self._environment = environment
        self._app: AppProcess | None = None
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._supplied = True
        self._writing_app = False
        self._settling = False
        self._fuse_reset: PtyLines | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def attach(self, peripheral: Peripheral) -> None:
        """Wire a peripheral to the board, before the power comes."""
        self._peripherals.append(peripheral)

    def start(self) -> None:
        """Plug in the power, unless a command has taken it away already."""
        self._serial.start()
        self._tasks = [asyncio.ensure_future(each.run()) for each in self._peripherals]
        if self._supplied:
            self.power_cycle()

    def watch_fuse_reset(self, lines: PtyLines, blank: Callable[[], None]) -> None:
        """Blank the fuses whenever a port of its own has both its lines raised."""

        def on_lines() -> None:
            while (state := lines.receive()) is not None:
                if state == (True, True):
                    blank()
                lines.answer()

        self._loop.add_reader(lines.fileno(), on_lines)
        self._fuse_reset = lines

    async def close(self) -> None:
        """Pull the power: the firmware ends, nothing listens any more."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._stop_app()
        if self._timer is not None:
            self._timer.cancel()
        self._serial.stop()
        if self._fuse_reset is not None:
            self._loop.remove_reader(self._fuse_reset.fileno())

    def reset(self) -> None:
        """Press the button."""
        self.board.press_reset(monotonic_ms())
        self._settle()

    def power_cycle(self) -> None:
        """Take the power away and give it back: unsent output is gone."""
        self._supplied = True
        self._serial.discard()
        self.board.power_on(monotonic_ms())
        self._settle()

    def power_off(self) -> None:
        """Take the power away."""
        self._supplied = False
        self.board.power_off()
        self._settle()

    def crash(self, how: Crash, backtrace: Sequence[int] = ()) -> None:
        """End the firmware from outside; a panic names these code addresses."""
        self.board.crash(how, monotonic_ms(), backtrace)
        self._settle()

    def mark_application(self, valid: bool) -> bool:
        """Tell the boot loader, for the firmware, whether it is worth being started again."""
        marked = self.board.mark_application(valid, monotonic_ms())
        self._settle()
        return marked

    def unplug(self) -> None:
        """Pull the USB cable, and the power with it; the line is left to its owner."""
        self._serial.unplug()
        self.power_off()

    def plug(self, line: Line, helper: PtyLines | None) -> None:
        """Put the cable in again, at a new port."""
        self._serial.plug(line, helper)
        self.power_cycle()

    def restart_app(self) -> None:
        """The firmware restarts itself: what OCPP's Reset asks for."""
        if self._app is not None:
            self._stop_app()
            self.board.on_app_exit(0, describe_exit(0), monotonic_ms())
            self._settle()

    # --- events -------------------------------------------------------------------

    def _on_timer(self) -> None:
        self._timer = None
        self._serial.on_time()
        self.board.tick(monotonic_ms())
        self._settle()

    def _on_console(self) -> None:
        app = self._app
        if app is None:
            return
        data = app.read_console()
        if data is None:
            self._loop.remove_reader(app.console_descriptor)
        else:
            self.board.on_app_console(data)
        self._settle()

    def _on_hardware(self) -> None:
        app = self._app
        if app is None:
            return
        lines = app.read_lines()
        if lines is None:
            self._loop.remove_reader(app.hardware_descriptor)
        for line in lines or ():
            self._hardware_line(line)
        self._settle()

    def _hardware_line(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        if verb == "store":
            key, _, value = rest.partition(" ")
            # Whoever waits for the store hears of it only when it is done.
            if value.isascii() and value.isdigit() and self.board.on_app_store(key, int(value)):
                self._send_to_app(f"stored {key} {value}")
            return
        if verb == "state":
            self.state = dict(word.partition("=")[::2] for word in rest.split(" "))
        for peripheral in self._peripherals:
            if verb in peripheral.verbs:
                peripheral.on_line(verb, rest)

    def _on_app_exit(self) -> None:
        if self._app is None:
            return
        # What it said last is still in the pipes.
        while data := self._app.read_console():
            self.board.on_app_console(data)
        while lines := self._app.read_lines():
            for line in lines:
                self._hardware_line(line)
        return_code = self._stop_app()
        self.board.on_app_exit(return_code, describe_exit(return_code), monotonic_ms())
        self._settle()

    # --- effects ------------------------------------------------------------------

    def _settle(self) -> None:
        """Carry out what the board wants, then wait for the right things."""
        if self._settling:
            return
        self._settling = True
        try:
            while effects := self.board.take():
                for effect in effects:
                    self._carry_out(effect)
        finally:
            self._settling = False
        self._serial.watch()
        self._watch_writes()
        deadlines = [self.board.deadline_ms, self._serial.deadline_ms]
        wanted = min((each for each in deadlines if each is not None), default=None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wanted is not None:
            delay_s = max(0, wanted - monotonic_ms()) / 1000
            self._timer = self._loop.call_later(delay_s, self._on_timer)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Transmit():
                self._serial.send(effect)
            case Busy():
                self._serial.work(effect)
            case Discard():
                self._serial.discard()
            case StartApp():
                self._start_app(effect)
            case StopApp():
                self._stop_app()
            case AppInput(data):
                if self._app is not None:
                    self._app.type(data)
            case Report(event, fields):
                self._report(event, fields)

    def _start_app(self, start: StartApp) -> None:
        try:
            app = AppProcess(start.payload, self._environment(start.storage))
        except DeviceError as error:
            self._report("error", error.as_dict())
            self.board.on_app_exit(_CANNOT_EXECUTE, error.message, monotonic_ms())
            return
        self._app = app
        self._loop.add_reader(app.console_descriptor, self._on_console)
        self._loop.add_reader(app.hardware_descriptor, self._on_hardware)
        self._loop.add_reader(app.exit_descriptor, self._on_app_exit)
        for line in start.lines:
            app.send(line)
        for peripheral in self._peripherals:
            peripheral.app_started(start, self._send_to_app)

    def _send_to_app(self, line: str) -> bool:
        if self._app is None:
            return False
        sent = self._app.send(line)
        self._watch_writes()
        return sent

    def _stop_app(self) -> int:
        if self._app is None:
            return 0
        app, self._app = self._app, None
        self.state = {}
        for peripheral in self._peripherals:
            peripheral.app_stopped()
        for descriptor in (app.console_descriptor, app.hardware_descriptor, app.exit_descriptor):
            self._loop.remove_reader(descriptor)
        if self._writing_app:
            self._loop.remove_writer(app.hardware_descriptor)
            self._writing_app = False
        return app.stop()

    # --- what is waited for -------------------------------------------------------

    def _watch_writes(self) -> None:
        app = self._app
        if app is not None and app.wants_to_send != self._writing_app:
            self._writing_app = app.wants_to_send
            if self._writing_app:
                self._loop.add_writer(app.hardware_descriptor, self._on_app_writable)
            else:
                self._loop.remove_writer(app.hardware_descriptor)

    def _on_app_writable(self) -> None:
        if self._app is not None:
            self._app.flush()
        self._watch_writes()
