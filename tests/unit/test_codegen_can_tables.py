# SPDX-License-Identifier: GPL-3.0-or-later
"""The rendered CAN tables: golden files, freshness of our own, names that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from evtool.codegen.can_tables import render_cpp, render_python
from evtool.errors import ConfigError
from evtool.protocol import can_tables
from evtool.protocol.can_database import load_can_database, parse_can_database
from evtool.resources import can_database, firmware_dir

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "codegen"
SMALL = (GOLDEN / "small.dbc").read_text()


def test_golden_cpp() -> None:
    messages = parse_can_database(SMALL, "small.dbc", required={})
    assert render_cpp(messages) == (GOLDEN / "can_tables.hpp.golden").read_text()


def test_golden_python() -> None:
    messages = parse_can_database(SMALL, "small.dbc", required={})
    text = render_python(messages)
    assert text == (GOLDEN / "can_tables.py.golden").read_text()
    names: dict[str, object] = {"__name__": "small_tables"}
    exec(compile(text, "can_tables.py", "exec"), names)  # noqa: S102  (our own output)
    assert names["RECEIVED_IDS"] == (0x123, 0x0CF004FE)


def test_our_own_tables_are_fresh() -> None:
    messages = load_can_database(can_database())
    cpp = firmware_dir() / "lib" / "evcore" / "include" / "evcore" / "can_tables.hpp"
    assert cpp.read_text() == render_cpp(messages)
    assert Path(can_tables.__file__).read_text() == render_python(messages)


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ('"Off!"', '"default"', r"value 'default' of drive_state\.Mode cannot be a name"),
        ('"Off!"', '"lambda"', r"value 'lambda' of drive_state\.Mode cannot be a name"),
        ('"Off!"', '"15 off"', r"value '15 off' of drive_state\.Mode cannot be a name"),
        ('"Off!"', '"?!"', r"value '\?!' of drive_state\.Mode cannot be a name"),
        ('"Off!"', '"TORQUE-control"', r"torque_control stands for two"),
        ("SG_ torque", "SG_ length", r"a signal of drive_state cannot be named length"),
        ("SG_ torque", "SG_ mode", r"signal names of drive_state: Mode|Mode stands for two"),
        ("SG_ torque", "SG_ _torque", r"a signal of drive_state cannot be named _torque"),
        ("drive_state", "signal", r"a message cannot be named signal"),
        ("drive_state", "none", r"a message cannot be named none"),
        ("drive_state", "mode", r"a signal of mode cannot be named Mode"),
        ("drive_state", "short__order", r"ShortOrder stands for two"),
        ("Mode", "signal", r"a signal of drive_state cannot be named signal"),
    ],
)
def test_names_that_cannot_be_names(old: str, new: str, rule: str) -> None:
    text = SMALL.replace(old, new)
    with pytest.raises(ConfigError, match=rule):
        render_cpp(parse_can_database(text, "small.dbc", required={}))
