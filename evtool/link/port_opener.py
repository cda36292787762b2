# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens serial ports of every kind, and again when they return, without making others wait."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from evtool.link.network_port import NetworkPort, open_network_port
from evtool.link.serial_line import SerialLine, is_url, open_serial_line

OpenPort = SerialLine | NetworkPort


class PortOpener:
    """Opens ports by the names that a user gives. Close it, or use it in a `with`.

    Args:
        baudrate: of all of them.
        find: the device or URL that a name means now; raises DeviceError where it means none.
    """

    def __init__(self, baudrate: int, find: Callable[[str], str]) -> None:
        self._baudrate = baudrate
        self._find = find
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="connect")
        self._connecting: dict[str, Future[NetworkPort]] = {}
        self._devices: dict[str, str] = {}  # what a name meant when it was last opened

    def open(self, name: str) -> OpenPort | None:
        """Open the port `name`; None: not yet, ask again. A device is opened at once, while to
        connect may take a while.

        Raises:
            DeviceError: it is not there, in use, or not allowed.
            ConfigError: no such baudrate, or not a URL of a port.
        """
        device = self._devices[name] = self._find(name)
        if not is_url(device):
            return open_serial_line(device, self._baudrate)
        future = self._connecting.get(name)
        if future is None:
            future = self._threads.submit(open_network_port, device, self._baudrate)
            self._connecting[name] = future
        if not future.done():
            return None
        del self._connecting[name]
        return future.result()

    def can_return(self, name: str) -> bool:
        """Whether a port that is gone may be opened again by its name.

        A pseudo-terminal's number goes to whoever opens the next one, perhaps to somebody's
        screen: only a link to it can lead to the same board again.
        """
        device = os.path.abspath(self._devices.get(name, name))  # noqa: PTH100  follows no link
        return Path("/dev/pts") not in Path(device).parents

    def close(self) -> None:
        """Connect to nothing any more. Does not close what was opened."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for future in self._connecting.values():
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().close()

    def __enter__(self) -> PortOpener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
