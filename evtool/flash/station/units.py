# SPDX-License-Identifier: GPL-3.0-or-later
"""Each unit once, at whatever port it is, in a run and the runs that take it up again."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from evtool.flash.station.verdict import AlreadyDone


class Units:
    """Who is being worked on and who is done; any number of threads may ask.

    Args:
        done: MACs of units that an earlier run has finished.
    """

    def __init__(self, done: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._places = dict.fromkeys(done, "an earlier run")

    def claim(self, mac: str, port: str) -> None:
        """Take the unit for `port`; a second time at the same port is a retry.

        Raises:
            AlreadyDone: naming where.
        """
        with self._lock:
            place = self._places.setdefault(mac, port) if mac else port
        if place != port:
            raise AlreadyDone(f"{mac} is done already: {place}", fix="take another board")

    def release(self, mac: str, port: str) -> None:
        """It did not succeed: the unit may come again, at any port."""
        with self._lock:
            if self._places.get(mac) == port:
                del self._places[mac]

    def finish(self, mac: str, port: str) -> None:
        """It is done, and stays so when another board comes to the same port."""
        with self._lock:
            if mac:
                self._places[mac] = f"at {port}, before"
