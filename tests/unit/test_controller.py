# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lockstep lines cannot show: outputs that were not fetched, and urgency.

The rules themselves are tested on both controllers, in tests/parity.
"""

from __future__ import annotations

import pytest

from evtool.protocol.can_frame import CanFrame
from evtool.protocol.can_tables import ChargeRequest, ControlRequest, TelemetryReply
from evtool.reference_impl.controller import Controller
from evtool.reference_impl.controller_types import (
    BootInfo,
    BusState,
    Config,
    ConsoleText,
    OcppWord,
    Output,
    SendFrame,
)
from evtool.reference_impl.lockstep import Lockstep
from evtool.reference_impl.random_inputs import random_lines

SEEDS, ROUNDS = range(40, 44), 1500
PERMITTED = OcppWord(connected=True, transaction=True, permitted=True)


def energised() -> Controller:
    controller = Controller(Config(), BootInfo())
    controller.boot(0)
    controller.on_bus(0, BusState.RUNNING, 0)
    controller.on_frame(0, CanFrame(ChargeRequest.ID, bytes.fromhex("02d0012c00000000")), 0)
    controller.on_frame(0, CanFrame(TelemetryReply.ID, bytes.fromhex("0180000000000100")), 0)
    controller.on_ocpp(PERMITTED, 0)
    assert controller.snapshot(0).energised
    return controller


def commands(outputs: list[Output]) -> list[SendFrame]:
    return [
        output
        for output in outputs
        if isinstance(output, SendFrame) and output.frame.can_id == ControlRequest.ID
    ]


@pytest.mark.parametrize("ticks", [0, 1, 10, 50, 250])
def test_off_overtakes_outputs_that_were_not_fetched(ticks: int) -> None:
    controller = energised()
    for tick in range(1, ticks + 1):
        controller.tick(tick * 10)
    controller.on_ocpp(OcppWord(connected=True), ticks * 10)
    outputs = controller.drain()
    first = outputs[0]
    assert isinstance(first, SendFrame)
    assert first.urgent
    assert first in commands(outputs)
    switches = [command for command in commands(outputs) if command.frame.data[1] == 0x32]
    assert all(command.frame.data[3] == 1 for command in switches)
    assert any(isinstance(output, ConsoleText) for output in outputs)


def test_only_off_is_urgent() -> None:
    controller = energised()
    controller.drain()
    for now_ms in range(20, 2000, 20):
        controller.on_ocpp(PERMITTED, now_ms)
    assert not any(command.urgent for command in commands(controller.drain()))
    controller.on_ocpp(OcppWord(connected=True), 2000)
    for now_ms in range(2020, 4000, 20):
        controller.tick(now_ms)
    for command in commands(controller.drain()):
        assert command.urgent == (command.frame.data[1] == 0x32)


def test_inputs_before_the_start_are_ignored() -> None:
    controller = Controller(Config(), BootInfo())
    controller.on_bus(0, BusState.RUNNING, 0)
    controller.on_ocpp(PERMITTED, 0)
    controller.on_key(ord("5"), 0)
    controller.on_frame(0, CanFrame(ChargeRequest.ID, bytes.fromhex("02d0012c00000000")), 0)
    controller.tick(1000)
    assert controller.drain() == []
    assert not controller.snapshot(1000).plugged


def test_a_second_start_changes_nothing() -> None:
    controller = energised()
    controller.drain()
    controller.boot(10)
    assert controller.drain() == []
    assert controller.snapshot(10).energised


@pytest.mark.parametrize("seed", SEEDS)
def test_a_report_is_a_tick_that_may_store(seed: int) -> None:
    """Whatever comes before and after: nothing but the stored register differs."""
    reporting, ticking = Lockstep(), Lockstep()
    reports = 0
    for line in random_lines(seed, ROUNDS):
        stamp, _, command = line.partition(" ")
        reports += command.startswith("report ")
        tick = f"{stamp} tick" if command.startswith("report ") else line
        answers = [_without_stores(each) for each in (reporting.answer(line), ticking.answer(tick))]
        assert answers[0] == answers[1], line
    assert reports > 10


def _without_stores(answer: list[str]) -> list[str]:
    return [
        " ".join(word for word in line.split(" ") if not word.startswith("stored_mwh="))
        for line in answer
        if not line.startswith("store ")
    ]
