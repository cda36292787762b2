# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running virtual board can be told, a line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evtool.cli.board_unit import BoardUnit
from evtool.errors import EvtoolError
from evtool.virtual.board import Crash

_MAX_LATENCY_MS = 10_000
_MAX_FRAMES = 100  # as many as ESP-IDF prints


@dataclass(frozen=True, slots=True)
class _Command:
    """`usage` names its arguments; `run` gives the fields of the event that answers it."""

    usage: str
    help: str
    run: Callable[[BoardUnit, list[str]], dict[str, object] | None]

    def takes(self, count: int) -> bool:
        """Whether it takes so many words."""
        return self.usage.endswith("...]") or count == len(self.usage.split())


def obey(unit: BoardUnit, name: str, words: list[str]) -> tuple[str, dict[str, object]] | None:
    """Carry out one command: the event that answers it and its fields, or None.

    Raises:
        ValueError: what is wrong with the command.
        EvtoolError: it cannot be done.
    """
    command = COMMANDS.get(name)
    if command is None:
        raise ValueError(f"the commands are: {', '.join(_usages())}, quit")
    if not command.takes(len(words)):
        raise ValueError(f"usage: {name} {command.usage}".rstrip())
    fields = command.run(unit, words)
    return None if fields is None else (_EVENTS.get(name, name), fields)


def _usages() -> list[str]:
    return [f"{name} {command.usage}".rstrip() for name, command in COMMANDS.items()]


def _done(act: Callable[[BoardUnit], None]) -> Callable[[BoardUnit, list[str]], None]:
    return lambda unit, _: act(unit)


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError(f"{text!r} is not a number such as 4096 or 0x1000") from None


def _chance(text: str) -> float:
    try:
        chance = float(text)
    except ValueError:
        chance = -1.0
    if not 0 <= chance <= 1:
        raise ValueError(f"{text!r} is not a chance between 0 and 1")
    return chance


def _flip(unit: BoardUnit, words: list[str]) -> dict[str, object]:
    offset, bit = _number(words[0]), _number(words[1])
    unit.flash.flip(offset, bit)
    return {"offset": offset, "bit": bit}


def _status(unit: BoardUnit, words: list[str]) -> dict[str, object]:
    del words
    return unit.host.board.status() | {"state": unit.host.state}


def _panic(unit: BoardUnit, words: list[str]) -> None:
    addresses = [_number(word) for word in words]
    if any(not 0 <= address <= 0xFFFFFFFF for address in addresses):
        raise ValueError("an address has 32 bits")
    if len(addresses) > _MAX_FRAMES:
        raise ValueError(f"at most {_MAX_FRAMES} addresses")
    unit.host.crash(Crash.PANIC, addresses)


def _crash(how: Crash) -> Callable[[BoardUnit, list[str]], None]:
    return _done(lambda unit: unit.host.crash(how))


def _mark(valid: bool) -> Callable[[BoardUnit, list[str]], dict[str, object]]:
    def run(unit: BoardUnit, words: list[str]) -> dict[str, object]:
        del words
        if not unit.host.mark_application(valid):
            raise ValueError("no application runs that OTA data names")
        return {"valid": valid}

    return run


def _cut_after(unit: BoardUnit, words: list[str]) -> dict[str, object]:
    count = _number(words[0])
    unit.flash.cut_after(count)
    return {"bytes": count}


def _dead_sector(unit: BoardUnit, words: list[str]) -> dict[str, object]:
    offset = _number(words[0])
    unit.flash.wear_out(offset)
    return {"offset": offset}


def _blank_fuses(unit: BoardUnit) -> None:
    unit.fuses.blank()
    unit.host.power_cycle()


def _lose(unit: BoardUnit, words: list[str]) -> dict[str, object]:
    unit.host.pace.faults.lose = _chance(words[0])
    return {"lose": unit.host.pace.faults.lose}


def _spoil(unit: BoardUnit, words: list[str]) -> dict[str, object]:
    unit.host.pace.faults.flip = _chance(words[0])
    return {"spoil": unit.host.pace.faults.flip}


def _late(unit: BoardUnit, words: list[str]) -> dict[str, object]:
    faults = unit.host.pace.faults
    chance, late_us = _chance(words[0]), 1000 * _number(words[1])
    if not 0 <= late_us <= 1000 * _MAX_LATENCY_MS:
        raise ValueError(f"at most {_MAX_LATENCY_MS} ms late")
    faults.late, faults.late_us = chance, late_us
    return {"late": chance, "ms": late_us // 1000}


def _latency(unit: BoardUnit, words: list[str]) -> dict[str, object]:
    latency_ms = _number(words[0])
    if not 0 <= latency_ms <= _MAX_LATENCY_MS:
        raise ValueError(f"a latency of 0 to {_MAX_LATENCY_MS} ms")
    unit.host.pace.latency_us = 1000 * latency_ms
    return {"ms": latency_ms}


def _mute(mute: bool) -> Callable[[BoardUnit, list[str]], dict[str, object]]:
    def run(unit: BoardUnit, words: list[str]) -> dict[str, object]:
        del words
        unit.host.pace.faults.mute = mute
        return {"mute": mute}

    return run


def _unplug(unit: BoardUnit, words: list[str]) -> dict[str, object]:
    del words
    if not unit.unplug():
        raise ValueError("the cable is out already")
    return {}


def _plug(unit: BoardUnit, words: list[str]) -> dict[str, object]:
    del words
    try:
        if not unit.plug():
            raise ValueError("the cable is in already")
    except EvtoolError as error:
        raise ValueError(error.message) from error
    return {"serial_port": unit.serial_port}


def _help(unit: BoardUnit, words: list[str]) -> dict[str, object]:
    del unit, words
    rows = zip(_usages(), COMMANDS.values(), strict=True)
    return {usage: command.help for usage, command in rows}


COMMANDS: dict[str, _Command] = {
    "reset": _Command("", "press the reset button", _done(lambda unit: unit.host.reset())),
    "power_cycle": _Command(
        "", "take the power away and give it back", _done(lambda unit: unit.host.power_cycle())
    ),
    "power_off": _Command("", "take the power away", _done(lambda unit: unit.host.power_off())),
    "power_on": _Command("", "give it back", _done(lambda unit: unit.host.power_cycle())),
    "unplug": _Command("", "pull the USB cable: port and power are gone", _unplug),
    "plug": _Command("", "put it in again, at a new port", _plug),
    "panic": _Command("[ADDRESS ...]", "crash the firmware, there, called from there", _panic),
    "watchdog": _Command("", "have the watchdog end it", _crash(Crash.WATCHDOG)),
    "brownout": _Command("", "let the supply dip", _crash(Crash.BROWNOUT)),
    "mark_valid": _Command("", "the new image proved itself", _mark(True)),
    "mark_invalid": _Command("", "it did not: the other slot starts", _mark(False)),
    "flip": _Command("OFFSET BIT", "invert one bit of the flash (0x10020 3)", _flip),
    "dead_sector": _Command("OFFSET", "that sector changes no more", _dead_sector),
    "cut_after": _Command("BYTES", "cut the power after so many bytes of flash", _cut_after),
    "blank_fuses": _Command("", "another chip: nothing is burned", _done(_blank_fuses)),
    "lose": _Command("CHANCE", "lose bytes of the line (0.0001)", _lose),
    "spoil": _Command("CHANCE", "invert a bit in bytes of the line", _spoil),
    "late": _Command("CHANCE MS", "hold frames up", _late),
    "latency": _Command("MS", "a slow USB bridge", _latency),
    "mute": _Command("", "the board says nothing any more", _mute(True)),
    "unmute": _Command("", "it does again", _mute(False)),
    "help": _Command("", "these commands", _help),
    "status": _Command("", "what runs, and the firmware's own state", _status),
}
# What the answer to a command is called, where it is not called like the command.
_EVENTS = {
    "flip": "flipped",
    "unplug": "unplugged",
    "plug": "plugged",
    "mark_valid": "marked",
    "mark_invalid": "marked",
    "unmute": "mute",
}
