# SPDX-License-Identifier: GPL-3.0-or-later
"""What a unit saw in a stretch of its log, as the controller's input lines.

Known to the frame is the BMS: its record shows the last charge_request and its age. Of the power
module the records show values; frames that carry them are made, at the time that the age
tells. OCPP's word, the buses and the keys are known from the events that they caused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from evtool.protocol.can_frame import CanFrame
from evtool.protocol.can_line import render_can_line
from evtool.reference_impl.bms import ALIVE_MS
from evtool.reference_impl.controller_types import MODULE_BUS, Config
from evtool.verify.from_log import TOLERANCE_MS, frames
from evtool.verify.from_log.causes import UnseenCauses
from evtool.verify.from_log.excess import Excess
from evtool.verify.from_log.stretches import Entry, Stretch

PRELUDE_MS = 5000
"""So long before a stretch that begins in the midst of things, all is as it is at its begin."""

TICK_MS = 50
WORD_MS = 1000
_STALE_WORD_MS = 5000
_SAME_MS = 150  # a frame whose time, by its age, is so near the last one's is that one
_ROUND_MS = 300  # the module's answers go round: a value may be so much older than the last of them
_REPEAT_MS = 1000


@dataclass(slots=True)
class Senses:
    """The input lines of a stretch, from 0 on.

    Attributes:
        origin_ms: where the log's clock stands at 0.
        end_ms: the last line's time.
        lines: in order of time.
        on_trust: what was taken as it was said, each once.
    """

    origin_ms: int
    end_ms: int
    lines: list[str]
    on_trust: list[str] = field(default_factory=list)


def sense(stretch: Stretch, config: Config, settings: str) -> Senses:
    """What the unit saw.

    Args:
        config: the unit's configuration.
        settings: the same as the words of a `config` line.
    """
    return _Sensing(stretch, config, settings).result()


class _Sensing:
    def __init__(self, stretch: Stretch, config: Config, settings: str) -> None:
        self._stretch = stretch
        self._config = config
        self._settings = settings
        self._origin_ms = stretch.begin_ms - (0 if stretch.booted else PRELUDE_MS)
        self._end_ms = stretch.end_ms - self._origin_ms
        self._timed: list[tuple[int, int, str]] = []
        self._trust: dict[str, None] = {}
        self._excess = Excess(stretch)

    def result(self) -> Senses:
        self._start()
        self._bms()
        self._module()
        self._terminal()
        self._unseen()
        self._buses_and_keys()
        self._words()
        for tick_ms in range(0, self._end_ms + TICK_MS, TICK_MS):
            self._at(min(tick_ms, self._end_ms), "tick")
        self._trust.update(dict.fromkeys(self._excess.on_trust))
        # In one millisecond: in the order in which they were noted, and a tick behind all.
        self._timed.sort(key=lambda each: each[:2])
        lines = [f"@{at_ms} {command}" for at_ms, _, command in self._timed]
        return Senses(self._origin_ms, self._end_ms, lines, list(self._trust))

    def _at(self, at_ms: int, command: str) -> None:
        if 0 <= at_ms <= self._end_ms:
            order = 1 << 40 if command == "tick" else len(self._timed)
            self._timed.append((at_ms, order, command))

    def _frame(self, at_ms: int, frame: CanFrame, bus: int = MODULE_BUS) -> None:
        self._at(at_ms, render_can_line(bus, frame))

    def _time(self, entry: Entry) -> int:
        return entry.at_ms - self._origin_ms

    def _start(self) -> None:
        stretch = self._stretch
        register = next((each.figure("energy_mwh") for each in stretch.records("terminal")), None)
        self._at(0, f"config {self._settings}")
        self._at(
            0,
            "boot reset=power_on version=verify build=verify charge_point=CP-VERIFY"
            f" energy_mwh={register or 0}",
        )
        if not stretch.booted:
            for bus in range(self._config.bus_count):
                self._at(0, f"bus {bus} running")

    def _sightings(self, name: str) -> Iterator[tuple[int, Entry, bool]]:
        """(when the last frame behind the record came, the record, whether it is a new one)."""
        last_ms: int | None = None
        for entry in self._stretch.records(name):
            age_ms = entry.figure("age_ms")
            if age_ms is None:
                continue
            came_ms = self._time(entry) - age_ms
            is_new = last_ms is None or came_ms > last_ms + _SAME_MS
            last_ms = came_ms if is_new or last_ms is None else last_ms
            yield came_ms, entry, is_new

    def _prelude(self, came_ms: int, frame: CanFrame, bus: int = MODULE_BUS) -> None:
        """What is so at the begin of a stretch was so a while before, too."""
        if not self._stretch.booted:
            for at_ms in range(max(0, came_ms) % _REPEAT_MS, max(0, came_ms), _REPEAT_MS):
                self._frame(at_ms, frame, bus)

    def _bms(self) -> None:
        """Each charge_request that a record shows, and those that only an event tells of."""
        ins = [
            self._time(each) for each in self._stretch.events("plug") if each.word("state") == "in"
        ]
        outs = [
            self._time(each) for each in self._stretch.events("plug") if each.word("state") == "out"
        ]
        last_ms: int | None = None
        for came_ms, entry, is_new in self._sightings("bms"):
            raw = entry.word("raw")
            frame = frames.charge_request(raw)
            if not is_new or not raw or frame is None:
                continue
            bus = self._config.bms_bus
            if last_ms is None and came_ms <= PRELUDE_MS:
                self._prelude(came_ms, frame, bus)
            came_first = next((at for at in ins if (last_ms or -1) < at < came_ms), None)
            if came_first is not None:
                self._frame(came_first, frame, bus)
            elif (
                last_ms is not None
                and came_ms - last_ms > ALIVE_MS
                and not any(last_ms < at <= came_ms + TOLERANCE_MS for at in outs)
            ):
                self._frame(last_ms + _REPEAT_MS, frame, bus)
                self._trust[
                    "a charge_request between two prints, without which it had unplugged"
                ] = None
            self._frame(came_ms, frame, bus)
            last_ms = came_ms

    def _module(self) -> None:
        """Its answers and its telemetry, as the records show them."""
        for came_ms, entry, is_new in self._sightings("power_module"):
            if not is_new:
                continue
            state = entry.word("state")
            told: list[CanFrame] = []
            millivolts, milliamperes = entry.figure("setpoint_mv"), entry.figure("setpoint_ma")
            if millivolts is not None:
                told.append(frames.voltage_reply(millivolts))
            if milliamperes is not None:
                told.append(frames.current_reply(milliamperes))
            if state in ("on", "off"):
                told.append(frames.switch_reply(on=state == "on"))
            for frame in told:
                self._prelude_once(came_ms, frame)
                self._frame(came_ms, frame)
        for came_ms, entry, is_new in self._sightings("output"):
            if is_new:
                for shift_ms, frame in self._telemetry(entry):
                    self._prelude_once(came_ms, frame)
                    self._frame(max(0, came_ms - shift_ms), frame)

    def _telemetry(self, entry: Entry) -> Iterator[tuple[int, CanFrame]]:
        """(how much older than the last of them, a frame)."""
        config = self._config
        millidegrees = entry.figure("temperature_mdegc")
        if millidegrees is not None:
            yield _ROUND_MS, frames.temperature(millidegrees, config)
        millivolts, milliamperes = entry.figure("voltage_mv"), entry.figure("current_ma")
        if milliamperes is not None:
            yield 0, frames.output_current(milliamperes, config)
        if millivolts is not None:
            yield 0, frames.output_voltage(millivolts)

    def _terminal(self) -> None:
        for came_ms, entry, is_new in self._sightings("terminal"):
            millivolts, milliamperes = entry.figure("voltage_mv"), entry.figure("current_ma")
            if not is_new or millivolts is None or milliamperes is None:
                continue
            frame = frames.terminal_power(millivolts, milliamperes)
            self._prelude_once(came_ms, frame)
            for at_ms, volts, amperes in self._excess.samples(
                came_ms + self._origin_ms, millivolts, milliamperes
            ):
                self._frame(at_ms - self._origin_ms, frames.terminal_power(volts, amperes))
            status = entry.word("status")
            if status:
                self._frame(came_ms, frames.terminal_status(status))
        for at_ms, volts, amperes in self._excess.unseen():
            self._frame(at_ms - self._origin_ms, frames.terminal_power(volts, amperes))

    def _prelude_once(self, came_ms: int, frame: CanFrame) -> None:
        if not self._stretch.booted and came_ms <= PRELUDE_MS:
            self._prelude(came_ms, frame)

    def _unseen(self) -> None:
        causes = UnseenCauses(self._stretch, self._config)
        for at_ms, bus, frame in causes.frames():
            self._frame(at_ms - self._origin_ms, frame, bus)
        self._trust.update(dict.fromkeys(causes.on_trust))

    def _buses_and_keys(self) -> None:
        for entry in self._stretch.entries:
            if entry.kind == "bus":
                self._at(self._time(entry), f"bus {entry.word('bus')} {entry.word('state')}")
            elif entry.kind == "start":
                self._at(self._time(entry), f"key {ord('s'):02X}")
            elif entry.kind == "stop":
                self._at(self._time(entry), f"key {ord('t'):02X}")

    def _words(self) -> None:
        """OCPP's word once a second, as the events say that it was."""
        words = WordCourse(self._stretch, self._config)
        self._trust.update(dict.fromkeys(words.on_trust))
        changes = [(max(0, at_ms - self._origin_ms), word) for at_ms, word in words.changes]
        for (at_ms, word), (next_ms, _) in zip(
            changes, [*changes[1:], (self._end_ms + 1, None)], strict=True
        ):
            if word is None:
                continue
            for told_ms in range(at_ms, next_ms, WORD_MS):
                self._at(told_ms, word)


class WordCourse:
    """What OCPP told the unit, from what the unit said of it.

    Attributes:
        changes: (log's time, the word from then on; None while it keeps quiet).
        on_trust: what was assumed.
    """

    def __init__(self, stretch: Stretch, config: Config) -> None:
        self.on_trust: list[str] = []
        self._stretch = stretch
        self._config = config
        first_module = next(iter(stretch.records("power_module")), None)
        running = (
            not stretch.booted and first_module is not None and first_module.word("state") == "on"
        )
        self._transaction = running or self._was("transaction", "ended")
        self._connected = running or self._was("ocpp", "disconnected")
        self._permitted = running
        self._permit_told = stretch.booted
        self._limit = "-"
        self._zero = False  # a limit of 0 permits nothing, whatever else is permitted
        self.changes: list[tuple[int, str | None]] = [(0, self._word())]
        if running:
            self.on_trust.append("that energy was permitted before the log begins")
        self._follow()

    def _was(self, kind: str, state: str) -> bool:
        """Whether something that the log shows to end must have been before."""
        events = self._stretch.events(kind)
        return not self._stretch.booted and bool(events) and events[0].word("state") == state

    def _word(self) -> str:
        limit = "0" if self._zero else self._limit
        return (
            f"ocpp connected={self._connected:d} transaction={self._transaction:d}"
            f" permitted={self._permitted or self._zero:d} limit_ma={limit}"
        )

    def _is_limit_zero(self, entry: Entry) -> bool:
        """Whether it was a limit of 0 that withdrew the permission."""
        return any(
            each.word("reason") == "limit_zero" and abs(each.at_ms - entry.at_ms) <= _SAME_MS
            for each in self._stretch.events("gate")
        )

    def _follow(self) -> None:
        entries = self._stretch.entries
        for index, entry in enumerate(entries):
            state = entry.word("state")
            match entry.kind:
                case "ocpp":
                    self._connected = state == "connected"
                case "transaction":
                    self._transaction = state == "started"
                case "permit":
                    self._permitted, self._permit_told = state == "granted", True
                    self._zero = not self._permitted and self._is_limit_zero(entry)
                case "gate":
                    if state == "open" and not self._permitted and not self._permit_told:
                        self._permitted = self._transaction = True
                        self.on_trust.append("that energy was permitted before the log begins")
                case "":
                    self._take_limit(entry)
                case _:
                    continue
            if self._is_silence(entries, index):
                self._keep_quiet(entry.at_ms)
            elif entry.kind or self.changes[-1][1] not in (None, self._word()):
                self.changes.append((entry.at_ms, self._word()))

    def _is_silence(self, entries: list[Entry], index: int) -> bool:
        """Permission and connection lost in one breath: OCPP has told nothing for 5 s."""
        entry = entries[index]
        if entry.kind not in ("ocpp", "permit") or self._connected or self._permitted:
            return False
        near = [each for each in entries[max(0, index - 3) : index + 4]
                if abs(each.at_ms - entry.at_ms) <= _SAME_MS]  # fmt: skip
        kinds = {(each.kind, each.word("state")) for each in near}
        ended = ("transaction", "ended") in kinds
        lost = {("ocpp", "disconnected"), ("permit", "withdrawn")} <= kinds
        stale = any(each.word("reason") == "permission_stale" for each in near)
        return stale or (lost and not ended)

    def _keep_quiet(self, at_ms: int) -> None:
        """The last word was told 5 s before."""
        quiet_ms = at_ms - _STALE_WORD_MS
        while len(self.changes) > 1 and self.changes[-1][0] > quiet_ms:
            self.changes.pop()
        last = self.changes[-1][1]
        self.changes += [(max(0, quiet_ms), last), (max(0, quiet_ms) + 1, None)]

    def _take_limit(self, entry: Entry) -> None:
        """A limit shows as a setpoint below the request; the module's answers tell."""
        milliamperes = entry.figure("setpoint_ma")
        if entry.record.name != "power_module" or milliamperes is None:
            return
        request = next(
            (
                each.figure("current_ma")
                for each in reversed(self._stretch.records("bms"))
                if each.at_ms <= entry.at_ms
            ),
            None,
        )
        if entry.word("state") != "on" or request is None:
            return
        wanted = min(request, self._config.max_current_ma)
        self._limit = str(milliamperes) if 0 < milliamperes < wanted - 100 else "-"
