# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios: files that a test engineer can read and write (docs/verify.md).

A scenario is a TOML file: a title, the rule it shows, the controller's configuration where
it differs from the default, and events in time. An event does something to the world or
expects something of the controller. Expectations are optional: the reference is the oracle.
Instead of a world's events a scenario may hold the controller's input lines (raw_lines.py).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evtool.errors import ConfigError
from evtool.protocol.can_frame import Malformed
from evtool.reference_impl.controller_types import MAX_TIME_MS, Config
from evtool.reference_impl.line_format import STATE_FIELDS, parse_command
from evtool.verify import raw_lines
from evtool.verify.ocpp import actions as ocpp_actions

DEFAULT_TICK_MS = 20
"""The longest the gate may wait between two looks (docs/controller.md)."""

_DURATION = re.compile(r"(\d{1,15}(?:\.\d{1,3})?)(ms|s|min|h|d)\Z")
_UNIT_MS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_EVENT_LINE = re.compile(r"^\s*\[\[\s*event\s*\]\]")
_KEY_LINE = re.compile(r"^\s*([A-Za-z0-9_]+)\s*=")

# What every event may hold, whatever it does.
_EVENT_KEYS = (
    "at", "every", "times", "do", "expect", "output", "absent", "first_frame", "within",
)  # fmt: skip
_MAX_BYTES = 64 << 20
_MAX_TIMES = 10_000
_MAX_EVENTS = 200_000
_MAX_TICKS = 10_000_000  # some minutes of computing, two days of the controller's time
_MAX_PROBLEMS = 20
_HELP = "docs/verify.md says how a scenario is written"
_KEYS = {"title", "rule", "duration", "tick_ms", "config", "event", "lines", "ocpp"}

# What an event can do: its parameters and their types. `docs/verify.md` explains each.
_OF_WORLD: dict[str, dict[str, type]] = {
    "plug_in": {},
    "plug_out": {},
    "switch": {"on": bool},
    "heating": {"on": bool},
    "bms": {"mode": str},
    "request": {"voltage_mv": int, "current_ma": int},
    "module": {"mode": str},
    "measure": {"voltage_mv": int, "current_ma": int, "temperature_mdegc": int},
    "remote_start": {},
    "remote_stop": {},
    "ocpp": {"mode": str},
    "limit": {"current_ma": int},
    "word": {"transaction": bool, "permitted": bool},
    "report": {"of": str},
    "key": {"text": str},
    "bus": {"bus": int, "state": str},
    "frame": {"can_id": int, "data": str, "bus": int, "extended": bool, "remote": bool},
    "lose": {"can_id": int, "frames": int},
    "power_cut": {"reset": str, "lost_write": bool},
    "jump": {"by": str},
}
ACTIONS = _OF_WORLD | ocpp_actions.ACTIONS
_OPTIONAL = ocpp_actions.OPTIONAL | {
    "frame": {"bus", "extended", "remote", "data"},
    "bus": {"bus"},
    "measure": {"voltage_mv", "current_ma", "temperature_mdegc"},
    "power_cut": {"reset", "lost_write"},
}
_CHOICES: dict[tuple[str, str], tuple[str, ...]] = ocpp_actions.CHOICES | {
    ("bms", "mode"): ("normal", "silent"),
    ("module", "mode"): ("normal", "silent", "hot", "disobey"),
    ("ocpp", "mode"): ("online", "offline", "silent"),
    ("bus", "state"): ("running", "stopped", "bus_off", "error_passive", "recovering"),
    ("report", "of"): ("sample", "transaction"),
    ("power_cut", "reset"): ("power_on", "brownout", "watchdog", "software", "panic"),
}
_RANGES: dict[tuple[str, str], range] = ocpp_actions.RANGES | {
    ("measure", "voltage_mv"): range(1_000_001),
    ("measure", "current_ma"): range(-1_000_000, 1_000_001),
    ("measure", "temperature_mdegc"): range(1_000_001),
    ("lose", "can_id"): range(0x20000000),
    ("lose", "frames"): range(1, 1_000_001),
    ("request", "voltage_mv"): range(6_553_501),
    ("request", "current_ma"): range(6_553_501),
    ("limit", "current_ma"): range(-1, 2**31),
    ("bus", "bus"): range(2),
    ("frame", "bus"): range(2),
}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens at `at_ms` after the start, or is expected then, or both.

    Attributes:
        expect: fields of the state.
        output: lines that were put out, in this order; `*` stands for any text.
        absent: lines that were not.
        first_frame: the frame that went out before all others.
        within_ms: how far back these three look; 0 is this millisecond alone.
    """

    at_ms: int
    line: int
    action: str | None
    parameters: Mapping[str, Any]
    expect: Mapping[str, str]
    output: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    first_frame: str | None = None
    within_ms: int = 0

    @property
    def expects(self) -> bool:
        """Whether there is anything to check."""
        return bool(self.expect or self.output or self.absent or self.first_frame)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole scenario; `events` in order of time.

    Where there are `lines`, they are all that happens, and events only expect. Where there is
    a table `ocpp`, it is played with both sides of the wire (`evtool.verify.ocpp`).
    """

    name: str
    title: str
    rule: str
    duration_ms: int
    tick_ms: int
    config: Mapping[str, str]
    events: tuple[Event, ...]
    path: Path | None = None
    lines: tuple[str, ...] = ()
    ocpp: Mapping[str, Any] | None = None


@dataclass(slots=True)
class _Reader:
    path: Path
    text: str
    keys: Mapping[str, int]
    problems: list[tuple[int, str]] = field(default_factory=list)

    def top(self, key: str) -> int:
        """The line of a key outside of any event; 1 where it is missing."""
        return self.keys.get(key, 1)

    def problem(self, line: int, rule: str) -> None:
        # Keys and values of the file are in it, and a terminal obeys what does not print.
        self.problems.append((line, "".join(char if char.isprintable() else "?" for char in rule)))

    def duration(self, value: object, line: int, key: str) -> int:
        found = _DURATION.match(value) if isinstance(value, str) else None
        if found is None:
            self.problem(line, f'{key}: must be a time such as "250ms", "3s" or "2min"')
            return 0
        return round(float(found.group(1)) * _UNIT_MS[found.group(2)])

    def finish(self) -> None:
        """Tell the problems, as many as fit one screen.

        Raises:
            ConfigError: there are some.
        """
        if not self.problems:
            return
        shown = [f"{self.path}:{line}: {rule}" for line, rule in sorted(self.problems)]
        if len(shown) > _MAX_PROBLEMS:
            shown[_MAX_PROBLEMS:] = [f"{self.path}: and {len(shown) - _MAX_PROBLEMS} more"]
        raise ConfigError(
            "\n".join(shown), fix="docs/verify.md lists what an event can do and expect"
        )


def load_scenario(path: Path) -> Scenario:
    """Read one scenario file.

    Raises:
        ConfigError: naming every problem with file and line.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(
                f"{path}: has more than {_MAX_BYTES >> 20} MiB, which no scenario needs", fix=_HELP
            )
        text = path.read_text(encoding="utf-8-sig")  # some editors write a byte order mark
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror or error}",
            fix="check the name, and that it is a file of yours",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: is not UTF-8: {error.reason} at byte {error.start}",
            fix="save it as UTF-8 text",
        ) from error
    return parse_scenario(text, path)


def parse_scenario(text: str, path: Path) -> Scenario:
    """Parse the text of a scenario; `path` is for its name and for messages.

    Raises:
        ConfigError: naming every problem with file and line.
    """
    data = _parse_toml(text, path)
    reader = _Reader(path, text, _top_lines(text))
    for key in sorted(set(data) - _KEYS):
        reader.problem(reader.top(key), f"{key}: unknown key")
    for key in ("title", "rule"):
        if not isinstance(data.get(key), str):
            reader.problem(reader.top(key), f"{key}: a string is required")
        elif not data[key].isprintable():
            reader.problem(reader.top(key), f"{key}: must be one line of printable text")
    config = data.get("config", {})
    if not isinstance(config, dict):
        reader.problem(1, "config: write the configuration as [config]")
        config = {}
    _check_config(reader, config)
    tick_ms = _read_tick(reader, data)
    lines = _read_lines(reader, data) if "lines" in data else []
    if "lines" in data:
        duration_ms = max((int(line[1:].split(" ", 1)[0]) for line in lines), default=0)
    else:
        duration_ms = _read_duration(reader, data, tick_ms)
    events = _read_events(reader, data.get("event", []), duration_ms)
    if lines:
        for event in events:
            if event.action is not None:
                reader.problem(event.line, "do: beside `lines` an event can only expect")
    ocpp = _read_ocpp(reader, data, events)
    reader.finish()
    return Scenario(
        name="".join(char if char.isprintable() else "?" for char in path.stem),
        title=data["title"],
        rule=data["rule"],
        duration_ms=duration_ms,
        tick_ms=tick_ms,
        config={key: _plain(value) for key, value in config.items()},
        events=tuple(sorted(events, key=lambda event: event.at_ms)),
        path=path,
        lines=tuple(lines),
        ocpp=ocpp,
    )


def _read_ocpp(
    reader: _Reader, data: Mapping[str, Any], events: list[Event]
) -> Mapping[str, Any] | None:
    """The table `[ocpp]`, and whether the events go with it."""
    table = data.get("ocpp")
    wrong = ocpp_actions.ACTIONS if table is None else ocpp_actions.WORDS_FOR_OCPP
    for event in events:
        if isinstance(event.action, str) and event.action in wrong:
            where = "only beside" if table is None else "not beside"
            reader.problem(event.line, f"do: {event.action} is {where} a table [ocpp]")
        if table is not None and (event.expect or event.first_frame):
            reader.problem(event.line, "beside [ocpp] an event expects output or absent alone")
    if table is None:
        return None
    if not isinstance(table, dict):
        reader.problem(reader.top("ocpp"), "ocpp: write it as a table [ocpp]")
        return None
    if "lines" in data:
        reader.problem(reader.top("lines"), "lines: not beside [ocpp]")
    for problem in ocpp_actions.table_problems(table):
        reader.problem(reader.top(problem.split()[-1]), problem)
    return table


def _parse_toml(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError(f"{path}: not valid TOML: nested too deep", fix=_HELP) from error
    except ValueError as error:  # TOMLDecodeError, and a number of thousands of digits
        raise ConfigError(f"{path}: not valid TOML: {error}", fix=_HELP) from error


def _read_tick(reader: _Reader, data: Mapping[str, Any]) -> int:
    tick_ms = data.get("tick_ms", DEFAULT_TICK_MS)
    most = 100 if "ocpp" in data else DEFAULT_TICK_MS
    if isinstance(tick_ms, bool) or not isinstance(tick_ms, int) or not 1 <= tick_ms <= most:
        reader.problem(reader.top("tick_ms"), f"tick_ms: must be 1 to {most} (docs/controller.md)")
        return DEFAULT_TICK_MS
    return tick_ms


def _read_duration(reader: _Reader, data: Mapping[str, Any], tick_ms: int) -> int:
    duration_ms = reader.duration(data.get("duration"), reader.top("duration"), "duration")
    if duration_ms > _MAX_TICKS * tick_ms:
        reader.problem(
            reader.top("duration"),
            f"duration: at most {_MAX_TICKS:,} ticks, here {_MAX_TICKS * tick_ms // 1000} s; "
            "`jump` moves the clock on without them",
        )
    return duration_ms


def _top_lines(text: str) -> dict[str, int]:
    """Where each key stands; of several equal ones the first, which is the outermost."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if match := _KEY_LINE.match(line):
            found.setdefault(match.group(1), number)
    return found


def _read_lines(reader: _Reader, data: Mapping[str, Any]) -> list[str]:
    for key in sorted({"duration", "tick_ms", "config"} & set(data)):
        reader.problem(reader.top(key), f"{key}: not beside `lines`, which say it themselves")
    text = data["lines"]
    if not isinstance(text, str):
        reader.problem(reader.top("lines"), 'lines: must be a text: lines = """ ... """')
        return []
    lines, problems = raw_lines.check_lines(text, raw_lines.first_line(reader.text))
    reader.problems += problems
    return [] if problems else lines


def _read_events(reader: _Reader, raw: object, duration_ms: int) -> list[Event]:
    if not isinstance(raw, list) or not all(isinstance(each, dict) for each in raw):
        reader.problem(reader.top("event"), "events are written as [[event]]")
        return []
    lines = [n for n, line in enumerate(reader.text.split("\n"), 1) if _EVENT_LINE.match(line)]
    lines += [1] * (len(raw) - len(lines))  # events in some other TOML spelling
    events: list[Event] = []
    for each, line in zip(raw, lines, strict=False):
        events += _repeated(reader, each, _event(reader, each, line))
        if len(events) > _MAX_EVENTS:
            reader.problem(line, f"more than {_MAX_EVENTS:,} events, repetitions included")
            break
    jumps_ms = sum(each.parameters.get("by_ms", 0) for each in events if each.action == "jump")
    if duration_ms + jumps_ms > MAX_TIME_MS:
        reader.problem(reader.top("duration"), "the clock ends at 2^62 ms; jump less far")
    for event in events:
        if event.at_ms > duration_ms:
            problem = (event.line, "at: lies beyond the scenario's duration")
            if problem not in reader.problems:  # once for all the repetitions of an event
                reader.problems.append(problem)
    return events


def _repeated(reader: _Reader, raw: Mapping[str, Any], event: Event) -> list[Event]:
    if "every" not in raw and "times" not in raw:
        return [event]
    every_ms = reader.duration(raw.get("every"), event.line, "every")
    times = raw.get("times")
    if isinstance(times, bool) or not isinstance(times, int) or not 1 <= times <= _MAX_TIMES:
        reader.problem(event.line, f"times: must be 1 to {_MAX_TIMES}, beside `every`")
        times = 1
    if every_ms < 1:
        reader.problem(event.line, "every: must be at least 1ms, beside `times`")
    return [replace(event, at_ms=event.at_ms + n * every_ms) for n in range(times)]


def _event(reader: _Reader, raw: Mapping[str, Any], line: int) -> Event:
    at_ms = reader.duration(raw.get("at"), line, "at")
    action = raw.get("do")
    expect = raw.get("expect", {})
    parameters = {k: v for k, v in raw.items() if k not in _EVENT_KEYS}
    if not isinstance(expect, dict):
        reader.problem(line, 'expect: must be a table such as { energised = 1, faults = "-" }')
        expect = {}
    _check_expect(reader, expect, line)
    if action is not None and (not isinstance(action, str) or action not in ACTIONS):
        reader.problem(line, f"do: {action!r} is none of: " + ", ".join(ACTIONS))
    elif action is not None:
        _check_parameters(reader, action, parameters, line)
    elif parameters:
        reader.problem(line, "without `do`: " + ", ".join(parameters))
    first_frame = raw.get("first_frame")
    if first_frame is not None and (not isinstance(first_frame, str) or not first_frame):
        reader.problem(line, 'first_frame: must be a line such as "can 0 068181FE *"')
        first_frame = None
    event = Event(
        at_ms,
        line,
        action,
        parameters,
        {k: _plain(v) for k, v in expect.items()},
        output=_patterns(reader, raw, "output", line),
        absent=_patterns(reader, raw, "absent", line),
        first_frame=first_frame,
        within_ms=reader.duration(raw["within"], line, "within") if "within" in raw else 0,
    )
    if "within" in raw and not {"output", "absent", "first_frame"} & set(raw):
        reader.problem(line, "within: only beside output, absent or first_frame")
    if action is None and not event.expects:
        reader.problem(line, "an event needs `do` or `expect`")
    return event


def _check_config(reader: _Reader, config: Mapping[str, Any]) -> None:
    for key, value in config.items():
        command = f"config {key}={_plain(value)}"
        one_field = isinstance(value, int | str) and command.count(" ") == 1
        if not one_field or isinstance(parse_command(command, Config()), Malformed):
            reader.problem(
                reader.top(key),
                f"config: no field {key} with the value {_plain(value)!r}; "
                "docs/host-program.md lists them",
            )


def _check_expect(reader: _Reader, expect: Mapping[str, Any], line: int) -> None:
    for key, value in expect.items():
        if key not in STATE_FIELDS:
            reader.problem(line, f"expect: {key!r} is none of: " + ", ".join(STATE_FIELDS))
        elif not isinstance(value, int | str):
            reader.problem(line, f"expect: {key} must be a number, a text, true or false")


def _patterns(reader: _Reader, raw: Mapping[str, Any], key: str, line: int) -> tuple[str, ...]:
    patterns = raw.get(key, [])
    if not isinstance(patterns, list) or not all(isinstance(p, str) and p for p in patterns):
        reader.problem(line, f'{key}: must be a list of lines such as ["console *"]')
        return ()
    return tuple(patterns)


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
        elif (limits := _RANGES.get((action, key))) and value not in limits:
            reader.problem(line, f"{action}: {key} must be {limits[0]} to {limits[-1]}")
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
