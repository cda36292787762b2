# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded bus traffic as the controllers' input: each frame at its time, ticks in between.

A log holds no word of OCPP's, so one is made up: what it says is chosen, and it is repeated
once a second. After the last frame time goes on until everything has become stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from evtool.protocol.can_line import render_can_line
from evtool.protocol.logged_frame import LoggedFrame
from evtool.verify.scenario import DEFAULT_TICK_MS, Scenario
from evtool.verify.world import OCPP_PERIOD_MS

WORDS = {
    "permitted": "ocpp connected=1 transaction=1 permitted=1 limit_ma=-",
    "refused": "ocpp connected=1 transaction=0 permitted=0 limit_ma=-",
    "offline": None,
}
"""What OCPP says all the time; `offline` is nothing at all."""

SILENCE_MS = 60_000
"""So much of a pause is played; then the clock jumps to the next frame."""

TAIL_MS = 11_000
"""The state of charge lives longest: 10 s (docs/controller.md)."""


@dataclass(frozen=True, slots=True)
class Replay:
    """How a log is played.

    Attributes:
        config: the controller's configuration, where it differs from the default.
        bms_channel: the log's channel that is the BMS's own bus; None where all are one bus.
        word: one of `WORDS`.
    """

    config: Mapping[str, str]
    bms_channel: str | None
    word: str

    def lines(self, frames: Iterable[LoggedFrame]) -> Iterator[str]:
        """The controller's input."""
        word = WORDS[self.word]
        config = dict(self.config)
        if self.bms_channel is not None:
            config["buses"] = "2"
        settings = " ".join(f"{name}={value}" for name, value in config.items())
        if settings:
            yield f"@0 config {settings}"
        yield "@0 boot reset=power_on version=verify build=verify charge_point=CP-VERIFY"
        for bus in range(int(config.get("buses", "1"))):
            yield f"@0 bus {bus} running"
        clock = _Clock(word)
        for logged in frames:
            yield from clock.until(logged.at_ms)
            bus = int(self.bms_channel is not None and logged.channel == self.bms_channel)
            yield f"@{logged.at_ms} {render_can_line(bus, logged.frame)}"
        yield from clock.until(clock.now_ms + TAIL_MS)


class _Clock:
    """Ticks, and OCPP's word among them."""

    def __init__(self, word: str | None) -> None:
        self.now_ms = 0
        self._word = word
        self._next_tick_ms = 0
        self._next_word_ms = 0

    def until(self, time_ms: int) -> Iterator[str]:
        """Everything that is due up to `time_ms`."""
        quiet_from_ms = self.now_ms + SILENCE_MS
        while self._next_tick_ms <= time_ms:
            tick_ms = self._next_tick_ms
            if tick_ms > quiet_from_ms:
                tick_ms = time_ms
            if self._word is not None and tick_ms >= self._next_word_ms:
                yield f"@{tick_ms} {self._word}"
                self._next_word_ms = tick_ms + OCPP_PERIOD_MS
            yield f"@{tick_ms} tick"
            self._next_tick_ms = tick_ms + DEFAULT_TICK_MS
        self.now_ms = time_ms


def replay_scenario(name: str, frames: int) -> Scenario:
    """The name under which a log is reported."""
    return Scenario(
        name=name,
        title=f"{frames} recorded frames",
        rule="docs/controller.md, all of it",
        duration_ms=0,
        tick_ms=0,
        config={},
        events=(),
    )
