# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP port of the loopback at which nobody is, and that nobody else is given meanwhile."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


class HeldPort:
    """Held by a socket that is bound and does not listen: who connects is refused.

    A server that allows its address to be used again, as most do, may listen there. A port that
    was merely free a moment ago is another test's server the next one.

    Attributes:
        number: the port.
    """

    def __init__(self) -> None:
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind(("127.0.0.1", 0))
        self.number: int = self._holder.getsockname()[1]

    def close(self) -> None:
        """Let it go."""
        self._holder.close()


@contextmanager
def held_port() -> Iterator[int]:
    """The number of one that is held for the length of a `with` block."""
    held = HeldPort()
    try:
        yield held.number
    finally:
        held.close()
