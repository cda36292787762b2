# SPDX-License-Identifier: GPL-3.0-or-later
"""Records as CSV and JSON lines, the board's clock, and the file they are added to."""

from __future__ import annotations

import csv
import io
import json
import os
import threading
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.errors import ConfigError, EvtoolError
from evtool.link.table_file import TableFile
from evtool.monitor.device_clock import DeviceClock
from evtool.monitor.follow import Line, read_line
from evtool.monitor.record_files import COLUMNS, HEADER, MAX_NAMES, csv_writer, jsonl_writer
from evtool.protocol.console import FIELDS, Record, parse_line, render_record
from evtool.protocol.console_log import line_of_document

BMS = "[bms] v=72.00V i=30.00A switch=on mode=- soc=55.1% age=120ms raw=02 D0 01 2C 00 00 00 00"
BOOT = "[event] boot version=1 build=2 charge_point=CP-1 reset=power_on"


def stamp(line: Line) -> str:
    return f"T{line.at_ms}"


def rows(*texts: str, at_ms: int = 5) -> list[list[str]]:
    lines = [read_line(text, at_ms, port="P") for text in texts]
    return list(csv.reader(io.StringIO(HEADER + csv_writer(stamp).text(lines))))


def test_a_row_a_value_with_the_boards_own_decimals() -> None:
    header, *body = rows(BMS, "text", "[bms] broken")
    assert tuple(header) == COLUMNS
    assert body == [
        ["T5", "", "none", "P", name, value, unit]
        for name, value, unit in (
            ("bms.v", "72.00", "V"),
            ("bms.i", "30.00", "A"),
            ("bms.switch", "on", ""),
            ("bms.mode", "", ""),
            ("bms.soc", "55.1", "%"),
            ("bms.age", "120", "ms"),
            ("bms.raw", "02 D0 01 2C 00 00 00 00", ""),
        )
    ]


def test_events_are_rows_too() -> None:
    body = rows("[event] gate state=closed reason=fault")[1:]
    assert [row[4:] for row in body] == [
        ["event.gate.state", "closed", ""],
        ["event.gate.reason", "fault", ""],
    ]


def test_no_text_of_a_board_is_a_formula() -> None:
    (row,) = rows("[event] boot version==SUM(A1)")[1:]
    assert row[5] == "'=SUM(A1)"
    (row,) = rows("[terminal] v=-0.12V")[1:]
    assert row[5] == "-0.12"


@settings(deadline=None)
@given(st.sampled_from(sorted(set(FIELDS) - {"event"})), st.data())
def test_every_number_reads_back(name: str, data: st.DataObject) -> None:
    fields = {
        field: data.draw(st.integers(-(10**12), 10**12))
        for field, number in FIELDS[name].values()
        if number is not None
    }
    line = read_line(render_record(Record(name, fields)), 1)
    assert line.record is not None
    found = {row[4]: row[5] for row in csv.reader(io.StringIO(csv_writer(stamp).text([line])))}
    for key, (field, number) in FIELDS[name].items():
        if number is not None:
            value = Decimal(found[f"{name}.{key}"]).scaleb(number.power)
            assert value == line.record.fields[field]


@pytest.mark.parametrize("text", [BMS, BOOT, "[event] gate state=open", "[terminal] v=- i=1.00A"])
def test_json_lines_hold_the_boards_line(text: str) -> None:
    (document,) = map(json.loads, jsonl_writer(stamp).text([read_line(text, 7)]).splitlines())
    assert document["time"] == "T7"
    shown = line_of_document(document)
    assert shown is not None
    assert parse_line(shown) == parse_line(text)


def test_the_boards_time_is_told_carried_or_counted() -> None:
    clock = DeviceClock()
    assert clock.source == "none"
    clock.observe(read_line("rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)", 0), 1000)
    clock.observe(read_line(BOOT, 0), 1300)
    assert (clock.source, clock.at(1500)) == ("boot", 500)
    clock.observe(read_line("I (812) wifi: connected", 0), 2000)
    assert (clock.source, clock.at(2500)) == ("told", 1312)
    clock.observe(read_line("[  3000][I][main.cpp:12] loop(): hello", 0), 4000)
    assert clock.at(4001) == 3001
    clock.observe(read_line(BOOT, 0), 60_000)
    assert (clock.source, clock.at(60_100)) == ("boot", 100)


def test_ports_have_clocks_of_their_own() -> None:
    lines = [read_line("I (100) a: b", 1000, port="A"), read_line(BMS, 1100, port="B")]
    writer = jsonl_writer(stamp)
    assert json.loads(writer.text(lines))["device_ms"] is None
    assert json.loads(writer.text([read_line(BMS, 1100, port="A")]))["device_ms"] == 200


def test_a_header_stands_once_and_a_torn_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with TableFile(path, "a,b\n") as file:
        file.append("1,2\n3,")
    with TableFile(path, "a,b\n") as file:
        file.append("5,6\n")
    assert path.read_text() == "a,b\n1,2\n3,\n5,6\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_another_file_is_not_added_to(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("something else\n")
    with pytest.raises(ConfigError, match=r"x\.csv"):
        TableFile(path, "a,b\n")
    assert path.read_text() == "something else\n"
    with pytest.raises(EvtoolError, match="No such file"):
        TableFile(tmp_path / "away" / "x.csv", "a\n")


def test_several_writers_lose_and_mix_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"

    def write(name: str) -> None:
        with TableFile(path, "h\n") as file:
            for number in range(200):
                file.append(f"{name},{number}\n{name},{number}\n")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    header, *body = path.read_text().splitlines()
    assert header == "h"
    assert "h" not in body
    assert sorted(body) == sorted(f"{name},{n}" for name in "abc" for n in range(200) for _ in "xx")


def test_a_pipe_takes_lines_too(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with TableFile(path, "h\n") as file:  # opened for both directions: no reader is waited for
        file.append("1\n")
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        assert os.read(reader, 100) == b"h\n1\n"
        os.close(reader)


def test_a_board_that_invents_names_fills_no_file_with_them() -> None:
    told: list[str] = []
    writer = csv_writer(stamp, lambda: told.append("crowded"))
    lines = [read_line(f"[fan{number}] speed{number}=1", 5) for number in range(2 * MAX_NAMES)]
    names = {row[4] for row in csv.reader(io.StringIO(writer.text(lines)))}
    assert len(names) == MAX_NAMES
    assert told == ["crowded"]
    # what was there before goes on, and so do the board's own records
    rest = csv.reader(io.StringIO(writer.text([lines[0], lines[-1], read_line(BMS, 6)])))
    assert [row[4] for row in rest][:2] == ["fan0.speed0", "bms.v"]
    assert told == ["crowded"]
