# SPDX-License-Identifier: GPL-3.0-or-later
"""A board under test that is a controller of the reference, in virtual time.

It hears and is heard with delays, its OCPP client obeys, and `spoil` may change or hold back
whatever it puts out.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from pathlib import Path

from evtool.protocol.can_frame import Malformed
from evtool.protocol.can_line import parse_can_words, render_can_line
from evtool.reference_impl.lockstep import Lockstep
from evtool.verify.board.live import LiveRun, Order, SendFrame, Setup, TypeKeys
from evtool.verify.board.ocpp import BoardWord
from evtool.verify.board.outcome import default_config, gave_up, judged
from evtool.verify.board.rest import Rest
from evtool.verify.board.tolerances import Tolerances
from evtool.verify.scenario import Scenario, parse_scenario
from evtool.verify.verdict import Verdict

STEP_MS = 20
CONFIG = default_config() | {"id_tag": "LOCAL"}
Spoil = Callable[[str, int], list[tuple[int, str]]]
"""A line (`can ...`, `console ...`) and its time in the scenario (below 0 before it starts) to
what becomes of it: a delay in ms and a line each."""


def as_it_is(line: str, at_ms: int) -> list[tuple[int, str]]:
    """Nothing is spoiled."""
    return [(0, line)]


class Board:
    """The board; `out` holds what it says, with the times at which that arrives."""

    def __init__(
        self,
        config: Mapping[str, str],
        energy_mwh: int,
        wire_ms: int,
        console_ms: int,
        ocpp_ms: int,
    ) -> None:
        self.out: list[tuple[int, int, str]] = []
        self.answers: list[tuple[int, int, Order, str]] = []
        self.connected = True
        self.transaction = False
        self._lockstep = Lockstep()
        self._delays = {"can": wire_ms, "console": console_ms}
        self._ocpp_ms = ocpp_ms
        self._awaits = False
        self._limit = "-"
        self._word_ms = 0
        self._told = ""
        self._count = 0
        self.state: dict[str, str] = {}
        fields = " ".join(f"{name}={value}" for name, value in config.items())
        self._lockstep.answer(f"@0 config {fields}")
        self.give(f"boot reset=power_on energy_mwh={energy_mwh}", 0)
        for bus in range(int(config["buses"])):
            self.give(f"bus {bus} running", 0)
        self.out.clear()  # it has been running for a while when somebody comes to verify it

    def give(self, command: str, now_ms: int) -> None:
        *lines, end = self._lockstep.answer(f"@{now_ms} {command}")
        assert end == "ok", (command, end)
        for line in lines:
            kind, _, rest = line.partition(" ")
            if kind in self._delays:
                self._count += 1
                heapq.heappush(self.out, (now_ms + self._delays[kind], self._count, line))
            elif line.startswith("ocpp start"):
                self._awaits = True
            elif line.startswith("ocpp stop"):
                self.transaction = False
            elif kind == "state":
                self.state = dict(word.split("=", 1) for word in rest.split(" "))

    def obey(self, order: Order, now_ms: int) -> None:
        status = "Accepted"
        match order.name:
            case "remote_start":
                self._awaits = True
            case "remote_stop":
                status = "Accepted" if self.transaction else "no transaction runs"
                self.transaction = self._awaits = False
            case "limit":
                self._limit = "-" if order.value < 0 else str(order.value)
            case "offline" | "online":
                self.connected = order.name == "online"
        self._count += 1
        heapq.heappush(self.answers, (now_ms + self._ocpp_ms, self._count, order, status))

    def step(self, now_ms: int) -> None:
        plugged = self.state["plugged"] == "1"
        if plugged and self._awaits:
            self.transaction, self._awaits = True, False
        if not plugged:
            self.transaction = False
        word = (
            f"ocpp connected={self.connected:d} transaction={self.transaction:d} "
            f"permitted={self.transaction:d} limit_ma={self._limit}"
        )
        if word != self._told or now_ms >= self._word_ms:
            self._told, self._word_ms = word, now_ms + 500
            self.give(word, now_ms)
        self.give("tick", now_ms)

    @property
    def status(self) -> str:
        """The connector's, as OCPP has it."""
        busy = self.transaction or self.state["plugged"] == "1"
        return "Preparing" if busy else "Available"


class BoardRig:
    """A board on a bench, and the run that verifies it."""

    def __init__(
        self,
        spoil: Spoil = as_it_is,
        tolerances: Tolerances | None = None,
        *,
        wire_ms: int = 5,
        console_ms: int = 40,
        ocpp_ms: int = 30,
        energy_mwh: int = 4_711_123,
        buses: int = 1,
    ) -> None:
        self.now_ms = 0
        config = CONFIG | {"buses": str(buses)}
        self.board = Board(config, energy_mwh, wire_ms, console_ms, ocpp_ms)
        self.setup = Setup(config, True, tolerances or Tolerances())
        self._spoil = spoil
        self._energy_mwh = 0
        self._word = BoardWord(connected=True)
        self._held: list[tuple[int, int, str]] = []
        self._count = 0

    def play(self, text: str, *, with_timeline: bool = False) -> Verdict:
        """Bring the board to rest and play a scenario given as TOML without its head."""
        return self.play_scenario(scenario_of(text), with_timeline=with_timeline)

    def play_scenario(self, scenario: Scenario, *, with_timeline: bool = False) -> Verdict:
        run = LiveRun(self.setup, self._energy_mwh, self._word, self.now_ms)
        run.csms({"event": "connected"}, self.now_ms)
        rest = Rest(run, self.now_ms)
        while missing := rest.missing(self.now_ms):
            rest.tick(self.now_ms)
            self._turn(run)
            if rest.is_hopeless(self.now_ms):
                return gave_up(scenario, run, missing, self.now_ms)
        start_ms = self.now_ms
        run.begin(scenario, start_ms)
        end_ms = start_ms + scenario.duration_ms
        while not run.ended and self.now_ms <= end_ms + 500:
            self._turn(run)
        self._energy_mwh = run.energy_mwh or self._energy_mwh
        if run.ended:
            return gave_up(scenario, run, run.ended, self.now_ms)
        return judged(scenario, run, end_ms, with_timeline=with_timeline)

    def _turn(self, run: LiveRun) -> None:
        since_ms, self.now_ms = self.now_ms, self.now_ms + STEP_MS
        now_ms = self.now_ms
        self.board.step(now_ms)
        self._spoil_what_came(run)
        while self._held and self._held[0][0] <= now_ms:
            _, _, line = heapq.heappop(self._held)
            kind, _, rest = line.partition(" ")
            if kind == "console":
                run.line(rest, since_ms, now_ms)
                continue
            parsed = parse_can_words(rest)
            assert not isinstance(parsed, Malformed)
            run.frame(*parsed, since_ms, now_ms)
        while self.board.answers and self.board.answers[0][0] <= now_ms:
            _, _, order, status = heapq.heappop(self.board.answers)
            run.answered(order, status, now_ms)
        run.status = self.board.status
        run.tick(now_ms)
        acts, run.acts = run.acts, []
        for act in acts:
            match act:
                case SendFrame(bus, frame):
                    self.board.give(render_can_line(bus, frame), now_ms)
                case TypeKeys(data):
                    for key in data:
                        self.board.give(f"key {key:02X}", now_ms)
                case Order():
                    self.board.obey(act, now_ms)

    def _spoil_what_came(self, run: LiveRun) -> None:
        start_ms = self.now_ms + 1 if run.start_ms is None else run.start_ms
        while self.board.out and self.board.out[0][0] <= self.now_ms:
            at_ms, _, line = heapq.heappop(self.board.out)
            for delay_ms, kept in self._spoil(line, at_ms - start_ms):
                self._count += 1
                heapq.heappush(self._held, (at_ms + delay_ms, self._count, kept))


def scenario_of(text: str, duration: str = "6s") -> Scenario:
    """A scenario of events alone."""
    head = "" if "duration" in text else f'duration = "{duration}"\n'
    return parse_scenario(f'title = "t"\nrule = "r"\n{head}{text}', Path("mine.toml"))
