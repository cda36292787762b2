# SPDX-License-Identifier: GPL-3.0-or-later
"""A CAN controller of the virtual board: the firmware's `can` lines on a CAN bus.

A bus that is not there, or goes away, is not an error of the board: the firmware is told that
its controller has stopped, and the bus is looked for again every second.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from evtool.errors import EvtoolError
from evtool.link.can_bus import CanBus
from evtool.protocol.can_frame import CanFrame, Malformed
from evtool.protocol.can_line import parse_can_words, render_can_line

RETRY_S = 1.0
_POLL_S = 0.01


class BoardCan:
    """One controller.

    Args:
        number: how the firmware calls the bus, 0 or 1.
        open_bus: opens it; may block and raise. None: nothing is connected, and no frame is
            ever acknowledged, which makes a controller error-passive.
        on_change: called with the controller's state and, where there is one, the reason.
    """

    def __init__(
        self,
        number: int,
        open_bus: Callable[[], CanBus] | None,
        on_change: Callable[[int, str, str | None], None],
    ) -> None:
        self.verbs = frozenset({"can", "recover"})
        self._number = number
        self._open_bus = open_bus
        self._on_change = on_change
        self._bus: CanBus | None = None
        self._state = "error_passive" if open_bus is None else "stopped"
        self._send_line: Callable[[str], object] | None = None
        self._lost = asyncio.Event()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        if self._open_bus is None:
            return
        while True:
            try:
                opened = await asyncio.to_thread(self._open_bus)
            except EvtoolError as error:
                self._change("stopped", error.message)
                await asyncio.sleep(RETRY_S)
                continue
            try:
                await self._serve(opened)
            finally:
                self._bus = None
                opened.close()

    def app_started(self, _start: object, send: Callable[[str], object]) -> None:
        """The firmware runs; `send` hands it a line."""
        self._send_line = send
        self._tell()

    def app_stopped(self) -> None:
        """The firmware is gone."""
        self._send_line = None

    def on_line(self, verb: str, rest: str) -> None:
        """A line of the firmware: `can <bus> ...` or `recover <bus>`, of any bus."""
        if rest.split(" ", 1)[0] != str(self._number):
            return
        if verb == "recover":
            self._tell()
            return
        parsed = parse_can_words(rest)
        if not isinstance(parsed, Malformed) and self._bus is not None:
            try:
                self._bus.send(parsed[1])
            except EvtoolError as error:
                self._fail(error)

    async def _serve(self, bus: CanBus) -> None:
        self._bus = bus
        self._lost.clear()
        self._change("running", None)
        descriptor = bus.fileno()
        if descriptor < 0:
            while not self._lost.is_set():
                self._receive()
                await asyncio.sleep(_POLL_S)
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, self._receive)
        try:
            await self._lost.wait()
        finally:
            loop.remove_reader(descriptor)

    def _receive(self) -> None:
        if self._bus is None or self._lost.is_set():
            return
        with contextlib.suppress(_Lost):
            while (frame := self._next(self._bus)) is not None:
                if self._send_line is not None:
                    self._send_line(render_can_line(self._number, frame))

    def _next(self, bus: CanBus) -> CanFrame | None:
        try:
            return bus.receive(0)
        except EvtoolError as error:
            self._fail(error)
            raise _Lost from error

    def _fail(self, error: EvtoolError) -> None:
        if not self._lost.is_set():
            self._lost.set()
            self._change("stopped", error.message)

    def _change(self, state: str, reason: str | None) -> None:
        if state != self._state or (reason is None and state == "running"):
            self._state = state
            self._tell()
        self._on_change(self._number, state, reason)

    def _tell(self) -> None:
        if self._send_line is not None:
            self._send_line(f"bus {self._number} {self._state}")


class _Lost(Exception):
    """The bus has gone; said already."""
