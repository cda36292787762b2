# SPDX-License-Identifier: GPL-3.0-or-later
"""A charge point that says one thing wrongly on the wire fails the scenario of that thing.

The texts are altered between the charge point and the judge; the charge point is the reference.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from evtool.reference_impl.charge_point.mode import STRICT
from evtool.reference_impl.ocpp_lockstep import FIRMWARE, OcppLockstep
from evtool.verify import ocpp_library_dir
from evtool.verify.ocpp.run import run_ocpp
from evtool.verify.ocpp.unit import ReferenceDevice, ReferenceUnit, Unit
from evtool.verify.report import as_document, explanation, headline
from evtool.verify.scenario import Scenario, load_scenario
from evtool.verify.verdict import Verdict

REFERENCE = ReferenceDevice(FIRMWARE)
Alter = Callable[[list[Any]], list[Any] | None]


class AlteredUnit:
    """A charge point whose messages are altered; None swallows one, and answers it."""

    def __init__(self, alter: Alter) -> None:
        self._unit = ReferenceUnit(OcppLockstep(FIRMWARE, nonce=1))
        self._alter = alter
        self._answers: list[str] = []

    def give(self, lines: Sequence[str]) -> list[str]:
        stamp = lines[0].partition(" ")[0]
        answers, self._answers = self._answers, []
        told = []
        for line in self._unit.give([*(f"{stamp} ws recv {each}" for each in answers), *lines]):
            altered = self._altered(line)
            if altered is not None:
                told.append(altered)
        return told

    def close(self) -> None:
        self._unit.close()

    def _altered(self, line: str) -> str | None:
        if not line.startswith("ws send "):
            return line
        message = json.loads(line.removeprefix("ws send "))
        altered = self._alter(message)
        if altered is None:
            self._answers.append(json.dumps([3, message[1], {}]))
            return None
        return "ws send " + json.dumps(altered)


class AlteredDevice:
    """Makes one."""

    name = "altered"

    def __init__(self, alter: Alter) -> None:
        self._alter = alter

    @contextmanager
    def fresh(self) -> Iterator[Unit]:
        yield AlteredUnit(self._alter)


def scenario(name: str) -> Scenario:
    return replace(load_scenario(ocpp_library_dir() / f"{name}.toml"), tick_ms=100)


def test_a_script_expects_what_the_firmware_does_also_beside_the_strict_mode() -> None:
    verdict = run_ocpp(scenario("availability"), ReferenceDevice(STRICT), REFERENCE)
    assert verdict.passed, explanation(verdict)
    assert verdict.wire is not None
    assert verdict.wire.explained, "the strict mode takes no card out of service"


def judged(name: str, alter: Alter) -> Verdict:
    return run_ocpp(scenario(name), REFERENCE, AlteredDevice(alter))


def in_call(action: str, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Alter:
    """Alter the payload of one action's calls; None swallows them."""

    def alter(message: list[Any]) -> list[Any] | None:
        if message[0] != 2 or message[2] != action:
            return message
        payload = change(dict(message[3]))
        return None if payload is None else [*message[:3], payload]

    return alter


def in_answers(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Alter:
    def alter(message: list[Any]) -> list[Any]:
        return [*message[:2], change(message[2])] if message[0] == 3 else message

    return alter


def without_finishing(payload: dict[str, Any]) -> dict[str, Any] | None:
    return None if payload["status"] == "Finishing" else payload


def with_other_unit(payload: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(payload).replace('"unit": "V"', '"unit": "kV"')
    found: dict[str, Any] = json.loads(text)
    return found


def without_id_tag(payload: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if key != "idTag"}


CHANGES: list[tuple[str, Alter, str]] = [
    (
        "vehicle_unplugged",
        in_call("StopTransaction", lambda p: p | {"reason": "Other"}),
        "StopTransaction reason",
    ),
    ("plug_first", in_call("StatusNotification", without_finishing), "Finishing"),
    (
        "plug_first",
        in_call("StopTransaction", lambda p: p | {"meterStop": p["meterStop"] + 1}),
        "meterStop",
    ),
    (
        "plug_first",
        in_call("StartTransaction", lambda p: p | {"meterStart": p["meterStart"] + 1}),
        "meterStart",
    ),
    ("plug_first", in_call("StopTransaction", without_id_tag), "StopTransaction idTag"),
    (
        "plug_first",
        in_call("Authorize", lambda p: {"idTag": p["idTag"].lower()}),
        "Authorize",
    ),
    (
        "plug_first",
        in_call("StatusNotification", lambda p: p | {"timestamp": "2024-05-01T12:00:00Z"}),
        "timestamp",
    ),
    ("offline_transaction", in_call("MeterValues", with_other_unit), "unit"),
    ("offline_transaction", in_call("MeterValues", lambda _: None), "MeterValues"),
    (
        "remote_start_and_stop",
        in_answers(lambda p: {"status": "Accepted"} if p == {"status": "Rejected"} else p),
        "answers",
    ),
    (
        "heartbeat",
        in_call("Heartbeat", lambda _: None),
        "Heartbeat",
    ),
]


@pytest.mark.parametrize(("name", "alter", "what"), CHANGES)
def test_each_change_fails_its_scenario(name: str, alter: Alter, what: str) -> None:
    verdict = judged(name, alter)
    assert verdict.wrong
    assert verdict.wire is not None
    assert any(what in str(each) for each in verdict.wire.unexplained), verdict.wire.unexplained
    assert name in headline(verdict)
    assert "reference" in explanation(verdict)
    assert "|" in explanation(verdict), "both sequences side by side"


def test_what_is_not_altered_agrees() -> None:
    verdict = judged("plug_first", lambda message: message)
    assert verdict.passed
    assert as_document(verdict)["wire"] == {"unexplained": [], "explained": []}


def test_a_message_that_is_late_is_seen() -> None:
    held: list[list[Any]] = []

    class Late(AlteredUnit):
        def give(self, lines: Sequence[str]) -> list[str]:
            now_ms = int(lines[0][1:].partition(" ")[0])
            told = super().give(lines)
            if held and now_ms >= 20_000:
                told.append("ws send " + json.dumps(held.pop()))
            return told

        def _altered(self, line: str) -> str | None:
            if '"Authorize"' in line:
                held.append(json.loads(line.removeprefix("ws send ")))
                return "console held"
            return line

    class LateDevice(AlteredDevice):
        @contextmanager
        def fresh(self) -> Iterator[Unit]:
            yield Late(lambda message: message)

    verdict = run_ocpp(scenario("plug_first"), REFERENCE, LateDevice(lambda message: message))
    assert verdict.wire is not None
    assert any(each.field == "sent" for each in verdict.wire.unexplained)
