# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios: files that a test engineer can read and write (docs/verify.md).

A scenario is a TOML file: a title, the rule it shows, the controller's configuration where
it differs from the default, and events in time. An event does something to the world or
expects something of the controller. Expectations are optional: the reference is the oracle.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evtool.errors import ConfigError

DEFAULT_TICK_MS = 20
"""The longest the gate may wait between two looks (docs/controller.md)."""

_DURATION = re.compile(r"(\d+(?:\.\d{1,3})?)(ms|s|min|h|d)\Z")
_UNIT_MS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_EVENT_LINE = re.compile(r"^\s*\[\[\s*event\s*\]\]")
_KEY_LINE = re.compile(r"^\s*([A-Za-z0-9_]+)\s*=")

# What an event can do: its parameters and their types. `docs/verify.md` explains each.
ACTIONS: dict[str, dict[str, type]] = {
    "plug_in": {},
    "plug_out": {},
    "switch": {"on": bool},
    "bms": {"mode": str},
    "request": {"voltage_mv": int, "current_ma": int},
    "module": {"mode": str},
    "remote_start": {},
    "remote_stop": {},
    "ocpp": {"mode": str},
    "limit": {"current_ma": int},
    "word": {"transaction": bool, "permitted": bool},
    "key": {"text": str},
    "bus": {"bus": int, "state": str},
    "frame": {"can_id": int, "data": str, "bus": int, "extended": bool, "remote": bool},
    "jump": {"by": str},
}
_OPTIONAL = {"frame": {"bus", "extended", "remote", "data"}, "bus": {"bus"}}
_CHOICES: dict[tuple[str, str], tuple[str, ...]] = {
    ("bms", "mode"): ("normal", "silent"),
    ("module", "mode"): ("normal", "silent", "hot", "disobey"),
    ("ocpp", "mode"): ("online", "offline", "silent"),
    ("bus", "state"): ("running", "stopped", "bus_off", "error_passive", "recovering"),
}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens at `at_ms` after the start: `action`, or `expect`, or both."""

    at_ms: int
    line: int
    action: str | None
    parameters: Mapping[str, Any]
    expect: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole scenario; `events` in order of time."""

    name: str
    title: str
    rule: str
    duration_ms: int
    tick_ms: int
    config: Mapping[str, str]
    events: tuple[Event, ...]
    path: Path | None = None


@dataclass(slots=True)
class _Reader:
    path: Path
    text: str
    problems: list[tuple[int, str]] = field(default_factory=list)

    def problem(self, line: int, rule: str) -> None:
        self.problems.append((line, rule))

    def duration(self, value: object, line: int, key: str) -> int:
        found = _DURATION.match(value) if isinstance(value, str) else None
        if found is None:
            self.problem(line, f'{key}: must be a time such as "250ms", "3s" or "2min"')
            return 0
        return round(float(found.group(1)) * _UNIT_MS[found.group(2)])


def load_scenario(path: Path) -> Scenario:
    """Read one scenario file.

    Raises:
        ConfigError: naming every problem with file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return parse_scenario(text, path)


def parse_scenario(text: str, path: Path) -> Scenario:
    """Parse the text of a scenario; `path` is for its name and for messages.

    Raises:
        ConfigError: naming every problem with file and line.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    reader = _Reader(path, text)
    lines = [n for n, line in enumerate(text.splitlines(), 1) if _EVENT_LINE.match(line)]
    top = {
        m.group(1): n for n, line in enumerate(text.splitlines(), 1) if (m := _KEY_LINE.match(line))
    }
    for key in sorted(set(data) - {"title", "rule", "duration", "tick_ms", "config", "event"}):
        reader.problem(top.get(key, 1), f"{key}: unknown key")
    for key in ("title", "rule"):
        if not isinstance(data.get(key), str):
            reader.problem(top.get(key, 1), f"{key}: a string is required")
    tick_ms = data.get("tick_ms", DEFAULT_TICK_MS)
    if isinstance(tick_ms, bool) or not isinstance(tick_ms, int) or not 1 <= tick_ms <= 20:
        reader.problem(top.get("tick_ms", 1), "tick_ms: must be 1 to 20 (docs/controller.md)")
        tick_ms = DEFAULT_TICK_MS
    config = data.get("config", {})
    duration_ms = reader.duration(data.get("duration"), top.get("duration", 1), "duration")
    raw_events = data.get("event", [])
    events = []
    if not isinstance(raw_events, list) or not isinstance(config, dict):
        reader.problem(1, "events are written as [[event]], the configuration as [config]")
    else:
        lines += [1] * (len(raw_events) - len(lines))  # events in some other TOML spelling
        events = [_event(reader, e, n) for e, n in zip(raw_events, lines, strict=False)]
        for event in events:
            if event.at_ms > duration_ms:
                reader.problem(event.line, "at: lies beyond the scenario's duration")
    if reader.problems:
        raise ConfigError(
            "\n".join(f"{path}:{line}: {rule}" for line, rule in sorted(reader.problems)),
            fix="docs/verify.md lists what an event can do and expect",
        )
    return Scenario(
        name=path.stem,
        title=data["title"],
        rule=data["rule"],
        duration_ms=duration_ms,
        tick_ms=tick_ms,
        config={key: _plain(value) for key, value in config.items()},
        events=tuple(sorted(events, key=lambda event: event.at_ms)),
        path=path,
    )


def _event(reader: _Reader, raw: Mapping[str, Any], line: int) -> Event:
    at_ms = reader.duration(raw.get("at"), line, "at")
    action = raw.get("do")
    expect = raw.get("expect", {})
    parameters = {k: v for k, v in raw.items() if k not in ("at", "do", "expect")}
    if action is None and not expect:
        reader.problem(line, "an event needs `do` or `expect`")
    if not isinstance(expect, dict):
        reader.problem(line, 'expect: must be a table such as { energised = 1, faults = "-" }')
        expect = {}
    if action is not None and action not in ACTIONS:
        reader.problem(line, f"do: {action!r} is none of: " + ", ".join(ACTIONS))
    elif action is not None:
        _check_parameters(reader, action, parameters, line)
    elif parameters:
        reader.problem(line, "without `do`: " + ", ".join(parameters))
    return Event(at_ms, line, action, parameters, {k: _plain(v) for k, v in expect.items()})


def _check_parameters(reader: _Reader, action: str, parameters: dict[str, Any], line: int) -> None:
    known = ACTIONS[action]
    for key, value in parameters.items():
        kind = known.get(key)
        if kind is None:
            names = ", ".join(known) or "none"
            reader.problem(line, f"{action}: unknown parameter {key}; it takes: {names}")
        elif not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            reader.problem(line, f"{action}: {key} must be of type {kind.__name__}")
        elif (choices := _CHOICES.get((action, key))) and value not in choices:
            reader.problem(line, f"{action}: {key} must be one of: " + ", ".join(choices))
    for key in sorted(set(known) - _OPTIONAL.get(action, set()) - set(parameters)):
        reader.problem(line, f"{action}: {key} is required")
    if action == "frame":
        _check_frame(reader, parameters, line)
    if action == "jump" and isinstance(parameters.get("by"), str):
        parameters["by_ms"] = reader.duration(parameters["by"], line, "jump: by")


def _check_frame(reader: _Reader, parameters: dict[str, Any], line: int) -> None:
    data = parameters.get("data", "")
    try:
        valid = isinstance(data, str) and len(bytes.fromhex(data)) <= 8
    except ValueError:
        valid = False
    if not valid:
        reader.problem(line, "frame: data must be up to 8 bytes in hex")
    limit = 0x1FFFFFFF if parameters.get("extended", True) else 0x7FF
    can_id = parameters.get("can_id")
    if isinstance(can_id, int) and not 0 <= can_id <= limit:
        reader.problem(line, f"frame: can_id must be 0 to 0x{limit:X}")


def _plain(value: object) -> str:
    """A value as the controller's lines spell it: true is 1, false is 0."""
    return str(int(value)) if isinstance(value, bool) else str(value)
