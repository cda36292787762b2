# SPDX-License-Identifier: GPL-3.0-or-later
"""Each unit once, at whatever port it is, in a run and the runs that take it up again."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from evtool.errors import WrongBoard
from evtool.flash.station.verdict import AlreadyDone


class Units:
    """Who is being worked on and who is done; any number of threads may ask.

    Args:
        done: MACs of units that an earlier run has finished.
    """

    def __init__(self, done: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._working: dict[str, str] = {}
        self._done = dict.fromkeys(done, "an earlier run")

    def claim(self, mac: str, port: str) -> None:
        """Take the unit for `port`; a second time at the same port is a retry.

        Raises:
            AlreadyDone: naming where.
            WrongBoard: a board with this MAC is being worked on elsewhere. Which of the two it
                would be is not known, so that nobody may take this one for done.
        """
        with self._lock:
            done = self._done.get(mac)
            place = self._working.setdefault(mac, port) if mac and done is None else port
        if done is not None:
            raise AlreadyDone(f"{mac} is done already: {done}", fix="take another board")
        if place != port:
            raise WrongBoard(
                f"{place} has a board with the same MAC {mac}",
                fix="one board at two ports: name one of them; two boards: one is a counterfeit, "
                "or has been given a MAC of its own",
            )

    def release(self, mac: str, port: str) -> None:
        """It did not succeed: the unit may come again, at any port."""
        with self._lock:
            if self._working.get(mac) == port:
                del self._working[mac]

    def finish(self, mac: str, port: str) -> None:
        """It is done, and stays so when another board comes to the same port."""
        with self._lock:
            if mac:
                self._working.pop(mac, None)
                self._done[mac] = f"at {port}, before"
