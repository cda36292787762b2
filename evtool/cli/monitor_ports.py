# SPDX-License-Identifier: GPL-3.0-or-later
"""Which ports `evtool monitor` watches: by path, URL, USB, place at the hubs, or board.

A port that went away is looked for by what it was named: one that is named by its USB serial number
is found again under another device.
"""

from __future__ import annotations

import glob
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evtool.cli.flash_ports import present_ports, unique
from evtool.cli.options import open_project
from evtool.errors import ConfigError, DeviceError
from evtool.flash.station.ports import LOCATION, PATH, SERIAL, USB, PortPattern, parse_pattern
from evtool.link.network_port import split_url
from evtool.link.port_waiter import PortWaiter
from evtool.link.serial_line import SerialLine, find_serial_ports, is_url, open_serial_line
from evtool.monitor.board_search import BoardSearch

_BOARD = "board"
_VENDOR_AND_PRODUCT = re.compile(r"[0-9A-Fa-f]{4}:(?:[0-9A-Fa-f]{4}|\*)\Z")
_PREFIXES = (*(f"{kind}=" for kind in (PATH, SERIAL, USB, LOCATION)), f"{_BOARD}=")
_LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Search:
    """How a board is looked for by its identity.

    Attributes:
        project_path: whose ledger may know its MAC; None: the one here, if there is one.
        timeout_s: how long its boot line is waited for.
        reset: whether the ports that are listened to are reset, so that it comes.
        say: tells a person what is going on.
    """

    project_path: Path | None
    timeout_s: float
    reset: bool
    say: Callable[[str], None]


class NamedPorts:
    """The ports that a user named, as a session opens them.

    Attributes:
        names: one for each port, in order; each means one device at a time.

    Raises:
        ConfigError: a name that can mean nothing.
        DeviceError: nothing is there that a pattern means, or nobody said the identity.
    """

    def __init__(self, given: Sequence[str], search: Search) -> None:
        self._patterns: dict[str, PortPattern] = {}
        names = [name for text in given for name in self._named(text, search)]
        # Two names of one device are one port: the first.
        by_device = {device: name for name in reversed(names) for device in [self.find(name)]}
        self.names = [by_device[device] for device in unique(map(self.find, names))]

    def find(self, name: str) -> str:
        """The device or URL that `name` means now.

        Raises:
            DeviceError: none, or more than one.
        """
        pattern = self._patterns.get(name)
        if pattern is None:
            return name
        found = present_ports([pattern])
        if len(found) == 1:
            return found[0]
        if found:
            raise DeviceError(
                f"{name}: means {', '.join(found)}", fix="name the one that is meant more closely"
            )
        raise _nothing_there(name)

    def _named(self, text: str, search: Search) -> list[str]:
        if is_url(text):
            split_url(text)
            return [text]
        if text.startswith(f"{_BOARD}="):
            device = _board_port(text.removeprefix(f"{_BOARD}="), search)
            return [self._keep(text, _lasting(device))]
        pattern = _pattern(text)
        if pattern is None:
            return [text]
        found = present_ports([pattern])
        if not found:
            raise _nothing_there(text)
        if len(found) == 1:
            return [self._keep(text, pattern)]
        return found

    def _keep(self, name: str, pattern: PortPattern) -> str:
        self._patterns[name] = pattern
        return name


def _pattern(text: str) -> PortPattern | None:
    """The pattern that `text` is; None where it is a path.

    Raises:
        ConfigError: a pattern that can match nothing.
    """
    if text.startswith("usb:"):  # as other terminals write a serial number
        return PortPattern(SERIAL, text.removeprefix("usb:"))
    if _VENDOR_AND_PRODUCT.match(text):
        return PortPattern(USB, text.lower())
    if text.startswith(_PREFIXES):
        return parse_pattern(text, "--serial-port")
    if any(each in text for each in "*?[") and not Path(text).exists():
        return PortPattern(PATH, text)
    return None


def _nothing_there(name: str) -> DeviceError:
    there = ", ".join(map(str, find_serial_ports())) or "none"
    return DeviceError(
        f"no serial port is {name}; this machine has {there}",
        fix="connect the board, or name another port with --serial-port",
    )


def _lasting(device: str) -> PortPattern:
    """What finds the board at `device` again when it is plugged in anew."""
    for port in find_serial_ports():
        if port.device == device and port.serial_number:
            return PortPattern(SERIAL, port.serial_number)
    return PortPattern(PATH, glob.escape(device))


def _board_port(text: str, search: Search) -> str:
    """The port of the board `IDENTITY`, or `IDENTITY@PATTERN`, among those that match.

    A chip with USB of its own has its MAC for a serial number, and the project's ledger may know
    the MAC. Else the board must say who it is, which it does when it starts.
    """
    identity, at, among = text.partition("@")
    pattern = (_pattern(among) or PortPattern(PATH, among)) if at else None
    if not identity or (at and not among):
        raise ConfigError(
            f"{_BOARD}={text}: names no board",
            fix=f"write {_BOARD}=IDENTITY, or {_BOARD}=IDENTITY@PATTERN to look at some ports only",
        )
    devices = present_ports([] if pattern is None else [pattern])
    if not devices:
        raise _nothing_there(f"{_BOARD}={text}")
    mac = _mac_of(identity, search.project_path)
    for port in find_serial_ports():
        if mac and port.device in devices and (port.serial_number or "").upper() == mac.upper():
            return port.device
    if search.reset and pattern is None and len(devices) > 1:
        raise ConfigError(
            f"{_BOARD}={text}: --reset would reset the boards at all {len(devices)} ports to find "
            "it, those that charge too",
            fix=f"write {_BOARD}={identity}@PATTERN to reset some ports only, or leave out --reset "
            "and reset the board itself",
        )
    return _listen(identity, devices, search)


def _mac_of(identity: str, project_path: Path | None) -> str | None:
    """The board that the project's ledger says has `identity`; None where there is none."""
    from evtool.cli.ledger_option import existing_ledger
    from evtool.provision.ledger.unit_state import state

    try:
        project = open_project(project_path)
    except ConfigError:
        if project_path is not None:
            raise
        return None
    with existing_ledger(None, project) as ledger:
        unit = None if ledger is None else state(ledger, identity)
    return None if unit is None else unit.mac


def _listen(identity: str, devices: Sequence[str], search: Search) -> str:
    """Which of `devices` says `identity` at its start."""
    found = BoardSearch(identity)
    lines: list[SerialLine] = []
    waiter: PortWaiter[SerialLine] = PortWaiter()
    try:
        with waiter:
            for device in devices:
                try:
                    line = open_serial_line(device)
                except DeviceError as error:
                    search.say(f"not listened to: {error.message}")
                    continue
                lines.append(line)
                waiter.add(line)
                if search.reset:
                    line.reset()
            hint = "" if search.reset else "; reset it, or give --reset"
            search.say(f"waiting for {identity} to say that it starts{hint}")
            deadline = time.monotonic() + search.timeout_s
            while lines and time.monotonic() < deadline:
                for line in waiter.wait(_LOOK_S):
                    if _heard(found, line, waiter, lines):
                        return line.port
    finally:
        for line in lines:
            line.close()
    others = ", ".join(f"{port} is {name}" for port, name in sorted(found.heard.items()))
    raise DeviceError(
        f"no board said that it is {identity} within {search.timeout_s:g} s"
        + (f"; {others}" if others else ""),
        fix="reset it meanwhile, give --reset, or name its port",
    )


def _heard(
    found: BoardSearch, line: SerialLine, waiter: PortWaiter[SerialLine], lines: list[SerialLine]
) -> bool:
    """Whether the board is at `line`; a port that has gone is dropped."""
    try:
        return found.feed(line.port, line.read_waiting())
    except DeviceError:
        waiter.remove(line)
        lines.remove(line)
        line.close()
        return False
