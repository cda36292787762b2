# SPDX-License-Identifier: GPL-3.0-or-later
"""One watch over one port or several: reads, hands on, passes keys on, reopens what was lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evtool.errors import DeviceError, EvtoolError, LinkTimeout
from evtool.monitor.display import Display
from evtool.monitor.distributor import Distributor
from evtool.monitor.goal import Goal, Watch
from evtool.monitor.keys import Keys
from evtool.monitor.on_view import OnView
from evtool.monitor.outgoing import Outgoing, Pace
from evtool.monitor.stream import Audience, News
from evtool.monitor.watched_console import Port, WatchedConsole
from evtool.monitor.wiring import Conduct, Wiring

# How long bytes gather between two readings: a median of half of it from the byte to the screen,
# and one wake-up for all of them. Less where so much comes that a port's buffer could be full.
BATCH_MS = 16
_LEAST_BATCH_MS = 2
_PATIENCE = 3  # readings without a pause, before looking at lines waits for several
_MUCH = 3584
REOPEN_MS = 250
_LOOK_MS = 50  # how late a display may be told that time passes
_FLOOD_LOOK_MS = 100  # how late lines may be looked at where they come without a pause
_IDLE_MS = 1000


class Session:
    """Watches ports until the goal is reached or the user ends it. It is the `Controls`.

    Args:
        ports: their names, for messages and to open them.
        goal: what ends the watch.
        view: what the boards are asked for, and which records are shown.
        display: looks at every line; None where nobody does.
        audience: who hears of everything, on the view or not.
        keys: what a key press does; None: nothing.

    Attributes:
        was_quit: whether the user ended it.
    """

    def __init__(  # noqa: PLR0913  a session is what joins all of these
        self,
        wiring: Wiring,
        ports: Sequence[str],
        *,
        goal: Goal,
        view: OnView,
        conduct: Conduct,
        display: Display | None = None,
        audience: Audience | None = None,
        keys: Keys | None = None,
    ) -> None:
        self._wiring = wiring
        self._consoles = [WatchedConsole(name) for name in ports]
        self._by_port: dict[Port, WatchedConsole] = {}
        self._view = view
        self._conduct = conduct
        self._display = display
        self._audience = audience if audience is not None else Audience()
        self._keys = keys
        self._polls_keys = keys is not None and wiring.polls_keys
        self._watch = Watch(goal, wiring.now_ms(), ", ".join(ports))
        self._error: EvtoolError | None = None
        self.was_quit = False
        self._next_ms: int | None = None
        self._done = False
        self._keys_ms = self._look_ms = self._round_ms = 0
        self._busy = 0
        self._in_flood = False
        self._distributor = Distributor(
            self._audience, self._watch, view, display, self._restarted, self._reached
        )

    def run(self) -> None:
        """Watch to the end.

        Raises:
            DeviceError: a port cannot be opened; or it disappeared, and the watch is not to wait
                for it, or its time ran out, or the user ended it, before it was back.
            LinkTimeout: the board said nothing, or takes nothing.
            CheckFailed: the goal was not reached.
            EvtoolError: as `end` was told.
        """
        try:
            self._watch_all()
        finally:
            try:
                self._hand_on_rests()
            finally:
                for console in self._consoles:
                    self._let_go(console)
        if self._error is not None:
            raise self._error

    def _watch_all(self) -> None:
        for console in self._consoles:
            self._open(console)
        self._call_in_time(self._wiring.now_ms())
        while not self._done and not self._wiring.stopped():
            self._step()

    def _hand_on_rests(self) -> None:
        """What came by now is kept, lines that have not ended too."""
        self._distributor.catch_up()
        now_ns, now_ms = self._wiring.now_ns(), self._wiring.now_ms()
        for console in self._consoles:
            if console.port is not None:
                if self._audience.clear is not None:
                    self._audience.show_clear(console.clear.finish(now_ns, now_ms))
                self._distributor.take_rest(console.stream.finish(now_ns, now_ms))

    # -- what consumers may do: `Controls`

    def write(self, data: bytes, port: str = "") -> bool:
        """As `Controls` says."""
        consoles = self._named(port)
        for console in consoles:
            self._send(console, data)
        return bool(consoles)

    def paste(self, data: bytes, pace: Pace, port: str = "") -> None:
        """Send a text at a pace; what is written meanwhile waits behind it."""
        for console in self._named(port):
            console.outgoing.add(data, pace)
            self._flush(console)

    def reset(self, port: str = "") -> bool:
        """As `Controls` says."""
        done = [self._try(console, lambda port: port.reset()) for console in self._named(port)]
        return bool(done) and all(done)

    def end(self, error: EvtoolError | None = None) -> None:
        """As `Controls` says; the first error counts."""
        self._done = True
        self._error = self._error or error
        self._distributor.stop()

    def _reached(self, error: EvtoolError | None) -> None:
        """The goal is reached, or missed. It is no success where another port is not there."""
        self.end(error or self._trouble() if len(self._consoles) > 1 else error)

    def _trouble(self) -> DeviceError | None:
        """What makes every end of the watch a failure: a port that is gone, or takes nothing."""
        found = [each for console in self._consoles for each in (console.gone, console.refused)]
        return next((each for each in found if each is not None), None)

    def quit(self) -> None:
        """The user ends it; no success while a port is gone, or a goal not reached."""
        self.was_quit = True
        self.end(self._trouble() or self._watch.given_up())

    def press(self, key: str, port: str = "") -> None:
        """Pass a key of the board's own menu on."""
        if not self._named(port):
            self._note(port, "refused", f"{key}: the port is not there")
            return
        self._view.press(key)
        self.write(key.encode("latin-1"), port)
        if self._display is not None:
            self._display.press(key)

    def received(self, port: str) -> int:
        """How many bytes have come from a port."""
        return sum(console.received for console in self._consoles if console.name == port)

    # -- opening and losing ports

    def _open(self, console: WatchedConsole) -> None:
        port = None
        while port is None and not self._done and not self._wiring.stopped():
            port = self._wiring.open_port(console.name)
            if port is None:
                self._wiring.waiter.rest(_LOOK_MS / 1000)
                self._take_keys()  # one of them may end it
        if port is None:
            return
        try:
            if self._conduct.reset:
                console.refuses_reset = not port.reset()
            elif not self._conduct.keep_waiting:
                # old lines say nothing about now; what a board says while it returns does
                port.discard_waiting()
        except DeviceError:
            port.close()
            raise
        if console.refuses_reset:
            self._note(console.name, "refused", f"{console.name}: it has no reset line")
        self._attach(console, port)
        self._send(console, self._conduct.send)
        if self._conduct.paste:
            self.paste(self._conduct.paste, self._conduct.pace, console.name)

    def _attach(self, console: WatchedConsole, port: Port) -> None:
        console.attach(port, self._wiring.redactor(), self._wiring.now_ms())
        self._by_port[port] = console
        self._wiring.waiter.add(port)
        self._note(console.name, "connected", f"{console.name} is open")
        self._ask_view(console)

    def _restarted(self, port: str) -> None:
        """A board that starts shows no view."""
        for console in self._named(port):
            self._ask_view(console)

    def _ask_view(self, console: WatchedConsole) -> None:
        if self._conduct.ask_view:
            self._send(console, self._view.key.encode())

    def _reopen(self, console: WatchedConsole, now_ms: int) -> None:
        console.reopen_ms = now_ms + REOPEN_MS
        try:
            port = self._wiring.open_port(console.name)
        except DeviceError as error:
            console.gone = error
            return
        if port is not None:
            self._attach(console, port)

    def _let_go(self, console: WatchedConsole) -> None:
        port = console.port
        if port is not None:
            console.port = None
            self._by_port.pop(port, None)
            self._wiring.waiter.remove(port)
            port.close()

    def _disconnect(self, console: WatchedConsole, error: DeviceError) -> None:
        self._let_go(console)
        console.gone = error
        now_ms = self._wiring.now_ms()
        console.reopen_ms = now_ms + REOPEN_MS
        self._hurry(console)
        if self._audience.clear is not None:
            self._audience.show_clear(console.clear.finish(self._wiring.now_ns(), now_ms))
        piece = console.stream.finish(self._wiring.now_ns(), now_ms)
        self._distributor.take(piece, may_wait=False)
        if self._done:
            return
        if not self._conduct.reconnect:
            self.end(error)
            return
        if self._wiring.can_return(console.name):
            self._note(console.name, "disconnected", f"{error.message}; waiting for it to return")
            return
        console.reopen_ms = None
        self._note(console.name, "disconnected", f"{error.message}; it does not return")
        if all(each.port is None and each.reopen_ms is None for each in self._consoles):
            self.end(error)

    def _try(self, console: WatchedConsole, act: Callable[[Port], bool]) -> bool:
        """`act` on the port of a console; False where it is gone by then."""
        if console.port is None:
            return False
        try:
            return act(console.port)
        except LinkTimeout as error:
            if len(self._consoles) == 1 or not self._conduct.goes_on:
                raise
            self._drop_outgoing(console, error)
            return False
        except DeviceError as error:
            self._disconnect(console, error)
            return False

    def _drop_outgoing(self, console: WatchedConsole, error: LinkTimeout) -> None:
        """A port that takes no bytes is read on; the others are not to blame."""
        console.outgoing = Outgoing(console.name)
        if console.refused is None:
            self._note(console.name, "refused", f"{error.message}; it is read on")
        console.refused = error

    def _named(self, port: str) -> list[WatchedConsole]:
        return [
            console
            for console in self._consoles
            if console.port is not None and port in ("", console.name)
        ]

    # -- one round

    def _step(self) -> None:
        """Wait, read, hand on, rest. Where bytes come without a pause, most rounds do no more."""
        waiter = self._wiring.waiter
        began_ms = self._wiring.now_ms()
        most = 0
        if self._in_flood and len(self._consoles) == 1:
            # It is read without asking whether there is anything.
            most = self._read(self._consoles[0], began_ms)
        else:
            ready = waiter.wait(max(0, self._until(began_ms) - began_ms) / 1000)
            began_ms = self._wiring.now_ms()
            for port in ready:
                console = self._by_port.get(port)
                if console is not None:
                    most = max(most, self._read(console, began_ms))
        alarmed = waiter.was_alarmed
        if not most or alarmed or not self._in_flood or began_ms >= self._round_ms:
            self._round(began_ms, alarmed=alarmed)
        if not most:
            self._in_flood, self._busy = False, 0
        elif not self._done:
            self._busy += 1
            self._in_flood = self._busy > _PATIENCE
            rest_ms = BATCH_MS
            if most > _MUCH:
                rest_ms = max(_LEAST_BATCH_MS, BATCH_MS * _MUCH // most)
            if self._wiring.is_behind():
                rest_ms = _LEAST_BATCH_MS
            waiter.rest(max(0, began_ms + rest_ms - self._wiring.now_ms()) / 1000)

    def _round(self, now_ms: int, *, alarmed: bool) -> None:
        """Everything but reading."""
        self._round_ms = now_ms + _FLOOD_LOOK_MS
        self._distributor.catch_up()
        if alarmed or (self._polls_keys and now_ms - self._keys_ms >= _LOOK_MS):
            self._keys_ms = now_ms
            self._take_keys()
        if now_ms >= self._look_ms:
            self._look_at_consoles(now_ms)
        if not self._done:
            self._look_at_goal(now_ms)
        self._call_in_time(now_ms)
        if self._display is not None:
            self._display.refresh(now_ms)

    def _take_keys(self) -> None:
        keys = self._keys
        if keys is None:
            return
        # What cannot be sent yet is not read yet either.
        if keys.may_wait and any(console.outgoing.is_crowded for console in self._consoles):
            return
        pressed = self._wiring.keys()
        if pressed and not self._done:
            keys.on_keys(pressed, self)

    def _until(self, now_ms: int) -> int:
        """When to look up at the latest, although nothing comes."""
        looks = self._display is not None or self._polls_keys
        until = now_ms + (_LOOK_MS if looks else _IDLE_MS)
        if (remaining_ms := self._watch.remaining_ms(now_ms)) is not None:
            until = min(until, now_ms + remaining_ms)
        if self._next_ms is not None:
            until = min(until, self._next_ms)
        return min(until, self._look_ms)

    def _read(self, console: WatchedConsole, now_ms: int) -> int:
        """Read a port; how many bytes came."""
        if console.port is None:
            return 0
        try:
            data = console.port.read_waiting()
        except DeviceError as error:
            self._disconnect(console, error)
            return 0
        if data:
            now_ns = self._wiring.now_ns()
            console.received += len(data)
            if self._audience.clear is not None:
                self._audience.show_clear(console.clear.feed(data, now_ns, now_ms))
            piece = console.stream.feed(data, now_ns, now_ms)
            self._distributor.take(piece, may_wait=self._in_flood)
            if console.stream.holds:
                self._hurry(console)
        return len(data)

    def _look_at_consoles(self, now_ms: int) -> None:
        self._look_ms = now_ms + _IDLE_MS
        for console in self._consoles:
            next_ms = console.next_ms
            if next_ms is not None and now_ms >= next_ms:
                self._look(console, now_ms)
            self._hurry(console)

    def _hurry(self, console: WatchedConsole) -> None:
        """A console may want to be looked at earlier than it was known."""
        if (next_ms := console.next_ms) is not None and next_ms < self._look_ms:
            self._look_ms = next_ms

    def _look(self, console: WatchedConsole, now_ms: int) -> None:
        """What the time brings to one console."""
        if console.port is None:
            self._reopen(console, now_ms)
            return
        if console.outgoing.is_waiting:
            self._flush(console)
        piece, silence = console.stream.look(self._wiring.now_ns(), now_ms)
        if piece is not None:
            self._distributor.take(piece, may_wait=False)
        if silence is not None:
            if self._display is not None:
                self._display.show(silence)
            text = f"{console.name}: nothing has come for {silence.for_ms / 1000:.0f} s"
            self._announce(console.name, "silence", text, silence.for_ms)

    def _look_at_goal(self, now_ms: int) -> None:
        if self._watch.remaining_ms(now_ms) != 0:
            return
        if (trouble := self._trouble()) is not None:
            raise trouble
        silent = [console.name for console in self._consoles if not console.received]
        self._done = self._watch.timed_out(now_ms, silent)

    def _call_in_time(self, now_ms: int) -> None:
        wanted = [consumer.on_time(now_ms) for consumer in self._audience.times]
        self._next_ms = min((each for each in wanted if each is not None), default=None)

    def _note(self, port: str, event: str, text: str) -> None:
        if self._display is not None:
            self._display.note(event, text)
        self._announce(port, event, text)

    def _announce(self, port: str, event: str, text: str, for_ms: int = 0) -> None:
        news = News(port, self._wiring.now_ns(), self._wiring.now_ms(), event, text, for_ms)
        for listener in self._audience.news:
            listener.on_news(news)

    # -- sending

    def _send(self, console: WatchedConsole, data: bytes) -> None:
        if data and console.port is not None:
            console.outgoing.add(data)
            self._flush(console)

    def _flush(self, console: WatchedConsole) -> None:
        now_ms = self._wiring.now_ms()
        self._try(console, lambda port: console.outgoing.flush(port.write_some, now_ms))
        self._hurry(console)
        if console.port is not None:
            self._wiring.waiter.want_room(console.port, wanted=console.outgoing.is_full)
