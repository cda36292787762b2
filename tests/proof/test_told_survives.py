# SPDX-License-Identifier: GPL-3.0-or-later
"""What the CSMS was told of the register, through a power cut at every write of a whole story.

Vehicle, power module, controller, NVS on NOR flash, the reference charge point and its file, on
one clock. The story: a transaction with a MeterValues every second, its end, the next one. It is
told again and again; each time the power fails at another write, before or in the middle of it,
until a story has no write left to fail at. After each cut the unit starts from what it kept, and
the CSMS must never hear a register below one that it has heard.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from proof.power_cuts import FailingChip, PowerCut, flash_after, store_register, stored_register

from evtool.protocol.can_frame import CanFrame
from evtool.reference_impl.charge_point import (
    AskRegister,
    ChargePoint,
    Inputs,
    Persist,
    Send,
    Settings,
)
from evtool.reference_impl.charge_point.transactions import MESSAGE_KEY, TRANSACTION_KEY
from evtool.reference_impl.controller import Controller
from evtool.reference_impl.controller_types import (
    BootInfo,
    BusState,
    Config,
    SendFrame,
    Snapshot,
    Store,
)
from evtool.virtual.bench import Bench
from evtool.virtual.power_module import PowerModule
from evtool.virtual.vehicle import Vehicle

STEP_MS = 100
LIFE_MS, AFTERLIFE_MS = 15_000, 4_000
STOP_MS, AGAIN_MS = 12_000, 13_000
TRANSACTION = ("StartTransaction", "StopTransaction")
NOON = "2024-05-01T12:00:00Z"
# A page holds 126 entries: the second one is full soon, and pages are collected in the story.
NEARLY_FULL = 241


class Csms:
    """Accepts everything; keeps every register that it hears, in Wh, in order."""

    def __init__(self) -> None:
        self.told_wh: list[int] = []
        self.actions: list[str] = []
        self._transactions = 0

    def answer(self, text: str) -> list[object] | None:
        kind, unique_id, action, payload = json.loads(text)[:4]
        if kind != 2:
            return None
        self.actions.append(action)
        for name in ("meterStart", "meterStop"):
            if name in payload:
                self.told_wh.append(payload[name])
        for sample in payload.get("meterValue", []):
            self.told_wh += [int(v["value"]) for v in sample["sampledValue"] if v["unit"] == "Wh"]
        result: dict[str, object] = {"idTagInfo": {"status": "Accepted"}}
        if action == "BootNotification":
            result = {"currentTime": NOON, "interval": 300, "status": "Accepted"}
        elif action == "StartTransaction":
            self._transactions += 1
            result["transactionId"] = self._transactions
        elif action in ("StatusNotification", "MeterValues"):
            result = {}
        return [3, unique_id, result]


class Unit:
    """One life of the unit, from the moment that the power comes."""

    def __init__(
        self,
        chip: FailingChip,
        kept: dict[str, str],
        csms: Csms,
        inputs: Callable[[Snapshot], Inputs],
    ) -> None:
        self.chip = chip
        self.kept = kept
        self.csms = csms
        self._inputs = inputs
        self.bench = Bench(Vehicle(), PowerModule(), bms_bus=0, now_ms=0)
        self.bench.command("plug_in")
        self.controller = Controller(
            Config(id_tag="TAG"), BootInfo(energy_mwh=stored_register(chip))
        )
        self.charge_point = ChargePoint(Settings("Vendor", "Model", stored=dict(kept)))
        self.controller.boot(0)
        self.controller.on_bus(0, BusState.RUNNING, 0)
        self.charge_point.on_open(0)

    def live(self, for_ms: int = LIFE_MS) -> None:
        """The whole story, or its beginning."""
        for now_ms in range(STEP_MS, for_ms, STEP_MS):
            if now_ms in (1_000, AGAIN_MS):
                self.charge_point.on_start_request("TAG", now_ms)
            elif now_ms == STOP_MS:
                self.charge_point.on_stop_request("Local", now_ms)
            self._step(now_ms)

    def _step(self, now_ms: int) -> None:
        for bus, frame in self.bench.tick(now_ms):
            self._hear(bus, frame, now_ms)
        self.controller.tick(now_ms)
        self._carry_out(now_ms)
        self._give_inputs(now_ms)

    def _hear(self, bus: int, frame: CanFrame, now_ms: int) -> None:
        self.controller.on_frame(bus, frame, now_ms)
        self._carry_out(now_ms)

    def _carry_out(self, now_ms: int) -> None:
        for output in self.controller.drain():
            if isinstance(output, Store):
                store_register(self.chip, output.value)
            elif isinstance(output, SendFrame):
                for bus, answer in self.bench.on_frame(output.bus, output.frame, now_ms):
                    self._hear(bus, answer, now_ms)

    def _give_inputs(self, now_ms: int) -> None:
        self.charge_point.on_inputs(self._inputs(self.controller.snapshot(now_ms)), now_ms)
        while outputs := self.charge_point.drain():
            # As evtool's board does: kept in one write, before anything is told.
            kept = {each.key: each.value for each in outputs if isinstance(each, Persist)}
            if kept:
                if self.chip.count():
                    raise PowerCut
                self.kept |= {key: value for key, value in kept.items() if value is not None}
                for key in [key for key, value in kept.items() if value is None]:
                    self.kept.pop(key, None)
            for output in outputs:
                self._do(output, now_ms)
        self.controller.on_ocpp(self.charge_point.word(), now_ms)
        self._carry_out(now_ms)

    def _do(self, output: object, now_ms: int) -> None:
        match output:
            case Send(text):
                answer = self.csms.answer(text)
                if answer is not None:
                    self.charge_point.on_text(json.dumps(answer), now_ms)
            case AskRegister(report):
                self.controller.on_report(report, now_ms)
                self._carry_out(now_ms)
                inputs = self._inputs(self.controller.snapshot(now_ms))
                self.charge_point.on_inputs(inputs, now_ms)


def what_is_left(kept: dict[str, str]) -> str:
    """What the CSMS is still to hear of the transaction that the cut interrupted."""
    if not any(key.startswith(TRANSACTION_KEY) for key in kept):
        return ""
    messages = [text for key, text in kept.items() if key.startswith(MESSAGE_KEY)]
    begins = any(json.loads(text)["action"] == "StartTransaction" for text in messages)
    return ", one to start and stop" if begins else ", one to stop"


def told_through_a_cut(
    fails_at: int, half: bool, stores: int, inputs: Callable[[Snapshot], Inputs]
) -> tuple[bool, Csms, list[int]]:
    """A life that ends at a write, and the one after it.

    Returns:
        whether the power failed; the CSMS; the register stored before, and after the cut.
    """
    csms = Csms()
    kept = {"MeterValueSampleInterval": "1", "StopTxnSampledData": "Energy.Active.Import.Register"}
    chip = FailingChip(bytearray(flash_after(stores)), fails_at, half)
    before = stored_register(chip)
    unit = Unit(chip, kept, csms, inputs)
    try:
        unit.live()
    except PowerCut:
        pass
    else:
        return False, csms, [before, stored_register(chip)]
    chip = FailingChip(chip.storage)
    registers = [before, stored_register(chip)]
    csms.actions.append("power cut" + what_is_left(kept))
    Unit(chip, kept, csms, inputs).live(AFTERLIFE_MS)
    return True, csms, registers


@pytest.mark.parametrize("half", [False, True], ids=["before", "within"])
@pytest.mark.parametrize("stores", [0, NEARLY_FULL], ids=["new", "nearly full"])
def test_the_csms_never_hears_less_than_it_heard(stores: int, half: bool) -> None:
    fails_at, cut, seen, left = 0, True, set(), set()
    while cut:
        cut, csms, registers = told_through_a_cut(fails_at, half, stores, Inputs.of)
        assert registers == sorted(registers)
        assert csms.told_wh == sorted(csms.told_wh), (fails_at, csms.actions, csms.told_wh)
        assert cut or max(csms.told_wh) > registers[0] // 1000 + 5, "energy was told"
        for number, action in enumerate(csms.actions):
            if action.startswith("power cut"):
                seen.add(csms.actions[number - 1])
                left.add(action)
                later = [each for each in csms.actions[number:] if each in TRANSACTION]
                expected = {"power cut, one to stop": ["StopTransaction"]}
                expected["power cut, one to start and stop"] = list(TRANSACTION)
                first = expected.get(action, ["StartTransaction"])
                assert later[: len(first)] == first
        fails_at += 1
    assert fails_at > (20 if stores else 10)
    assert {"MeterValues", "StopTransaction"} <= seen, "after which message the power failed"
    assert len(left) == 3, "what was left to tell"


def test_a_register_told_before_it_is_stored_is_noticed() -> None:
    """The proof can fail: told as it is measured, the register falls."""

    def as_measured(snapshot: Snapshot) -> Inputs:
        return replace(Inputs.of(snapshot), energy_mwh=snapshot.energy_mwh, unstored=False)

    fell = 0
    for fails_at in range(20):
        _, csms, _ = told_through_a_cut(fails_at, False, 0, as_measured)
        fell += csms.told_wh != sorted(csms.told_wh)
    assert fell > 0
