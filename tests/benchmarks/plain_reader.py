# SPDX-License-Identifier: GPL-3.0-or-later
"""The least that a reader in Python can do: drain until nothing is left, write, rest 5 ms."""

from __future__ import annotations

import os
import select
import sys
import time
import tty


def main() -> None:
    """Copy a port to stdout."""
    port = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
    tty.setraw(port)
    os.set_blocking(port, False)
    poll = select.poll()
    poll.register(port, select.POLLIN)
    while True:
        poll.poll()
        parts = []
        try:
            while data := os.read(port, 65_536):
                parts.append(data)
        except BlockingIOError:
            pass
        if parts:
            os.write(1, b"".join(parts))
        time.sleep(0.005)


if __name__ == "__main__":
    main()
