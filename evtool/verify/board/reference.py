# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference controller beside the board: the same inputs, when they really happened."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from evtool.protocol.can_frame import CanFrame
from evtool.protocol.can_line import render_can_line
from evtool.protocol.console import Record, parse_line
from evtool.reference_impl.lockstep import Lockstep
from evtool.reference_impl.numbers import (
    current_setpoint_to_milli,
    current_setpoint_to_raw,
    milli_to_deci_field,
)
from evtool.verify.board.course import Course
from evtool.verify.board.seen import (
    CLOSED,
    CURRENT,
    FAULT,
    FEEDBACK_CURRENT,
    FEEDBACK_VOLTAGE,
    GATE,
    PLUG,
    field_of_event,
    fields_of_record,
)
from evtool.verify.compare import state_of

WORD_MS = 500
TICK_MS = 10
LOOK_MS = 50
"""How often ages are looked at, and what becomes stale; an input is looked at at once."""
_WORD_FIRST = 0
_ALL_VIEWS = "35"
_RECORDS = ("bms", "power_module", "output", "terminal")
_HALF_A_WH = 500
_MOST_MWH = 1 << 62
# By its events, as on the board; and as far as the frame can carry it.
_BY_OTHER_MEANS = (GATE, PLUG, CURRENT)


class LiveReference:
    """The oracle of one scenario.

    It stays a little behind the clock: what the console says of OCPP may come after the frames
    that followed from it, and must be heard before the module's answers to those.

    The key for all views makes it print every record at once; it is pressed after every input,
    so that each field of a record has a course as the fields of the state have.

    Attributes:
        courses: every field of the state and of the records, and what its events said.
        events: `start` and `stop`, as printed, with their times.
        wishes: `start` and `stop`, as it asked OCPP for them; whoever acts on one takes it out.
    """

    def __init__(self, config: Mapping[str, str], energy_mwh: int, now_ms: int) -> None:
        self.courses: dict[str, Course] = {
            GATE: Course(CLOSED, now_ms),
            PLUG: Course("0", now_ms),
        }
        self.events: list[tuple[int, str]] = []
        self.wishes: list[str] = []
        self.state: dict[str, str] = {}
        self._lockstep = Lockstep()
        self._printed: dict[str, str] = {}
        self._inputs: list[tuple[int, int, int, str]] = []  # time, order of kinds, number, command
        self._number = 0
        self._word = ""
        self._word_ms = now_ms
        self._reached_ms = now_ms
        fields = " ".join(f"{name}={value}" for name, value in config.items())
        self._ask(f"config {fields}", now_ms)
        # The console shows whole Wh: the register is somewhere in the one that it shows. Only what
        # is added counts, so a board that shows what no register can hold does no harm here.
        held = energy_mwh + _HALF_A_WH if 0 <= energy_mwh <= _MOST_MWH else 0
        self.give(f"boot reset=power_on energy_mwh={held}", now_ms)
        for bus in range(int(config.get("buses", "1"))):
            self.give(f"bus {bus} running", now_ms)

    def frame(self, bus: int, frame: CanFrame, now_ms: int) -> None:
        """A frame that the models sent."""
        self.plan(render_can_line(bus, frame), now_ms)

    def word(self, line: str, at_ms: int) -> None:
        """OCPP's word, all of it, as it was at `at_ms`: before anything else of that time.

        It is repeated by itself, and takes the place of words that are planned for later.
        """
        self._inputs = [each for each in self._inputs if each[1] != _WORD_FIRST or each[0] <= at_ms]
        heapq.heapify(self._inputs)
        self._plan(line, at_ms, _WORD_FIRST)

    def plan(self, command: str, at_ms: int) -> None:
        """Any other input, which came at `at_ms`."""
        self._plan(command, at_ms, _WORD_FIRST + 1)

    def _plan(self, command: str, at_ms: int, order: int) -> None:
        self._number += 1
        heapq.heappush(self._inputs, (at_ms, order, self._number, command))

    def reach(self, now_ms: int) -> None:
        """Take every input up to `now_ms`, and the time at least every 10 ms."""
        while self._reached_ms + TICK_MS <= now_ms:
            until_ms = self._reached_ms + TICK_MS
            while self._inputs and self._inputs[0][0] <= until_ms:
                at_ms, _, _, command = heapq.heappop(self._inputs)
                self.give(command, max(at_ms, self._reached_ms))
            self._reached_ms = until_ms
            if self._word and until_ms - self._word_ms >= WORD_MS:
                self.give(self._word, until_ms)
            self._take(self._ask("tick", until_ms), until_ms)
            if until_ms % LOOK_MS < TICK_MS:
                self._look(until_ms)

    def give(self, command: str, now_ms: int) -> None:
        """One input (docs/host-program.md), and then a look at everything."""
        if command.startswith("ocpp "):
            self._word, self._word_ms = command, now_ms
        self._take(self._ask(command, now_ms), now_ms)
        self._look(now_ms)

    def _look(self, now_ms: int) -> None:
        """At all records."""
        self._take(self._ask(f"key {_ALL_VIEWS}", now_ms), now_ms)

    def was(self, field: str, now_ms: int) -> str | None:
        """A field's value at some time."""
        course = self.courses.get(field)
        return None if course is None else course.at(now_ms)

    def _ask(self, command: str, now_ms: int) -> tuple[str, ...]:
        *answer, end = self._lockstep.answer(f"@{now_ms} {command}")
        if end != "ok":
            raise ValueError(f"the reference refuses {command!r}: {end}")
        return tuple(answer)

    def _take(self, answer: tuple[str, ...], now_ms: int) -> None:
        for line in answer:
            kind, _, text = line.partition(" ")
            if kind == "console":
                self._printed_line(text, now_ms)
            elif kind == "ocpp":
                self.wishes.append(text)
        state = state_of(answer)
        if state and state != self.state:
            self.state = state
            self._note_state(state, now_ms)

    def _note_state(self, state: Mapping[str, str], now_ms: int) -> None:
        for name, value in state.items():
            if name not in _BY_OTHER_MEANS:
                self._note(name, value, now_ms)
        sent = current_setpoint_to_milli(current_setpoint_to_raw(int(state[CURRENT])))
        self._note(CURRENT, str(sent), now_ms)
        for field, name in ((FEEDBACK_VOLTAGE, "measured_mv"), (FEEDBACK_CURRENT, "measured_ma")):
            value = state[name]
            raw = milli_to_deci_field(0 if value == "-" else int(value))
            self._note(field, str(raw), now_ms)

    def _printed_line(self, text: str, now_ms: int) -> None:
        name = text[1 : text.find("]")]
        if self._printed.get(name) == text and name in _RECORDS:
            return
        self._printed[name] = text
        record = parse_line(text)
        if not isinstance(record, Record):
            return
        if record.name in _RECORDS:
            for field, value in fields_of_record(record):
                self._note(field, value, now_ms)
        elif record.kind in ("start", "stop"):
            self.events.append((now_ms, text))
        elif (found := field_of_event(record)) is not None and (
            found[0] in (GATE, PLUG) or found[0].startswith(FAULT)
        ):
            self._note(*found, now_ms)

    def _note(self, field: str, value: str, now_ms: int) -> None:
        self.courses.setdefault(field, Course()).note(value, now_ms)
