# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits for serial ports and a keyboard at once, and lets bytes gather between two readings.

A port that is read at every byte costs a wake-up for each; one that is read a few milliseconds
after it had something costs one for all that came until then.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar


class HasDescriptor(Protocol):
    """Something to wait on."""

    def fileno(self) -> int:
        """Its file descriptor."""


P = TypeVar("P", bound=HasDescriptor)
"""The kind of the ports."""

_IN, _OUT = select.EPOLLIN, select.EPOLLOUT


class PortWaiter(Generic[P]):
    """Close it, or use it in a `with`.

    Args:
        alarms: descriptors that only wake up: of a keyboard, of signals.
    """

    def __init__(self, alarms: Sequence[int] = ()) -> None:
        self._ports = select.epoll()
        self._by_descriptor: dict[int, P] = {}
        self._resting = select.poll()
        self._alarmed = True
        for descriptor in alarms:
            self._ports.register(descriptor, _IN)
            self._resting.register(descriptor, select.POLLIN)

    def add(self, port: P) -> None:
        """Wait for `port`, too."""
        descriptor = port.fileno()
        self._by_descriptor[descriptor] = port
        self._ports.register(descriptor, _IN)

    def remove(self, port: P) -> None:
        """Wait for it no longer. Before it is closed: its descriptor may be another's then."""
        for descriptor, known in list(self._by_descriptor.items()):
            if known is port:
                del self._by_descriptor[descriptor]
                self._ports.unregister(descriptor)

    def want_room(self, port: P, *, wanted: bool) -> None:
        """Whether to wake up when `port` takes bytes."""
        if self._by_descriptor.get(port.fileno()) is port:
            self._ports.modify(port.fileno(), _IN | _OUT if wanted else _IN)

    def wait(self, seconds: float) -> Sequence[P]:
        """The ports that have something, or are gone, within that time; none at an alarm."""
        ports = []
        for descriptor, events in self._ports.poll(seconds):
            port = self._by_descriptor.get(descriptor)
            if port is None:
                self._alarmed = True
                if events & select.EPOLLHUP:  # a terminal that was closed: for ever, otherwise
                    self._ports.unregister(descriptor)
                    self._resting.unregister(descriptor)
            elif events != _OUT:
                ports.append(port)
        return ports

    def rest(self, seconds: float) -> None:
        """Wait that long, or until an alarm. An alarm is noticed where there is no time to rest,
        too: who reads a port that never pauses may not call `wait` at all."""
        if self._resting.poll(max(0.0, seconds) * 1000):
            self._alarmed = True

    @property
    def was_alarmed(self) -> bool:
        """Whether there was an alarm since this was last asked."""
        alarmed, self._alarmed = self._alarmed, False
        return alarmed

    def close(self) -> None:
        """Close no port; wait for none."""
        self._ports.close()

    def __enter__(self) -> PortWaiter[P]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
