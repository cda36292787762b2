# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports that `evtool flash` works at: named, matching, or those that appear."""

from __future__ import annotations

import glob
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evtool.errors import DeviceError
from evtool.flash.station.ports import PATH, PortPattern, matching
from evtool.link.serial_line import SerialPort, check_url, find_serial_ports, is_url

if TYPE_CHECKING:
    from evtool.flash.station.ports import Port


def named_ports(names: Sequence[str], patterns: Sequence[PortPattern]) -> list[str]:
    """The ports that are named, then those that match; each device once.

    Raises:
        ConfigError: a URL of a kind that pyserial does not know.
        DeviceError: none matches.
    """
    for name in names:
        if is_url(name):
            check_url(name)
    found = present_ports(patterns) if patterns else []
    ports = unique([*names, *found])
    if not ports:
        there = ", ".join(map(str, find_serial_ports())) or "none"
        raise DeviceError(
            f"no serial port matches; this machine has {there}",
            fix="connect the boards, or use another --match",
        )
    return ports


def present_ports(patterns: Sequence[PortPattern]) -> list[str]:
    """The ports that are there now and match; without a pattern, all that are USB."""
    ports: list[Port] = list(find_serial_ports())
    if not patterns:
        return sorted(port.device for port in ports if port.vendor_id is not None)
    # What no driver lists (pseudo-terminals, links of udev) is found by its path.
    for pattern in patterns:
        if pattern.kind == PATH:
            ports += [
                SerialPort(path, "", None, None, None)
                for path in glob.glob(pattern.pattern)  # noqa: PTH207 - absolute patterns too
                if _is_device(path)
            ]
    return unique(matching(ports, patterns))


def _is_device(path: str) -> bool:
    """Whether a terminal may be behind it: a pattern means no log or folder beside the ports."""
    try:
        return stat.S_ISCHR(Path(path).stat().st_mode)
    except OSError:  # a link that leads nowhere, or where nobody may look
        return False


def unique(ports: Iterable[str]) -> list[str]:
    """Each device once, by the name that came first: a link and its target are one."""
    kept: dict[str, str] = {}
    for port in ports:
        kept.setdefault(port if is_url(port) else str(Path(port).resolve()), port)
    return list(kept.values())
