# SPDX-License-Identifier: GPL-3.0-or-later
"""The DBC file: every frame of docs/can-protocol.md, and what a broken one is told."""

from __future__ import annotations

from pathlib import Path

import cantools.database
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.errors import ConfigError
from evtool.protocol import can_tables
from evtool.protocol.can_database import load_can_database, parse_can_database
from evtool.protocol.can_signal import Signal
from evtool.resources import can_database

TEXT = can_database().read_text()
MESSAGES = {message.name: message for message in load_can_database(can_database())}

# name: identifier, whether we receive it, bytes that it must have, period in ms
CATALOGUE = {
    "charge_request": (0x1806E5F4, True, 6, 1000),
    "charge_feedback": (0x18FF50E5, False, 8, 100),
    "module_heartbeat": (0x18FF50E5, True, 8, 0),
    "capacity_query": (0x160B0180, False, 8, 2000),
    "capacity_reply": (0x160B8001, True, 4, 0),
    "discharge_query": (0x160D0180, False, 8, 2000),
    "discharge_reply": (0x160D8001, True, 4, 0),
    "control_request": (0x068181FE, False, 8, 100),
    "control_reply": (0x0681817E, True, 8, 0),
    "telemetry_request": (0x068182FE, False, 8, 100),
    "telemetry_reply": (0x0681827E, True, 8, 0),
    "terminal_power": (0x00433F01, True, 8, 0),
    "terminal_status": (0x00473F01, True, 8, 0),
}


def test_the_catalogue_of_frames() -> None:
    found = {m.name: (m.can_id, m.received, m.min_length, m.period_ms) for m in MESSAGES.values()}
    assert found == CATALOGUE
    assert all(m.extended and m.length == 8 for m in MESSAGES.values())


def test_cantools_loads_it_strictly_and_finds_every_signal_where_we_do() -> None:
    for message in cantools.database.load_string(TEXT, "dbc", strict=True).messages:  # type: ignore[union-attr]  # it is no diagnostics database
        ours = {signal.name: signal for signal in MESSAGES[message.name].signals}
        for signal in message.signals:
            assert ours[signal.name].signal.start_bit == signal.start
            assert ours[signal.name].signal.length == signal.length
            assert ours[signal.name].factor == signal.scale


@pytest.mark.parametrize(
    ("signal", "frame", "raw"),
    [
        (can_tables.ChargeRequest.VOLTAGE, "02D0012C00000000", 720),
        (can_tables.ChargeRequest.CURRENT, "02D0012C00000000", 300),
        (can_tables.ChargeRequest.CONTROL, "02D0012C55000000", 0x55),
        (can_tables.ChargeRequest.MODE, "02D0012C00010000", 1),
        (can_tables.ChargeFeedback.HARDWARE_FAILURE, "0000000001000000", 1),
        (can_tables.ChargeFeedback.OVER_TEMPERATURE, "0000000002000000", 1),
        (can_tables.ChargeFeedback.INPUT_VOLTAGE, "0000000004000000", 1),
        (can_tables.ChargeFeedback.BATTERY_NOT_CONNECTED, "0000000008000000", 1),
        (can_tables.ChargeFeedback.COMMUNICATION_TIMEOUT, "0000000010000000", 1),
        (can_tables.ModuleHeartbeat.ALIVE, "0000000008000000", 1),
        (can_tables.CapacityReply.REMAINING, "0001409C00000000", 16540),
        (can_tables.CapacityReply.CHARGED, "0001409C00000000", 82076),
        (can_tables.DischargeReply.DISCHARGED, "0001409C00000000", 82076),
        (can_tables.ControlRequest.HEADER, "0132000100000000", 1),
        (can_tables.ControlRequest.FUNCTION, "0132000100000000", 0x32),
        (can_tables.ControlRequest.OUTPUT, "0132000100000000", 1),
        (can_tables.ControlRequest.VOLTAGE_SETPOINT, "0100000000012000", 0x12000),
        (can_tables.ControlReply.CURRENT_SETPOINT, "0103000000000393", 915),
        (can_tables.TelemetryReply.OUTPUT_VOLTAGE, "0184000000012000", 0x12000),
        (can_tables.TelemetryReply.OUTPUT_CURRENT, "0182000012347800", 0x7800),
        (can_tables.TelemetryReply.TEMPERATURE, "018000000001A5B8", 0x1A5B8),
        (can_tables.TelemetryReply.TEMPERATURE_DECI, "018000000001019C", 412),
        (can_tables.TelemetryReply.METRIC_79, "017900000000000C", 12),
        (can_tables.TelemetryReply.METRIC_83, "018300003FC00000", 0x3FC00000),
        (can_tables.TerminalPower.VOLTAGE, "42900000C1F00000", 0x42900000),
        (can_tables.TerminalPower.CURRENT, "42900000C1F00000", 0xC1F00000),
        (can_tables.TerminalStatus.STATUS, "0000000000000302", 0x0302),
    ],
)
def test_frames_as_the_hardware_sends_them(signal: Signal, frame: str, raw: int) -> None:
    assert signal.extract(bytes.fromhex(frame)) == raw


def test_identifiers_that_are_received() -> None:
    received = sorted({can_id for can_id, is_received, *_ in CATALOGUE.values() if is_received})
    assert list(can_tables.RECEIVED_IDS) == received
    parts = (*can_tables.RECEIVED_FROM_BMS, *can_tables.RECEIVED_FROM_POWER_MODULE)
    assert sorted(parts) == received


BROKEN = {
    "a syntax error": (
        ("SG_ control : 39|8@0+", "SG_ control : 39|8@0"),
        r"my\.dbc:18: Invalid syntax",
    ),
    "a signal over another": (
        (
            'SG_ current : 23|16@0+ (0.1,0) [0|6553.5] "A" C',
            'SG_ current : 15|16@0+ (1,0) [0|0] "" C',
        ),
        r"my\.dbc:17: The signals current and voltage are overlapping in message charge_request",
    ),
    "a signal outside the message": (
        ("SG_ mode : 47|8", "SG_ mode : 63|16"),
        r"my\.dbc:19: The signal mode does not fit",
    ),
    "an unknown attribute": (
        ("VAL_ 2550588916 control", 'BA_ "Nope" BO_ 2550588916 3;\nVAL_ 2550588916 control'),
        r"my\.dbc:\d+: 'Nope' is used but not defined",
    ),
    "a missing message": (
        ("discharge_reply", "other_reply"),
        r"the controller needs what is not here: discharge_reply\n  fix: .*can-protocol",
    ),
    "a missing signal": (
        ("metric_83", "metric_84"),
        r"the controller needs what is not here: telemetry_reply\.metric_83",
    ),
    "a missing other reading": (
        ('remaining "charged 7|', 'remaining "charge 7|'),
        r"not here: capacity_reply\.charged",
    ),
    "two messages of one name": (
        ("BO_ 2517434752 discharge_query", "BO_ 2517434752 capacity_query"),
        r"my\.dbc:35: message capacity_query is already on line 30",
    ),
    "two messages of one identifier": (
        ("BO_ 2517434752 discharge_query", "BO_ 2517303680 discharge_query"),
        r"my\.dbc:35: message 2517303680 is already on line 30",
    ),
    "a reading that cannot be read": (
        ("charged 7|32@0+ (0.001,0) Ah", "charged 7:32"),
        r"my\.dbc:115: OtherReading of capacity_reply\.remaining: 'charged 7:32' is not",
    ),
    "a reading outside the frame": (
        ("charged 7|32", "charged 60|32"),
        r"OtherReading of capacity_reply\.remaining: 32 bits from bit 60 leave the 8 bytes",
    ),
    "a reading with two points in a number": (
        ('(0.001,0) Ah"', '(0.0.1,0) Ah"'),
        r"OtherReading of capacity_reply\.remaining: could not convert",
    ),
    "a CAN FD message": (
        ("charge_request: 8", "charge_request: 16"),
        "charge_request has 16 bytes; a classic CAN frame holds 8",
    ),
    "a float of 16 bits": (
        ("SG_ voltage : 7|32@0- (1", "SG_ voltage : 7|16@0- (1"),
        "terminal_power.voltage: a float has 32 or 64 bits, not 16",
    ),
    "a value that the signal cannot hold": (
        ('1 "heating"', '256 "heating"'),
        r"charge_request\.mode: value 256 is not in 0 to 255",
    ),
    "a start value that the signal cannot hold": (
        ("SG_ 2256634366 header 1;", "SG_ 2256634366 header 256;"),
        r"control_request\.header: value 256 is not in 0 to 255",
    ),
    "a minimum beyond the length": (
        ('"MinLength" BO_ 2550588916 6', '"MinLength" BO_ 2550588916 9'),
        "MinLength of charge_request must be 0 to 8",
    ),
    "a wrong sender": (
        ("charge_feedback: 8 CONTROLLER", "charge_feedback: 8 BMS"),
        "the sender of charge_feedback must be CONTROLLER",
    ),
    "a wrong sender of what we receive": (
        ("terminal_status: 8 POWER_MODULE", "terminal_status: 8 CONTROLLER"),
        "the sender of terminal_status must not be CONTROLLER",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_database_is_named_with_its_rule(case: str) -> None:
    (old, new), message = BROKEN[case]
    assert old in TEXT
    with pytest.raises(ConfigError) as caught:
        parse_can_database(TEXT.replace(old, new), "my.dbc")
    assert caught.value.exit_code == 2
    caught.match(message)


@pytest.mark.parametrize("text", ["", "hello\n", "<xml/>\nBO_ ", '{"BO_": 1}'])
def test_a_file_of_another_kind(text: str) -> None:
    with pytest.raises(ConfigError, match=r"no message \(BO_\) in this file; is it a DBC file"):
        parse_can_database(text, "my.dbc")


@given(
    st.integers(0, len(TEXT)), st.integers(0, 40), st.text(st.characters(codec="utf-8"), max_size=9)
)
def test_no_damage_gets_past_as_anything_but_a_config_error(
    at: int, removed: int, inserted: str
) -> None:
    text = TEXT[:at] + inserted + TEXT[at + removed :]
    try:
        names = {message.name for message in parse_can_database(text, "my.dbc")}
    except ConfigError as error:
        names = set(CATALOGUE) if "my.dbc" in str(error) else {"an error without a file"}
    assert set(CATALOGUE) <= names


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read CAN database .*no\.dbc: No such file"):
        load_can_database(tmp_path / "no.dbc")


def test_a_file_from_a_windows_editor(tmp_path: Path) -> None:
    path = tmp_path / "windows.dbc"
    path.write_bytes(TEXT.replace('"degC"', '"°C"').replace("\n", "\r\n").encode("cp1252"))
    telemetry = next(m for m in load_can_database(path) if m.name == "telemetry_reply")
    assert {s.unit for s in telemetry.signals if s.name == "temperature"} == {"°C"}


def test_the_document_lists_the_same_frames() -> None:
    document = Path(__file__).resolve().parents[2] / "docs" / "can-protocol.md"
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in document.read_text().splitlines()
        if line.startswith("| 0x") and len(line.split("|")) == 8
    ]
    documented = {row[1]: (int(row[0], 16), row[3] == "controller", row[5]) for row in rows}
    assert documented == {
        name: (can_id, received, str(least) if received else "")
        for name, (can_id, received, least, _) in CATALOGUE.items()
    }
