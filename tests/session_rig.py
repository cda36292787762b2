# SPDX-License-Identifier: GPL-3.0-or-later
"""A monitor's session with ports, a clock and an audience of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from evtool.errors import DeviceError
from evtool.monitor.block import Block
from evtool.monitor.follow import Line, Silence
from evtool.monitor.goal import Goal
from evtool.monitor.keys import BoardKeys, Keys
from evtool.monitor.on_view import OnView
from evtool.monitor.redact import Redactor
from evtool.monitor.session import Session
from evtool.monitor.stream import Audience, Batch
from evtool.monitor.watched_console import Port
from evtool.monitor.wiring import Conduct, Wiring


class FakeClock:
    def __init__(self) -> None:
        self.now = 0


@dataclass(eq=False)
class ScriptedPort:
    """Gives one piece of `script` for each read; an error where it holds one.

    Attributes:
        room: how much it takes at a time; 0: nothing.
    """

    script: list[bytes | DeviceError]
    room: int = 1_000_000
    sent: bytes = b""
    closed: bool = False
    discarded_before: bytes | None = None
    resets: int = 0

    def fileno(self) -> int:
        return id(self)

    def read_waiting(self) -> bytes:
        piece = self.script.pop(0)
        if isinstance(piece, DeviceError):
            raise piece
        return piece

    def write_some(self, data: bytes) -> int:
        self.sent += data[: self.room]
        return min(len(data), self.room)

    def discard_waiting(self) -> None:
        self.discarded_before = self.sent

    def reset(self) -> bool:
        self.resets += 1
        return True

    def close(self) -> None:
        self.closed = True


class FakeWaiter:
    """Ports are ready as long as they have a script; time passes by waiting."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.ports: list[ScriptedPort] = []
        self.wants_room: set[int] = set()
        self.was_alarmed = True
        self.rests: list[float] = []

    def add(self, port: Port) -> None:
        assert isinstance(port, ScriptedPort)
        self.ports.append(port)

    def remove(self, port: Port) -> None:
        assert isinstance(port, ScriptedPort)
        assert not port.closed
        self.ports.remove(port)

    def want_room(self, port: Port, *, wanted: bool) -> None:
        (self.wants_room.add if wanted else self.wants_room.discard)(id(port))

    def wait(self, seconds: float) -> Sequence[Port]:
        ready = [port for port in self.ports if port.script]
        self._clock.now += 1 if ready else max(1, round(seconds * 1000))
        return ready

    def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self._clock.now += round(seconds * 1000)


@dataclass
class Notebook:
    """A display, and everybody in the audience."""

    texts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    data: bytes = b""

    def show(self, happening: Line | Silence) -> None:
        self.texts.append(happening.text if isinstance(happening, Line) else "silence")

    def note(self, event: str, text: str) -> None:
        self.notes.append(event)

    def press(self, key: str) -> None:
        self.notes.append(key)

    def refresh(self, now_ms: int) -> None:
        pass

    def on_batch(self, batch: Batch) -> None:
        self.data += batch.data

    def on_block(self, block: Block) -> None:
        self.log += block.lines


@dataclass
class Rig:
    """A session with everything around it."""

    ports: dict[str, list[ScriptedPort | DeviceError | None]]
    goal: Goal = field(default_factory=Goal)
    conduct: Conduct = field(default_factory=Conduct)
    pressed: list[bytes] = field(default_factory=list)
    keys: Keys = field(default_factory=BoardKeys)
    secrets: tuple[str, ...] = ()
    stopped: Callable[[], bool] = lambda: False
    display: bool = True
    polls_keys: bool = True
    is_behind: Callable[[], bool] = lambda: False
    can_return: Callable[[str], bool] = lambda name: True
    audience: Audience = field(default_factory=Audience)

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.waiter = FakeWaiter(self.clock)
        self.notebook = Notebook()
        self.audience.batches.append(self.notebook)
        self.audience.logs.append(self.notebook)
        wiring = Wiring(
            open_port=self._open,
            waiter=self.waiter,
            now_ms=lambda: self.clock.now,
            now_ns=lambda: self.clock.now * 1_000_000,
            keys=lambda: self.pressed.pop(0) if self.pressed else b"",
            stopped=self.stopped,
            redactor=lambda: Redactor(self.secrets),
            polls_keys=self.polls_keys,
            is_behind=self.is_behind,
            can_return=self.can_return,
        )
        self.session = Session(
            wiring,
            list(self.ports),
            goal=self.goal,
            view=OnView("1", ("bms",)),
            conduct=self.conduct,
            display=self.notebook if self.display else None,
            audience=self.audience,
            keys=self.keys,
        )

    def _open(self, name: str) -> ScriptedPort | None:
        found = self.ports[name].pop(0)
        if isinstance(found, DeviceError):
            raise found
        return found

    def run(self) -> Notebook:
        self.session.run()
        return self.notebook
