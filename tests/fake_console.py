# SPDX-License-Identifier: GPL-3.0-or-later
"""A board's console on a pty: answers the keys as the firmware does, once a second or faster.

Run as a program, it prints its port and serves it until stdin ends: for looking at the
monitor by hand.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import threading
import tty

BOOT = "[event] boot version=0.1.0 build=1a2b3c4d charge_point=CP-0001 reset=power_on"
RECORDS = {
    "1": "[bms] v=72.00V i=30.00A switch=on mode=charging soc=55.1% age=120ms"
    " raw=02 D0 01 2C 00 00 00 00",
    "2": "[power_module] state=on set_v=72.00V set_i=30.00A heartbeat=alive age=90ms"
    " raw=01 32 00 00 00 00 00 00",
    "3": "[output] v=71.95V i=29.80A temp=41.2C m79=12 m83=1.500 age=200ms",
    "4": "[terminal] v=71.90V i=29.75A p=2139.0W status=charging energy=12.345kWh"
    " session=0.456kWh age=80ms",
}
ANSWERS = {
    "s": "[event] start state=requested",
    "t": "[event] stop state=requested reason=Local",
    "m": "keys: 1 bms 2 power_module 3 output 4 terminal 5 all 0 mute s start t stop m menu",
}


class FakeConsole:
    """Serves a pty from a thread.

    Args:
        period_s: how often the chosen view is printed.
        answers: whether keys are answered at all.
    """

    def __init__(self, period_s: float = 0.05, *, answers: bool = True) -> None:
        self.keys = ""
        self.answers = dict(ANSWERS) if answers else {}
        self._period_s = period_s
        self._answers = answers
        self._view = "0"
        self._master, slave = os.openpty()
        tty.setraw(slave, termios.TCSANOW)
        os.set_blocking(self._master, False)
        self._slave: int | None = slave  # kept open: a pty hangs up when nobody has it open
        self.port = os.ttyname(slave)
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._serve, name="fake console")

    def __enter__(self) -> FakeConsole:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.vanish()

    def say(self, text: str) -> None:
        """Print a line."""
        self.say_bytes(text.encode() + b"\r\n")

    def say_bytes(self, data: bytes) -> None:
        """Print just these bytes, as soon as there is room for them, until the port vanishes."""
        with contextlib.suppress(OSError):
            while data and not select.select([self._stop], [self._master], [])[0]:
                with contextlib.suppress(BlockingIOError):
                    data = data[os.write(self._master, data) :]

    def vanish(self) -> None:
        """Take the port away."""
        if self._slave is None:
            return
        os.write(self._stopped, b"x")
        self._thread.join()
        for descriptor in (self._slave, self._master, self._stop, self._stopped):
            os.close(descriptor)
        self._slave = None

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([self._master, self._stop], [], [], self._period_s)
            if self._stop in ready:
                return
            if self._master in ready:
                self._press(os.read(self._master, 100).decode("latin-1"))
                continue
            for key, record in RECORDS.items():
                # What nobody reads fills the port, and would be waited for for ever.
                if self._view in (key, "5") and select.select([], [self._master], [], 0)[1]:
                    self.say(record)

    def _press(self, keys: str) -> None:
        self.keys += keys
        if not self._answers:
            return
        for key in keys:
            if key in "012345":
                self._view = key
            elif key in self.answers:
                self.say(self.answers[key])


if __name__ == "__main__":
    with FakeConsole(period_s=1.0) as console:
        sys.stdout.write(console.port + "\n")
        sys.stdout.flush()
        for line in sys.stdin:
            console.say(line.rstrip("\n"))
