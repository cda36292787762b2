# SPDX-License-Identifier: GPL-3.0-or-later
"""Who drives the charge point in Python: in which order things are kept, and what is said."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from evtool.cli.board_ocpp import read_stored
from evtool.cli.charge_point_identity import Product, read_endpoint
from evtool.cli.charge_point_reference import ReferenceHost, ReferenceUnit
from evtool.cli.charge_point_serving import tell
from evtool.cli.connector_models import BenchModel, ConnectorModel, PlainModel
from evtool.cli.output import Output
from evtool.link.charge_point_storage import ChargePointStorage
from evtool.reference_impl.charge_point import Settings
from evtool.reference_impl.controller_types import OcppWord
from evtool.virtual.plain_connector import PlainConnector

URL = "ws://127.0.0.1:9"


def test_what_the_central_system_says_moves_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Output(False), "notice", {"what": "refused", "detail": "\x1b[2Jx\ny"})
    assert capsys.readouterr().err == "notice what=refused detail=?[2Jx?y\n"


def test_the_registers_are_kept_before_the_records(tmp_path: Path) -> None:
    kept: list[str] = []

    class Watched(ChargePointStorage):
        def store_connectors(self, connectors: dict[str, dict[str, int]]) -> None:
            kept.append("registers")
            super().store_connectors(connectors)

        def store_texts(self, texts: dict[str, str]) -> None:
            kept.append("records")
            super().store_texts(texts)

    async def run_it() -> None:
        storage = Watched(tmp_path / "s")
        plain = PlainConnector(plugged=True)
        unit = ReferenceUnit(
            read_endpoint(URL, "CP-1", None, None, None, Product()), Settings("v", "m")
        )
        host = ReferenceHost(unit, storage, lambda: {1: PlainModel(plain)}, lambda *_: None)
        host.step()
        kept.clear()
        plain.set_register_wh(7)
        host.charge_point.persist("message.1", "x")
        host.step()
        await host.close()
        storage.close()

    asyncio.run(run_it())
    assert kept[:2] == ["registers", "records"]


def test_a_changed_ping_interval_holds_at_once(tmp_path: Path) -> None:
    class Open:
        def __init__(self) -> None:
            self.intervals: list[float] = []

        def set_ping_interval(self, seconds: float) -> None:
            self.intervals.append(seconds)

    async def run_it() -> list[float]:
        storage = ChargePointStorage(tmp_path / "s")
        unit = ReferenceUnit(
            read_endpoint(URL, "CP-1", None, None, None, Product()), Settings("v", "m")
        )
        models: dict[int, ConnectorModel] = {1: PlainModel(PlainConnector())}
        host = ReferenceHost(unit, storage, lambda: models, lambda *_: None)
        socket = Open()
        host._socket = socket  # type: ignore[assignment]  # all that is asked of it
        host.step()
        socket.intervals.clear()
        for value in ("3", "3", "0"):
            host.charge_point.configuration.change("WebSocketPingInterval", value)
            host.step()
        await host.close()
        storage.close()
        return socket.intervals

    assert asyncio.run(run_it()) == [3, 0]


@pytest.mark.parametrize("cause", ["GroundFailure", "lock"])
def test_a_fault_that_only_ocpp_has_stops_the_power_too(tmp_path: Path, cause: str) -> None:
    storage = ChargePointStorage(tmp_path / "s")
    model = BenchModel(storage, "A", lambda _: None, lambda _: None, 0)
    word = OcppWord(connected=True, transaction=True, permitted=True)
    model.plug(is_in=True)
    moments = iter(range(0, 10_000_000, 50))

    def live(seconds: int) -> str:
        for _ in range(seconds * 20):
            model.step(next(moments), word)
        return str(model.status()["output"])

    assert live(30) == "on"
    if cause == "lock":
        model.fail_lock(unlocking=False)
    else:
        assert model.fail(cause) is None
    assert live(5) == "off"
    assert model.inputs(next(moments)).faulted
    model.clear()
    assert live(30) == "on"
    storage.close()


@pytest.mark.parametrize("text", ["[" * 100_000, "[1]", '{"a": 1}', "\0", ""])
def test_a_board_starts_on_a_file_that_is_not_its_own(tmp_path: Path, text: str) -> None:
    (tmp_path / "charge_point.json").write_text(text)
    assert read_stored(tmp_path / "charge_point.json") == {}
    assert read_stored(tmp_path / "none.json") == read_stored(None) == {}
