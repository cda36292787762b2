# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes that no print shows: a view prints once a second, and a unit acts at once.

Where the log tells an effect, and no print about that time shows its cause, a frame that causes
it is made. That the cause was there is then taken on trust, and said; what must follow
from it is judged all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from evtool.protocol.can_frame import CanFrame
from evtool.protocol.can_tables import ChargeRequest
from evtool.reference_impl.charge_gate import MAX_TEMPERATURE_MDEGC
from evtool.reference_impl.controller_types import MODULE_BUS, Config
from evtool.reference_impl.faults import COOL_MDEGC, LEAK_MA
from evtool.verify.from_log import TOLERANCE_MS, frames
from evtool.verify.from_log.stretches import Entry, Stretch

Made = tuple[int, int, CanFrame]
"""The log's time, bus, frame."""

_CONTROL_BYTE = 4


class UnseenCauses:
    """The frames that a stretch needs beside those that its records show.

    Attributes:
        on_trust: what was taken as the unit said it.
    """

    def __init__(self, stretch: Stretch, config: Config) -> None:
        self.on_trust: list[str] = []
        self._stretch = stretch
        self._config = config
        self._forbidden: int | None = None

    def frames(self) -> Iterator[Made]:
        """In order of time."""
        for entry in self._stretch.entries:
            name, state = entry.word("name"), entry.word("state")
            if entry.kind == "fault" and name == "over_temperature":
                yield from self._temperature(entry, is_set=state == "set")
            elif entry.kind == "fault" and name == "module_disobeys" and state == "set":
                yield from self._disobedience(entry)
            elif entry.kind in ("gate", "start"):
                yield from self._switch(entry)

    def _near(self, at_ms: int, name: str, shows: Callable[[Entry], bool]) -> bool:
        return any(
            abs(each.at_ms - at_ms) <= TOLERANCE_MS and shows(each)
            for each in self._stretch.records(name)
        )

    def _temperature(self, entry: Entry, *, is_set: bool) -> Iterator[Made]:
        def shows(record: Entry) -> bool:
            millidegrees = record.figure("temperature_mdegc")
            if millidegrees is None:
                return False
            return millidegrees > MAX_TEMPERATURE_MDEGC if is_set else millidegrees <= COOL_MDEGC

        if self._near(entry.at_ms, "output", shows):
            return
        self.on_trust.append("a temperature between two prints, for over_temperature")
        millidegrees = MAX_TEMPERATURE_MDEGC + 1000 if is_set else COOL_MDEGC
        yield entry.at_ms, MODULE_BUS, frames.temperature(millidegrees, self._config)

    def _disobedience(self, entry: Entry) -> Iterator[Made]:
        def flows(record: Entry) -> bool:
            return abs(record.figure("current_ma") or 0) > LEAK_MA

        if (
            self._near(entry.at_ms, "power_module", lambda each: each.word("state") == "on")
            or self._near(entry.at_ms, "terminal", flows)
            or self._near(entry.at_ms, "output", flows)
        ):
            return
        self.on_trust.append("an answer of the module between two prints, for module_disobeys")
        yield entry.at_ms, MODULE_BUS, frames.switch_reply(on=True)

    def _switch(self, entry: Entry) -> Iterator[Made]:
        """The vehicle's switch, off and on again between two prints."""
        raw = self._raw_near(entry.at_ms)
        if raw is None:
            return
        off = entry.word("reason") == "vehicle_switch_off"
        if off and not self._near(entry.at_ms, "bms", lambda each: each.word("switch") == "off"):
            self.on_trust.append("the vehicle's switch between two prints")
            self._forbidden = entry.at_ms
            raw[_CONTROL_BYTE] = 1
            yield entry.at_ms, self._config.bms_bus, CanFrame(ChargeRequest.ID, bytes(raw))
        elif entry.word("state") == "open" and self._forbidden is not None:
            self._forbidden = None
            raw[_CONTROL_BYTE] = 0
            yield entry.at_ms, self._config.bms_bus, CanFrame(ChargeRequest.ID, bytes(raw))

    def _raw_near(self, at_ms: int) -> bytearray | None:
        """The request of the nearest print that shows one."""
        shown = [each for each in self._stretch.records("bms") if each.word("raw")]
        nearest = min(shown, key=lambda each: abs(each.at_ms - at_ms), default=None)
        frame = None if nearest is None else frames.charge_request(nearest.word("raw"))
        return None if frame is None or len(frame.data) <= _CONTROL_BYTE else bytearray(frame.data)
