# SPDX-License-Identifier: GPL-3.0-or-later
"""The text lines of the host program (docs/host-program.md): commands in, outputs and state out.

The twin of `firmware/host/line_format.cpp`: what one refuses the other refuses, with the same
reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, TypeVar

from evtool.protocol.can_frame import CanFrame, Malformed
from evtool.protocol.can_line import parse_can_words, render_can_line
from evtool.reference_impl.controller_types import (
    BootInfo,
    BusState,
    CapacitySource,
    Config,
    ConsoleText,
    CurrentScale,
    OcppStart,
    OcppStop,
    OcppWord,
    Output,
    Recover,
    Report,
    SendFrame,
    Snapshot,
    Store,
    TemperatureScale,
)

MAX_INT32 = 2**31 - 1
MAX_UINT64 = 2**64 - 1

_NUMBER = re.compile(r"0|[1-9][0-9]{0,19}", re.ASCII)
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*", re.ASCII)
_OCPP = re.compile(
    r"connected=([01]) transaction=([01]) permitted=([01]) limit_ma=(-|[0-9]+)", re.ASCII
)
_WORD = re.compile(r"[!-~]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class CanCommand:
    """A frame was received."""

    bus: int
    frame: CanFrame


@dataclass(frozen=True, slots=True)
class BusCommand:
    """A CAN controller reports."""

    bus: int
    state: BusState


@dataclass(frozen=True, slots=True)
class KeyCommand:
    """A byte from the console."""

    key: int


@dataclass(frozen=True, slots=True)
class TickCommand:
    """Time passes."""


Command = CanCommand | BusCommand | KeyCommand | TickCommand | OcppWord | Report | Config | BootInfo

_E = TypeVar("_E", bound=Enum)


class _Refused(Exception):
    """A value that its field does not take."""


def parse_number(text: str, maximum: int) -> int | None:
    """A whole decimal number up to `maximum`, without sign or leading zeros."""
    if _NUMBER.fullmatch(text) is None or int(text) > maximum:
        return None
    return int(text)


def parse_command(line: str, config: Config) -> Command | Malformed:
    """Read one command, without the lockstep's time; `config` is what a `config` line changes."""
    name, space, rest = line.partition(" ")
    parse = _PARSERS.get(name)
    if parse is not None:
        return parse(rest) or Malformed(f"bad {name}")
    match name:
        case "tick":
            return Malformed("bad tick") if space else TickCommand()
        case "config":
            return _parse_fields(rest, not space, config, _CONFIG_FIELDS) or Malformed("bad config")
        case "boot":
            return _parse_fields(rest, not space, BootInfo(), _BOOT_FIELDS) or Malformed("bad boot")
    return Malformed("no such command")


def _parse_can(text: str) -> CanCommand | None:
    parsed = parse_can_words(text)
    return None if isinstance(parsed, Malformed) else CanCommand(*parsed)


def _parse_bus(text: str) -> BusCommand | None:
    bus, _, state = text.partition(" ")
    if bus not in ("0", "1") or state not in {known.value for known in BusState}:
        return None
    return BusCommand(int(bus), BusState(state))


def _parse_ocpp(text: str) -> OcppWord | None:
    match = _OCPP.fullmatch(text)
    if match is None:
        return None
    limit = None if match[4] == "-" else parse_number(match[4], MAX_INT32)
    if limit is None and match[4] != "-":
        return None
    return OcppWord(match[1] == "1", match[2] == "1", match[3] == "1", limit)


def _parse_key(text: str) -> KeyCommand | None:
    if len(text) != 2 or _HEX.fullmatch(text) is None:
        return None
    return KeyCommand(int(text, 16))


def _parse_report(text: str) -> Report | None:
    return Report(text) if text in {known.value for known in Report} else None


_PARSERS: dict[str, Callable[[str], Command | None]] = {
    "can": _parse_can,
    "bus": _parse_bus,
    "ocpp": _parse_ocpp,
    "key": _parse_key,
    "report": _parse_report,
}


def _number(maximum: int, minimum: int = 0) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = parse_number(text, maximum)
        if number is None or number < minimum:
            raise _Refused
        return number

    return parse


def _text(longest: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if _WORD.fullmatch(text) is None or len(text) > longest:
            raise _Refused
        return "" if text == "-" else text

    return parse


def _one_of(kind: type[_E]) -> Callable[[str], _E]:
    def parse(text: str) -> _E:
        for member in kind:
            if member.value == text:
                return member
        raise _Refused

    return parse


_CONFIG_FIELDS: dict[str, Callable[[str], object]] = {
    "buses": _number(2, minimum=1),
    "capacity_source": _one_of(CapacitySource),
    "battery_capacity_mah": _number(MAX_INT32),
    "module_current_scale": _one_of(CurrentScale),
    "module_temperature_scale": _one_of(TemperatureScale),
    "request_min_mv": _number(MAX_INT32),
    "request_max_mv": _number(MAX_INT32),
    "request_max_ma": _number(MAX_INT32),
    "max_voltage_mv": _number(MAX_INT32),
    "max_current_ma": _number(MAX_INT32),
    "id_tag": _text(20),
}

_BOOT_FIELDS: dict[str, Callable[[str], object]] = {
    "reset": _text(24),
    "version": _text(16),
    "build": _text(40),
    "charge_point": _text(48),
    "energy_mwh": _number(MAX_UINT64),
}

_F = TypeVar("_F", Config, BootInfo)


def _parse_fields(
    text: str, bare: bool, start: _F, fields: dict[str, Callable[[str], object]]
) -> _F | None:
    changes: dict[str, Any] = {}
    for part in [] if bare else text.split(" "):
        name, equals, value = part.partition("=")
        if not equals or name not in fields:
            return None
        try:
            changes[name] = fields[name](value)
        except _Refused:
            return None
    return replace(start, **changes)


def output_line(output: Output) -> str:
    """One output of the controller."""
    match output:
        case SendFrame(bus=bus, frame=frame):
            return render_can_line(bus, frame)
        case ConsoleText(text=text):
            return f"console {text}"
        case OcppStart(id_tag=id_tag):
            return f"ocpp start {id_tag}"
        case OcppStop(reason=reason):
            return f"ocpp stop {reason}"
        case Store(key=key, value=value):
            return f"store {key} {value}"
        case Recover(bus=bus):
            return f"recover {bus}"


def _plain(value: bool | int | str | None) -> str:
    if value is None:
        return "-"
    return str(int(value)) if isinstance(value, bool) else str(value)


def _value(member: Enum) -> str:
    return str(member.value)


# How the fields that are no plain value are written; the line follows the Snapshot's order.
_RENDERERS: dict[str, Callable[[Any], str]] = {
    "gate": _value,
    "faults": lambda faults: ",".join(map(_value, faults)) or "-",
    "module": lambda on: "-" if on is None else "on" if on else "off",
    "flags": lambda flags: f"{flags:02X}",
    "bus": lambda states: f"{states[0].value} bus1={states[1].value}",
    "view": lambda view: view.name.lower(),
}
_STATE_WORDS = tuple(
    (f"{'bus0' if name == 'bus' else name}=", _RENDERERS.get(name, _plain))
    for name in Snapshot._fields
)

STATE_FIELDS = tuple(
    field for name in Snapshot._fields for field in (("bus0", "bus1") if name == "bus" else (name,))
)
"""The fields of the state line, in their order."""


def state_line(snapshot: Snapshot) -> str:
    """The whole snapshot as one line."""
    pairs = zip(_STATE_WORDS, snapshot, strict=True)
    return "state " + " ".join([word + render(value) for (word, render), value in pairs])
