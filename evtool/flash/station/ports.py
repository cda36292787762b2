# SPDX-License-Identifier: GPL-3.0-or-later
"""Which serial ports are meant: by path, USB serial number, vendor and product, or hub position."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

from evtool.errors import ConfigError

PATH, SERIAL, USB, LOCATION = "path", "serial", "usb", "location"
_KINDS = (PATH, SERIAL, USB, LOCATION)
_USB = re.compile(r"[0-9a-f]{4}:(?:[0-9a-f]{4}|\*)\Z")


class Port(Protocol):
    """A serial port as `evtool.link.serial_line.SerialPort` describes it."""

    @property
    def device(self) -> str:
        """Its path."""

    @property
    def vendor_id(self) -> int | None:
        """Of the USB device behind it."""

    @property
    def product_id(self) -> int | None:
        """Of the USB device behind it."""

    @property
    def serial_number(self) -> str | None:
        """Of the USB device behind it."""

    @property
    def location(self) -> str | None:
        """Bus and hub ports, as `1-2.3`."""


@dataclass(frozen=True, slots=True)
class PortPattern:
    """One `--match`: what is looked at, and the shell pattern that it must match."""

    kind: str
    pattern: str

    def matches(self, port: Port) -> bool:
        """Whether `port` is meant."""
        vendor, product = port.vendor_id, port.product_id
        usb = "" if vendor is None or product is None else f"{vendor:04x}:{product:04x}"
        text = {
            PATH: port.device,
            SERIAL: port.serial_number or "",
            USB: usb,
            LOCATION: port.location or "",
        }[self.kind]
        return bool(text) and fnmatchcase(text, self.pattern)


def parse_pattern(text: str, option: str = "--match") -> PortPattern:
    """`usb=10c4:ea60`, `serial=A50*`, `location=1-2.*`, `path=/dev/ttyUSB*`, or a path alone.

    Args:
        option: the option that it was given to, for the error.

    Raises:
        ConfigError: another word before `=`, or a pattern that can match nothing.
    """
    kind, equals, pattern = text.partition("=")
    if not equals or "/" in kind:
        kind, pattern = PATH, text
    if kind not in _KINDS or not pattern:
        raise ConfigError(
            f"{option} {text}: must be one of {', '.join(f'{each}=PATTERN' for each in _KINDS)}",
            fix=f"for example {option} usb=10c4:ea60, or {option} '/dev/ttyUSB*'",
        )
    if kind == USB:
        pattern = pattern.lower()
        if not _USB.match(pattern):
            raise ConfigError(
                f"{option} {text}: usb= takes VENDOR:PRODUCT, four hex digits each",
                fix="`evtool doctor` lists the ports of this machine with theirs",
            )
    return PortPattern(kind, pattern)


def matching(ports: Iterable[Port], patterns: Sequence[PortPattern]) -> list[str]:
    """The devices that any of the patterns means, sorted."""
    return sorted(
        {port.device for port in ports if any(pattern.matches(port) for pattern in patterns)}
    )


class Appearing:
    """Ports as they come and go: each one is new once for every time that it is plugged in.

    A chip with USB of its own takes its port away for a moment at every reset, which is no other
    board.
    """

    _GONE_LOOKS = 3

    def __init__(self) -> None:
        self._missed: dict[str, int] = {}

    def look(self, present: Iterable[str]) -> list[str]:
        """The ports that came since the last look, sorted; at the first, all that are there."""
        there = set(present)
        missed = {port: count + 1 for port, count in self._missed.items() if port not in there}
        kept = {port: count for port, count in missed.items() if count < self._GONE_LOOKS}
        new = sorted(there - self._missed.keys())
        self._missed = kept | dict.fromkeys(there, 0)
        return new
