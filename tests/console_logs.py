# SPDX-License-Identifier: GPL-3.0-or-later
"""What a unit prints in a scenario, as a host's log holds it."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from evtool.protocol.console_log import LoggedLine
from evtool.verify.run import Recording
from evtool.verify.scenario import Event, Scenario, parse_scenario

NOON_MS = 1_000_000_000_000
VIEW_ALL = Event(0, 0, "key", {"text": "5"}, {})

SESSION = """
title = "A session with what goes wrong in the field"
rule = "docs/controller.md"
duration = "40s"
event = [
  { at = "1s", do = "plug_in" },
  { at = "2s", do = "remote_start" },
  { at = "20s", do = "measure", voltage_mv = VOLTAGE, current_ma = CURRENT },
  { at = "25s", do = "measure" },
  { at = "26s", do = "plug_out" },
]
"""


def scenario_of(text: str) -> Scenario:
    """A scenario of a test's own."""
    return parse_scenario(text, Path("session.toml"))


def whole_session(voltage_mv: int = 72000, current_ma: int = 20000) -> Scenario:
    """A vehicle comes, is charged, shows other values for a while, and leaves."""
    text = SESSION.replace("VOLTAGE", str(voltage_mv)).replace("CURRENT", str(current_ma))
    return scenario_of(text)


def log_of(scenario: Scenario, seed: int = 1, period_ms: int = 40) -> list[LoggedLine]:
    """What a unit prints in a scenario, as a host reads it: up to `period_ms` late."""
    dice = random.Random(seed)  # noqa: S311  the same luck every time
    lines: list[LoggedLine] = []
    at_ms = 0
    for step in Recording(replace(scenario, events=(VIEW_ALL, *scenario.events))).steps():
        for line in step.answer:
            if line.startswith("console "):
                at_ms = max(at_ms, step.now_ms + dice.randrange(period_ms))
                lines.append(LoggedLine(NOON_MS + at_ms, line[8:], len(lines) + 1))
    return lines
