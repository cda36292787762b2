# SPDX-License-Identifier: GPL-3.0-or-later
"""python-can's interfaces: what one of them says of a frame that another does not."""

from __future__ import annotations

from collections import deque

import can
import pytest

from evtool.link import can_bus
from evtool.link.can_bus import open_can_bus
from evtool.protocol.can_frame import CanFrame


class Queue:
    """An interface that has these messages."""

    def __init__(self, *messages: can.Message) -> None:
        self._messages = deque(messages)

    def recv(self, _timeout_s: float) -> can.Message | None:
        return self._messages.popleft() if self._messages else None


@pytest.mark.parametrize(("interface", "heard"), [("gs_usb", [2]), ("socketcan", [1, 2])])
def test_a_frame_that_gs_usb_gives_back_is_not_heard(
    interface: str, heard: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On socketcan the same mark is on what other programs of this computer send."""
    queue = Queue(can.Message(arbitration_id=1, is_rx=False), can.Message(arbitration_id=2))
    monkeypatch.setattr(can_bus, "_open_python_can", lambda *_: queue)
    bus = open_can_bus(interface, "can0")
    found: list[CanFrame] = []
    while (frame := bus.receive(0)) is not None:
        found.append(frame)
    assert [each.can_id for each in found] == heard
