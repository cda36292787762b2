# SPDX-License-Identifier: GPL-3.0-or-later
"""A unit's whole life in the fleet on each chip: given, renewed, taken back, and out again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from board_rack import FLASH_SIZE, BoardRack, RackBoard
from flash_project import make_build
from fleet_project import make_fleet, rows_of

from evtool.cli import group
from evtool.link import esptool_packets
from evtool.protocol.nvs import parse_image
from evtool.virtual.chips import CHIPS

EVCFG = slice(0x390000, 0x396000)


@pytest.fixture
def rack() -> Iterator[BoardRack]:
    with BoardRack() as boards:
        yield boards


class Here:
    """Commands in a project whose build is for one chip."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *arguments: str) -> tuple[int, dict[str, Any], str]:
        code = group._run(["provision", *arguments, "--json"])
        said = self._capture.readouterr()
        return code, json.loads(said.out.splitlines()[-1]), said.err


@pytest.fixture
def here(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Here:
    make_fleet(tmp_path / "project", 3)
    monkeypatch.chdir(tmp_path / "project")
    return Here(capfd)


def flashed_board(rack: BoardRack, chip: str) -> RackBoard:
    """A board that has its firmware: no command names a build that says which chip it must be."""
    make_build(Path("build", chip), chip)
    flash = bytearray(b"\xff" * FLASH_SIZE)
    places = (CHIPS[chip].bootloader_offset, 0x8000, 0x10000)
    for name, place in zip(("bootloader", "partition-table", "firmware"), places, strict=True):
        data = Path("build", chip, f"{name}.bin").read_bytes()
        flash[place : place + len(data)] = data
    return rack.add(flash=flash, chip=CHIPS[chip])


@pytest.mark.parametrize("chip", CHIPS)
def test_a_unit_is_given_renewed_taken_back_and_out_on_every_chip(
    here: Here, rack: BoardRack, chip: str
) -> None:
    board = flashed_board(rack, chip)
    at_board = ("--serial-port", board.port)

    def key() -> object:
        return parse_image(bytes(board.flash[EVCFG])).get("evcfg", "auth_key")

    code, told, errors = here("fleet", "run", *rows_of(board.port))
    assert code == 0, errors
    assert told["boards"][0]["chip"] == chip
    first = key()
    code, told, errors = here("fleet", "rotate", *rows_of(board.port))
    assert (code, told["boards"][0]["verdict"]) == (0, "rotated"), errors
    assert key() != first
    code, told, errors = here("fleet", "rollback", "CP-1", *at_board)
    assert (code, told["boards"][0]["verdict"]) == (0, "rolled_back"), errors
    assert key() == first
    code, told, errors = here("fleet", "decommission", "CP-1", *at_board)
    assert (code, told["erased"]) == (0, True), errors
    assert set(board.flash[EVCFG]) == {0xFF}
    code, told, errors = here(*at_board, "--identity", "CP-9")
    assert code == 0, errors
    assert parse_image(bytes(board.flash[EVCFG])).get("evcfg", "cp_id") == "CP-9"


@pytest.mark.parametrize("chip", ["esp32s3"])
def test_the_same_with_esptool_as_a_program(
    here: Here, rack: BoardRack, chip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = flashed_board(rack, chip)
    assert here("fleet", "run", *rows_of(board.port))[0] == 0
    monkeypatch.setattr(esptool_packets, "_verdict", False)
    code, _, errors = here("fleet", "decommission", "CP-1", "--serial-port", board.port)
    assert code == 0, errors
    assert set(board.flash[EVCFG]) == {0xFF}


def test_a_build_for_another_chip_is_still_refused(here: Here, rack: BoardRack) -> None:
    board = rack.add(chip=CHIPS["esp32c3"])
    before = bytes(board.flash)
    code, told, _ = here("fleet", "run", *rows_of(board.port), "--with-firmware")
    assert code == 3
    assert told["boards"][0]["verdict"] in ("refused", "failed")
    assert bytes(board.flash) == before
