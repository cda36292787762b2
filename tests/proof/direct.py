# SPDX-License-Identifier: GPL-3.0-or-later
"""What a caller of the controller sees and lockstep lines do not say; the twin of direct.cpp."""

from __future__ import annotations

from collections.abc import Iterator

from evtool.protocol.can_frame import CanFrame
from evtool.protocol.can_tables import ChargeRequest, ControlRequest, TelemetryReply
from evtool.reference_impl.controller import Controller
from evtool.reference_impl.controller_types import (
    BootInfo,
    BusState,
    Config,
    ConsoleText,
    OcppWord,
    Report,
    SendFrame,
    View,
)

LATEST_MS = 2**62
REQUEST = CanFrame(ChargeRequest.ID, bytes.fromhex("02d0012c00000000"))
PERMITTED = OcppWord(True, True, True)


def direct_lines() -> Iterator[str]:
    """Every line that direct.cpp prints."""
    yield from _unstarted()
    for age_ms in (3000, 3001):
        yield " ".join(str(int(plugged)) for plugged in _odd_times(age_ms))
    yield _later_snapshot()
    yield from _long_frame()
    yield from _commands(fetched=True)
    yield from _commands(fetched=False)


def _unstarted() -> Iterator[str]:
    controller = Controller(Config(), BootInfo())
    controller.on_bus(0, BusState.RUNNING, 0)
    controller.on_frame(0, REQUEST, 0)
    controller.on_ocpp(PERMITTED, 0)
    controller.on_key(ord("5"), 0)
    controller.on_report(Report.TRANSACTION, 9000)
    controller.tick(9000)
    outputs, snapshot = controller.drain(), controller.snapshot(0)
    bits = [bool(outputs), snapshot.plugged, snapshot.transaction]
    bits += [snapshot.bus[0] is BusState.STOPPED, snapshot.view is View.MUTE]
    yield " ".join(str(int(bit)) for bit in bits)
    controller.boot(0)
    controller.drain()
    controller.boot(0)
    yield str(int(bool(controller.drain())))


def _odd_times(age_ms: int) -> Iterator[bool]:
    for start_ms, request_ms, end_ms in (
        (-5, -3, age_ms),
        (9000, 0, 9000 + age_ms),
        (0, LATEST_MS - age_ms, 2**63 - 1),
    ):
        controller = Controller(Config(), BootInfo())
        controller.boot(start_ms)
        controller.on_frame(0, REQUEST, request_ms)
        controller.tick(end_ms)
        yield controller.snapshot(0).plugged


def _later_snapshot() -> str:
    controller = Controller(Config(), BootInfo())
    controller.boot(0)
    controller.on_frame(0, REQUEST, 0)
    return " ".join(str(int(controller.snapshot(at_ms).plugged)) for at_ms in (3000, 3001))


def _long_frame() -> Iterator[str]:
    """Here a frame has its 8 bytes by its type; the core must cut a longer one."""
    controller = Controller(Config(), BootInfo())
    controller.boot(0)
    controller.on_frame(0, REQUEST, 0)
    controller.on_key(ord("1"), 0)
    for output in controller.drain():
        if isinstance(output, ConsoleText) and output.text.startswith("[bms]"):
            yield output.text


def _commands(*, fetched: bool) -> Iterator[str]:
    controller = Controller(Config(), BootInfo())
    controller.boot(0)
    controller.on_bus(0, BusState.RUNNING, 0)
    controller.on_frame(0, REQUEST, 0)
    controller.on_frame(0, CanFrame(TelemetryReply.ID, bytes.fromhex("0180000000000100")), 0)
    controller.on_ocpp(PERMITTED, 0)
    for now_ms in range(50, 1000, 50):
        controller.tick(now_ms)
        if fetched:
            yield from _drained(controller)
    controller.on_ocpp(OcppWord(True, False, False), 1000)
    yield from _drained(controller)
    for now_ms in range(1050, 2000, 50):
        controller.tick(now_ms)
        yield from _drained(controller)


def _drained(controller: Controller) -> Iterator[str]:
    for output in controller.drain():
        if not isinstance(output, SendFrame):
            continue
        frame, urgent = output.frame, int(output.urgent)
        if frame.can_id != ControlRequest.ID:
            yield f"bus={output.bus} id={frame.can_id:08x} urgent={urgent}"
        else:
            yield (
                f"bus={output.bus} function={frame.data[1]:02x} switch={frame.data[3]}"
                f" urgent={urgent}"
            )
