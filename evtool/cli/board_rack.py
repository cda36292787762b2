# SPDX-License-Identifier: GPL-3.0-or-later
"""The boards of one `evtool sim board`: one, or a rack of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evtool.cli.board_commands import obey
from evtool.cli.board_unit import BoardUnit, UnitSettings
from evtool.cli.output import Output
from evtool.errors import ConfigError, EvtoolError

_MAX_PORT = 65_535


class BoardRack:
    """All boards, and who is told what.

    Args:
        output: where events go.
        real_time: see `Pace`.
    """

    def __init__(self, output: Output, *, real_time: bool) -> None:
        self._output = output
        self._real_time = real_time
        self._units: list[BoardUnit] = []

    def open(self, settings: UnitSettings, count: int, at_start: Sequence[str]) -> None:
        """Make `count` boards; carry out the commands in `at_start` on each.

        Raises:
            ConfigError: there are not so many addresses or ports; a command is wrong.
            EvtoolError: a folder or a port cannot be had.
        """
        for number in range(count):
            own = settings if count == 1 else _numbered(settings, number)
            tell = _Reporter(self._output, number if count > 1 else None)
            unit = BoardUnit(own, tell)
            self._units.append(unit)
            unit.host.pace.real_time = self._real_time
            for line in at_start:
                name, *words = line.split() or [""]
                try:
                    obey(unit, name, words)
                except ValueError as error:
                    raise ConfigError(f"--do {line!r}: {error}", fix="correct it") from error

    def start(self) -> None:
        """Plug in the power everywhere."""
        for number, unit in enumerate(self._units):
            tell = _Reporter(self._output, number if len(self._units) > 1 else None)
            fields = unit.ready_fields()
            tell.event("ready", fields)
            tell.say(f"board ready: serial port {fields['link'] or fields['serial_port']}")
            unit.start()

    async def handle(self, name: str, rest: str) -> None:
        """One line of stdin; a number before it picks a board."""
        words = rest.split()
        chosen = range(len(self._units))
        if name.isdecimal():
            number = int(name)
            name, *words = words or [""]
            if number >= len(self._units):
                self._refuse(None, f"{number} {name}", f"there are {len(self._units)} boards")
                return
            chosen = range(number, number + 1)
        for number in chosen:
            self._handle_one(number, name, words)

    async def close(self) -> None:
        """Pull the power everywhere."""
        for unit in self._units:
            await unit.close()

    def _handle_one(self, number: int, name: str, words: list[str]) -> None:
        tell = _Reporter(self._output, number if len(self._units) > 1 else None)
        try:
            answer = obey(self._units[number], name, words)
        except ValueError as error:
            self._refuse(tell, " ".join([name, *words]), str(error))
        except EvtoolError as error:
            self._refuse(tell, " ".join([name, *words]), error.message)
        else:
            if answer is not None:
                event, fields = answer
                tell.event(event, fields)
                tell.say("\n".join([event, *(f"  {k}: {_plain(v)}" for k, v in fields.items())]))

    def _refuse(self, tell: _Reporter | None, command: str, reason: str) -> None:
        tell = tell or _Reporter(self._output, None)
        tell.event("refused", {"command": command, "reason": reason})
        tell.say(f"{command}: {reason}")


class _Reporter:
    """Says which board it is, where there are several."""

    def __init__(self, output: Output, number: int | None) -> None:
        self._output = output
        self._number = number

    def __call__(self, event: str, fields: dict[str, object]) -> None:
        self.event(event, fields)
        self.say(f"{event}: " + " ".join(f"{key}={value}" for key, value in fields.items()))

    def event(self, event: str, fields: dict[str, object]) -> None:
        which: dict[str, object] = {} if self._number is None else {"board": self._number}
        self._output.event(event, **which, **fields)

    def say(self, text: str) -> None:
        self._output.say(text if self._number is None else f"board {self._number}: {text}")


def _numbered(settings: UnitSettings, number: int) -> UnitSettings:
    host, port = settings.listen
    if port and port + number > _MAX_PORT:
        raise ConfigError(
            f"--listen {host}:{port}: there are not so many ports behind this one",
            fix="choose a lower one, or 0 for any",
        )
    mac = settings.mac
    if mac is not None:
        tail = int.from_bytes(mac[3:], "big") + number
        if tail > 0xFFFFFF:
            raise ConfigError(
                f"--mac {mac.hex(':')}: there are not so many addresses behind this one",
                fix="choose a lower one",
            )
        mac = mac[:3] + tail.to_bytes(3, "big")
    link = settings.link
    return replace(
        settings,
        state_dir=settings.state_dir / str(number),
        listen=(host, port + number if port else 0),
        mac=mac,
        link=Path(f"{link}{number}") if link is not None else None,
        seed=settings.seed + number,
    )


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={each}" for key, each in value.items()) or "-"
    return str(value)
