# SPDX-License-Identifier: GPL-3.0-or-later
"""Every script with both sides of the wire, and some random lives, with the real library."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from microocpp.unit import program_or_skip

from evtool.link.line_program import LineProgram
from evtool.reference_impl.ocpp_lockstep import FIRMWARE
from evtool.verify import ocpp_library_dir
from evtool.verify.ocpp.fuzz import run_life
from evtool.verify.ocpp.run import run_ocpp
from evtool.verify.ocpp.unit import ProgramDevice, ReferenceDevice
from evtool.verify.report import explanation
from evtool.verify.scenario import load_scenario

REFERENCE = ReferenceDevice(FIRMWARE)


def device() -> ProgramDevice:
    return ProgramDevice("host", program_or_skip(), LineProgram, tempfile.TemporaryDirectory)


@pytest.mark.parametrize("path", sorted(ocpp_library_dir().glob("*.toml")), ids=lambda p: p.stem)
def test_the_firmware_is_the_reference_on_the_wire(path: Path) -> None:
    verdict = run_ocpp(load_scenario(path), REFERENCE, device())
    assert verdict.passed, explanation(verdict)


@pytest.mark.parametrize("seed", [5000, 5001, 8007, 8028])
def test_random_lives_hold_no_unexplained_difference(seed: int) -> None:
    verdict = run_life(seed, REFERENCE, device())
    assert verdict.passed, explanation(verdict)
