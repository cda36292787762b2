# SPDX-License-Identifier: GPL-3.0-or-later
"""One watch over one port: reads, follows, passes keys on, and waits for a port to return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from evtool.errors import DeviceError, EvtoolError, LinkTimeout
from evtool.monitor.follow import Follower, Happening, Line
from evtool.monitor.goal import Goal, Watch
from evtool.monitor.quantities import TITLES
from evtool.monitor.redact import Redactor
from evtool.monitor.stream import Audience, Batch, News
from evtool.monitor.views import VIEW_RECORDS

READ_TIMEOUT_S = 0.05  # how late a key press may be passed on
REOPEN_MS = 250
BOARD_KEYS = frozenset("012345stm?")
_QUIT_KEYS = frozenset("q\x04")


class Port(Protocol):
    """A board's console."""

    def read(self, timeout_s: float) -> bytes:
        """What arrived; b"" when nothing does in time. Raises DeviceError when it is gone."""

    def discard_waiting(self) -> None:
        """Drop what was sent before now. Raises DeviceError when the port is gone."""

    def write(self, data: bytes) -> None:
        """Send all of it. Raises DeviceError when the port is gone."""

    def reset(self) -> bool:
        """Press the board's reset button; False where the port has no such line."""

    def close(self) -> None:
        """Give it back."""


class Display(Protocol):
    """Whoever the watch is for: a screen, lines of text, lines of JSON."""

    def show(self, happening: Happening) -> None:
        """Something on the board."""

    def note(self, event: str, text: str) -> None:
        """Something about the watch itself: `connected`, `disconnected`, `refused`."""

    def press(self, key: str) -> None:
        """A key that was passed on to the board."""

    def refresh(self, now_ms: int) -> None:
        """Time has passed."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a session is connected to.

    Attributes:
        open_port: opens the port; raises DeviceError.
        now_ms: the monotonic clock.
        now_ns: Unix time in nanoseconds.
        pause: waits that many seconds.
        keys: the keys pressed since the last call.
        log: takes every line, masked; None for no log.
    """

    open_port: Callable[[], Port]
    now_ms: Callable[[], int]
    pause: Callable[[float], None]
    keys: Callable[[], bytes]
    now_ns: Callable[[], int]
    log: Callable[[str], None] | None = None


class Session:
    """Watches `port_name` until the goal is reached or the user ends it.

    Args:
        port_name: for messages.
        view_key: the view that the board is asked for, again after each of its restarts.
        send: keys for the board, sent once.
        goal: what ends the watch.
        reconnect: whether to wait for a port that disappeared.
        redactor: masks the project's secrets before anything else sees them.
        audience: who hears of everything, on the view or not. The session is its `Controls`.
    """

    def __init__(  # noqa: PLR0913  a session is what joins all of these
        self,
        wiring: Wiring,
        display: Display,
        redactor: Redactor,
        *,
        port_name: str,
        goal: Goal,
        view_key: str,
        send: str = "",
        reconnect: bool = True,
        audience: Audience | None = None,
    ) -> None:
        self._wiring = wiring
        self._display = display
        self._redactor = redactor
        self._port_name = port_name
        self._watch = Watch(goal, wiring.now_ms(), port_name)
        self._view_key = view_key
        self._records: tuple[str, ...] = goal.records
        self._send = send
        self._reconnect = reconnect
        self._port: Port | None = None
        self._audience = audience if audience is not None else Audience()
        self._follower = Follower(wiring.now_ms(), port=port_name)
        self._error: EvtoolError | None = None
        self._next_ms: int | None = None
        self._gone: DeviceError | None = None
        self._done = False

    def run(self) -> None:
        """Watch to the end.

        Raises:
            DeviceError: the port cannot be opened; or it disappeared, and the watch is not
                to wait for it or its time ran out before it was back.
            LinkTimeout: the board said nothing.
            CheckFailed: the goal was not reached.
            EvtoolError: as `end` was told.
        """
        self._port = self._wiring.open_port()
        try:
            # old lines say nothing about now; what a board says while it returns does
            self._port.discard_waiting()
            self._attach()
            self._write(self._send)
            while not self._done:
                self._step()
            if self._error is not None:
                raise self._error
        finally:
            if self._port is not None:
                self._port.close()

    def write(self, data: bytes, port: str = "") -> bool:
        """As `Controls` says."""
        if self._port is None or port not in ("", self._port_name):
            return False
        self._write(data.decode("latin-1"))
        return self._port is not None

    def reset(self, port: str = "") -> bool:
        """As `Controls` says."""
        if self._port is None or port not in ("", self._port_name):
            return False
        try:
            return self._port.reset()
        except DeviceError as error:
            self._disconnect(error)
            return False

    def end(self, error: EvtoolError | None = None) -> None:
        """As `Controls` says; the first error counts."""
        self._done = True
        self._error = self._error or error

    def _attach(self) -> None:
        self._gone = None
        self._follower = Follower(self._wiring.now_ms(), port=self._port_name)
        self._note("connected", f"{self._port_name} is open")
        self._write(self._view_key)

    def _step(self) -> None:
        if self._port is None:
            self._wait()
        else:
            self._listen(self._port)
        if self._done:
            return
        self._pass_keys(self._wiring.keys())
        now_ms = self._wiring.now_ms()
        if self._watch.remaining_ms(now_ms) == 0:
            if self._gone is not None:
                raise self._gone
            self._done = self._watch.timed_out(now_ms)
        self._call_in_time(now_ms)
        self._display.refresh(now_ms)

    def _listen(self, port: Port) -> None:
        remaining_ms = self._watch.remaining_ms(self._wiring.now_ms())
        timeout_s = READ_TIMEOUT_S
        if remaining_ms is not None:
            timeout_s = min(timeout_s, remaining_ms / 1000)
        if self._next_ms is not None:
            timeout_s = min(timeout_s, max(0, self._next_ms - self._wiring.now_ms()) / 1000)
        try:
            data = self._redactor.feed(port.read(timeout_s))
        except DeviceError as error:
            self._disconnect(error)
            return
        self._hand_on(data)
        now_ms = self._wiring.now_ms()
        self._take(self._follower.feed(data, now_ms, self._wiring.now_ns()))

    def _wait(self) -> None:
        """Let some time pass, then see whether the port is back."""
        self._wiring.pause(REOPEN_MS / 1000)
        try:
            self._port = self._wiring.open_port()
        except DeviceError as error:
            self._gone = error
            return
        self._attach()

    def _disconnect(self, error: DeviceError) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None
        now_ms, now_ns = self._wiring.now_ms(), self._wiring.now_ns()
        rest = self._redactor.finish()
        self._hand_on(rest)
        self._take(self._follower.feed(rest, now_ms, now_ns))
        self._take(self._follower.finish(now_ms, now_ns))
        if self._done:
            return
        if not self._reconnect:
            raise error
        self._gone = error
        self._note("disconnected", f"{error.message}; waiting for it to return")

    def _note(self, event: str, text: str) -> None:
        self._display.note(event, text)
        self._announce(event, text)

    def _announce(self, event: str, text: str) -> None:
        news = News(self._port_name, self._wiring.now_ns(), self._wiring.now_ms(), event, text)
        for listener in self._audience.news:
            listener.on_news(news)

    def _hand_on(self, data: bytes) -> None:
        if data and self._audience.batches:
            batch = Batch(self._port_name, self._wiring.now_ns(), self._wiring.now_ms(), data)
            for consumer in self._audience.batches:
                consumer.on_batch(batch)

    def _hand_on_lines(self, happenings: list[Happening]) -> None:
        lines = [each for each in happenings if isinstance(each, Line)]
        if lines:
            for consumer in self._audience.lines:
                consumer.on_lines(lines)
        telling = [line for line in lines if line.is_telling] if self._audience.telling else []
        if telling:
            for consumer in self._audience.telling:
                consumer.on_lines(telling)
        if len(lines) < len(happenings):
            self._announce("silence", f"{self._port_name}: nothing comes")

    def _call_in_time(self, now_ms: int) -> None:
        wanted = [consumer.on_time(now_ms) for consumer in self._audience.times]
        self._next_ms = min((each for each in wanted if each is not None), default=None)

    def _take(self, happenings: list[Happening]) -> None:
        self._hand_on_lines(happenings)
        for happening in happenings:
            if self._done:
                return
            if isinstance(happening, Line) and self._wiring.log is not None:
                self._wiring.log(happening.text)
            if self._on_view(happening):
                self._display.show(happening)
            self._done = self._watch.reached(happening)
            if isinstance(happening, Line) and happening.event == "boot":
                self._write(self._view_key)  # a board that starts shows no view

    def _on_view(self, happening: Happening) -> bool:
        record = happening.record if isinstance(happening, Line) else None
        return record is None or record.name not in TITLES or record.name in self._records

    def _pass_keys(self, pressed: bytes) -> None:
        for key in pressed.decode("latin-1").lower():
            if key in _QUIT_KEYS:
                self._done = True
                return
            if key not in BOARD_KEYS:
                continue
            if self._port is None:
                self._note("refused", f"{key}: the port is not there")
                continue
            if key in VIEW_RECORDS:
                self._view_key = key
                self._records = VIEW_RECORDS[key]
            self._write(key)
            self._display.press(key)

    def _write(self, keys: str) -> None:
        if self._port is None or not keys:
            return
        try:
            self._port.write(keys.encode("latin-1"))
        except LinkTimeout:
            raise
        except DeviceError as error:
            self._disconnect(error)
