# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench of a board under test in the real world: bus, serial line and CSMS, in real time.

One loop looks at everything every few milliseconds. What it finds happened between two looks,
and is handed on as that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from evtool.cli.bench_csms import BenchCsms
from evtool.errors import DeviceError, LinkTimeout
from evtool.link.can_bus import CanBus
from evtool.link.clock import monotonic_ms
from evtool.link.serial_line import SerialLine
from evtool.monitor.follow import Follower, Line
from evtool.protocol.can_frame import CanFrame
from evtool.verify.board.live import LiveRun, Order, SendFrame, Setup, TypeKeys
from evtool.verify.board.ocpp import BoardWord
from evtool.verify.board.outcome import gave_up, judged
from evtool.verify.board.rest import Rest
from evtool.verify.board.seen import SWITCH
from evtool.verify.board.watch import LISTEN_MS, PATIENCE_MS, Watch, other_sender
from evtool.verify.scenario import Scenario
from evtool.verify.verdict import Verdict

_LOOK_S = 0.003
_CONNECT_MS = 75_000
_LEAVE_MS = 6_000
_ASK_MS = 1_000
_END = (Order("remote_stop"), Order("limit", -1))

Heard = tuple[int, CanFrame]


class BoardBench:
    """Plays scenarios on one board.

    Args:
        buses: the module's bus, and the BMS's where it has its own.
        line: the board's console.
        csms: evtool as its CSMS, or None.
        tell: told now and then: what is waited for or played, seconds gone, of how many.
    """

    def __init__(
        self,
        buses: Sequence[CanBus],
        line: SerialLine,
        csms: BenchCsms | None,
        tell: Callable[[str, int, int], None],
    ) -> None:
        self.csms = csms
        self.lost: DeviceError | None = None
        self._buses = buses
        self._line = line
        self._tell = tell
        self._start_ms = monotonic_ms()
        self._looked_ms = 0
        self._follower = Follower(0)
        self._word = BoardWord()
        self._energy_mwh = 0
        self._run: LiveRun | None = None
        self._asking: set[asyncio.Task[None]] = set()

    def _now(self) -> int:
        return monotonic_ms() - self._start_ms

    async def look_around(self) -> None:
        """Hear who is there, before anything is sent.

        Raises:
            DeviceError: another power module or vehicle is on the bus, or no board is.
        """
        watch = Watch(self._word)
        end_ms = self._now() + PATIENCE_MS
        next_key_ms = 0
        while self._now() < LISTEN_MS or (self._now() < end_ms and not watch.complete):
            if self._now() >= next_key_ms:
                next_key_ms = self._now() + _ASK_MS
                self._line.write(b"5")
            for bus, frame in self._frames():
                watch.frame(bus, frame)
            for line in self._lines():
                watch.line(line.text)
            self._tell("listening", self._now() // 1000, LISTEN_MS // 1000)
            await asyncio.sleep(_LOOK_S)
        _check_surroundings(watch)
        self._energy_mwh = watch.energy_mwh or 0

    async def wait_for_connection(self) -> bool:
        """Whether the board comes to the CSMS in time."""
        assert self.csms is not None  # noqa: S101 - asked only where there is one
        end_ms = self._now() + _CONNECT_MS
        watch = Watch(self._word)
        while self._now() < end_ms and not (self.csms.is_connected and self._word.connected):
            for line in self._lines():
                watch.line(line.text)
            for _ in self._frames():
                pass
            left_s = (end_ms - self._now()) // 1000
            self._tell("waiting for the board at the CSMS", _CONNECT_MS // 1000 - left_s, 75)
            await asyncio.sleep(_LOOK_S)
        return self.csms.is_connected and self._word.connected

    async def play(self, scenario: Scenario, setup: Setup, *, with_timeline: bool) -> Verdict:
        """Bring the board to rest, play one scenario, and judge; `lost` holds a link that went."""
        now_ms = self._now()
        run = self._run = LiveRun(setup, self._energy_mwh, self._word, now_ms)
        if self.csms is not None:
            run.is_connected = self.csms.is_connected
        try:
            reason = await self._rest(run)
            if not reason:
                await self._scenario(run, scenario)
        except DeviceError as error:
            self.lost = error
            run.broke(error.message)
            reason = ""
        self._energy_mwh = run.energy_mwh or self._energy_mwh
        now_ms = self._now()
        if reason or run.ended:
            return gave_up(scenario, run, reason or run.ended, now_ms)
        end_ms = (run.start_ms or 0) + scenario.duration_ms
        return judged(scenario, run, end_ms, with_timeline=with_timeline)

    async def leave(self) -> str:
        """The vehicle out, the transaction ended, the charging profile cleared, whatever was
        going on.

        Returns:
            what the board has not shown to be so in time; empty where it has.
        """
        run = self._run
        if run is None:
            return ""
        if self.lost is None:
            run.leave()
            run.press("t", self._now())
            if self.csms is not None and run.is_connected:
                run.acts += _END
            end_ms = self._now() + _LEAVE_MS
            try:
                while (left := _left(run, self._now())) and self._now() < end_ms:
                    await self._turn(run)
                run.press("0", self._now())
                await self._turn(run)
            except DeviceError as error:
                self.lost = error
            else:
                return left
        await self._leave_what_is_lost()
        return "the board could not be watched to the end"

    async def _leave_what_is_lost(self) -> None:
        """By whatever is left of console and CSMS; without its vehicle the board stops too."""
        with contextlib.suppress(DeviceError):
            self._line.write(b"t0")
        if self.csms is not None and self.csms.is_connected:
            asked = [asyncio.ensure_future(self.csms.obey(order)) for order in _END]
            await asyncio.wait(asked, timeout=_LEAVE_MS / 1000)

    async def _rest(self, run: LiveRun) -> str:
        """Wait until the board is at rest; why it does not come to it, or nothing."""
        rest = Rest(run, self._now())
        restarted = ""
        while True:
            now_ms = self._now()
            rest.tick(now_ms)
            await self._turn(run)
            missing = rest.missing(self._now())
            if not missing:
                return ""
            if rest.is_hopeless(self._now()):
                return f"the board could not be brought to rest: {missing}{restarted}"
            self._tell("bringing the board to rest", (now_ms - run.begun_ms) // 1000, 0)
            if run.ended:
                # It restarted since the last scenario: what it says from now on counts.
                restarted = f"; {run.ended}"
                run.ended = ""
                run.no_transaction = True

    async def _scenario(self, run: LiveRun, scenario: Scenario) -> None:
        start_ms = self._now()
        run.begin(scenario, start_ms)
        of_s = scenario.duration_ms // 1000
        # A little longer, for what the reference does last and the board is early with.
        end_ms = start_ms + scenario.duration_ms + 3 * run.setup.tolerances.base_ms
        while not run.ended and self._now() <= end_ms:
            await self._turn(run)
            self._tell(scenario.name, (self._now() - start_ms) // 1000, of_s)

    async def _turn(self, run: LiveRun) -> None:
        """Look at everything once, and do what is to be done."""
        since_ms = self._looked_ms
        self._looked_ms = self._now()
        frames, lines = self._frames(), self._lines()
        now_ms = self._now()
        for bus, frame in frames:
            run.frame(bus, frame, since_ms, now_ms)
        for line in lines:
            if line.panic or line.reset:
                run.broke(f"the board broke down: {line.text}")
            run.line(line.text, since_ms, now_ms)
        if self.csms is not None:
            events, self.csms.events[:] = list(self.csms.events), []
            for event in events:
                run.csms(event, now_ms)
        run.tick(self._now())
        acts, run.acts = run.acts, []
        for act in acts:
            match act:
                case SendFrame(bus, frame):
                    self._buses[bus].send(frame)
                case TypeKeys(data):
                    self._line.write(data)
                case Order():
                    self._ask(run, act)
        await asyncio.sleep(_LOOK_S)

    def _ask(self, run: LiveRun, order: Order) -> None:
        if self.csms is None:
            return
        csms = self.csms

        async def obey() -> None:
            status = await csms.obey(order)
            run.answered(order, status, self._now())

        task = asyncio.create_task(obey())
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    def _frames(self) -> list[Heard]:
        """What was heard. Raises DeviceError where it is not a board's: at any time a real module
        or vehicle may come, and the board would switch it on."""
        heard = []
        for number, bus in enumerate(self._buses):
            while (frame := bus.receive(0)) is not None:
                who = other_sender(frame)
                if who is not None:
                    raise DeviceError(
                        f"{who} other than evtool's is on the bus: {frame} on bus {number}",
                        fix="disconnect it: evtool plays the vehicle and the power module itself",
                    )
                heard.append((number, frame))
        return heard

    def _lines(self) -> list[Line]:
        data = self._line.read(0)
        return [each for each in self._follower.feed(data, self._now()) if isinstance(each, Line)]


def _left(run: LiveRun, now_ms: int) -> str:
    last = run.seen.last(SWITCH)
    if last is None or now_ms - last.at_ms >= _ASK_MS or last.value != "0":
        return "the board does not tell the module off"
    if run.word.transaction:
        return "a transaction runs on the board"
    if run.is_connected and not run.is_unlimited:
        return "the board has a charging profile of evtool's"
    if run.is_connected and run.status not in ("", "Available"):
        # A start that waits for a vehicle would be the next one's.
        return f"the board's connector is {run.status}"
    return ""


def _check_surroundings(watch: Watch) -> None:
    """Refuse a bench on which the models would talk to nobody."""
    if not watch.commands_on:
        what = "a board's questions, but none of its commands" if watch.on_bus else "no board"
        raise DeviceError(
            f"{what} on the CAN bus",
            fix="check the board's power and its bus, and --can-interface and --can-channel",
        )
    if watch.commands_on != {0}:
        raise DeviceError(
            "the board commands its power module on the BMS's bus",
            fix="swap --can-channel and --bms-can-channel",
        )
    if watch.energy_mwh is None:
        said = "shows no record of the terminals" if watch.on_console else "says nothing"
        raise LinkTimeout(
            f"the board's console {said}",
            fix="check --serial-port, and that the firmware of this project runs on the board",
        )
