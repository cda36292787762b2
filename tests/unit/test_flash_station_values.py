# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders, ports, MAC lists and reports: the station's values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from board_images import bootloader
from hypothesis import given
from hypothesis import strategies as st

from evtool.errors import ConfigError, DeviceError, LinkTimeout
from evtool.flash.station.attempts import ProofFailed
from evtool.flash.station.gates import (
    BoardRefused,
    Gates,
    check_board,
    parse_mac_list,
    parse_revision,
)
from evtool.flash.station.junit import render_junit
from evtool.flash.station.order import Order, is_merged, order_of_images
from evtool.flash.station.ports import Appearing, matching, parse_pattern
from evtool.flash.station.report import check_same_order, parse_report, run_document
from evtool.flash.station.table import render_table
from evtool.flash.station.verdict import AlreadyDone, BoardResult, FailedAttempt, Verdict
from evtool.link.serial_line import SerialPort
from evtool.protocol.app_image import (
    DESCRIPTION_MAGIC,
    HEADER_SIZE,
    AppImage,
    ChipDemand,
    Segment,
    chip_demand,
    encode,
)
from evtool.protocol.board_flash import BoardFacts, ChipInfo, FlashPart

PATH = Path("r.json")
ORDER = Order(
    "esp32",
    4 << 20,
    (FlashPart("app", 0x10000, b"app"), FlashPart("evcfg", 0x20000, b"key", secret=True)),
    "cafe",
    "version 1",
)


def _facts(number: int) -> BoardFacts:
    return BoardFacts(ChipInfo("esp32", "ESP32", f"24:0a:c4:00:00:0{number}"), 300, 4 << 20)


RESULTS = [
    BoardResult("/dev/a", Verdict.FLASHED, _facts(1), bytes_written=5, times_ms={"connect": 1500}),
    BoardResult(
        "/dev/b",
        Verdict.FAILED,
        None,
        LinkTimeout("nobody\nanswers \x00", fix="press RESET"),
        (FailedAttempt(1, 921_600, "nobody"),),
    ),
    BoardResult("/dev/c", Verdict.REFUSED, _facts(3), BoardRefused("not on the list")),
    BoardResult("/dev/d", Verdict.REPEATED, _facts(1), AlreadyDone("done already")),
    BoardResult("/dev/e", Verdict.FAILED, _facts(5), ProofFailed("app at 0x10000")),
]


def test_a_merged_image_says_its_chip_by_its_boot_loader() -> None:
    merged = b"\xff" * 0x1000 + bootloader()
    order = order_of_images([("merged.bin", 0, merged)], None, "cafe")
    assert (order.chip, order.flash_size, order.build_id) == ("esp32", len(merged), "cafe")
    assert order.parts[0].data == merged
    with pytest.raises(ConfigError, match="is for esp32, not for esp32s3"):
        order_of_images([("merged.bin", 0, merged)], "esp32s3")


def test_what_can_stand_at_0_alone_is_a_merged_image() -> None:
    loader = encode(AppImage(0x40380000, (Segment(0x40380000, bytes(16)),), chip_id=5))
    described = DESCRIPTION_MAGIC.to_bytes(4, "little") + bytes(12)
    application = encode(AppImage(0x40380000, (Segment(0x3C000020, described),), chip_id=5))
    assert is_merged(b"\xff" * 0x1000 + bootloader())
    assert is_merged(loader + b"\xff" * 0x1000)
    for other in (bootloader(), application, b"# A readme", b"\xff" * 0x2000, b""):
        assert not is_merged(other)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([("a", 0x10000, b"x")], "none of the images holds a boot loader"),
        ([("a", 0x10001, b"x")], "a: offset 0x10001 is not a multiple of 0x1000"),
        ([("a", 0, b"")], "a: is empty"),
        ([("a", 0, bytes(0x1001)), ("b", 0x1000, b"x")], "b: lies over a, which ends at 0x1001"),
    ],
)
def test_images_that_cannot_be_written_are_named(
    images: list[tuple[str, int, bytes]], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        order_of_images(images, None)


@pytest.mark.parametrize(
    ("fields", "demand"),
    [
        ({}, (0, 0, 0xFFFF)),
        ({"min_revision": 3}, (0, 300, 0xFFFF)),
        ({"min_revision": 3, "chip_id": 5}, (5, 3, 0xFFFF)),
        ({"min_revision": 3, "max_revision_full": 0}, (0, 300, 0xFFFF)),
        ({"min_revision_full": 301}, (0, 301, 0xFFFF)),
        ({"min_revision_full": 101, "max_revision_full": 399}, (0, 101, 399)),
    ],
)
def test_an_image_says_on_which_chips_it_will_run(
    fields: dict[str, Any], demand: tuple[int, int, int]
) -> None:
    image = AppImage(0x40080000, (Segment(0x40080000, bytes(16)),), **fields)
    assert chip_demand(encode(image)[:HEADER_SIZE]) == ChipDemand(*demand)
    order = order_of_images([("b", 0x1000, encode(image))], "esp32") if demand[0] == 0 else None
    if order is not None and demand[1] > 300:
        facts = BoardFacts(ChipInfo("esp32", "", ""), 300, 4 << 20)
        with pytest.raises(BoardRefused, match=r"v3\.0, below v3\.1, which the boot loader dem"):
            check_board(facts, order, Gates())


@given(st.binary(max_size=40))
def test_no_bytes_make_the_reader_of_headers_fail(data: bytes) -> None:
    demand = chip_demand(data)
    assert (demand is None) or (data[0] == 0xE9 and len(data) >= HEADER_SIZE)


def test_two_orders_are_the_same_when_they_write_the_same() -> None:
    same = Order("esp32", 1, ORDER.parts, "", "another title")
    other = Order("esp32", 4 << 20, ORDER.parts[:1], "cafe", "version 1")
    assert same.fingerprint == ORDER.fingerprint != other.fingerprint


PORTS = [
    SerialPort("/dev/ttyUSB0", "CP2102", 0x10C4, 0xEA60, "A501", "1-2.1"),
    SerialPort("/dev/ttyUSB1", "CP2102", 0x10C4, 0xEA60, "A502", "1-2.2"),
    SerialPort("/dev/ttyACM0", "JTAG", 0x303A, 0x1001, None, "2-1"),
    SerialPort("/dev/ttyS0", "n/a", None, None, None, None),
]


@pytest.mark.parametrize(
    ("patterns", "devices"),
    [
        (["/dev/ttyUSB*"], ["/dev/ttyUSB0", "/dev/ttyUSB1"]),
        (["path=/dev/ttyS0"], ["/dev/ttyS0"]),
        (["usb=10C4:EA60"], ["/dev/ttyUSB0", "/dev/ttyUSB1"]),
        (["usb=303a:*"], ["/dev/ttyACM0"]),
        (["serial=A50[2-9]"], ["/dev/ttyUSB1"]),
        (["location=1-2.*", "location=1-2.1"], ["/dev/ttyUSB0", "/dev/ttyUSB1"]),
        (["serial=*"], ["/dev/ttyUSB0", "/dev/ttyUSB1"]),
        (["./with=sign"], []),
    ],
)
def test_ports_are_found_by_what_is_known_of_them(patterns: list[str], devices: list[str]) -> None:
    assert matching(PORTS, [parse_pattern(text) for text in patterns]) == devices


@pytest.mark.parametrize("text", ["vendor=1", "usb=", "usb=10c4", "usb=xyz:1234", "=x", ""])
def test_a_pattern_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--match"):
        parse_pattern(text)


def test_a_port_is_new_when_it_comes_and_not_when_it_blinks() -> None:
    appearing = Appearing()
    assert appearing.look(["b", "a"]) == ["a", "b"]
    assert appearing.look(["b"]) == []
    assert appearing.look(["a", "b"]) == []  # reset: it was gone for one look
    for _ in range(3):
        assert appearing.look(["b"]) == []
    assert appearing.look(["a", "b"]) == ["a"]


def test_a_mac_list_takes_what_people_write_and_names_what_is_wrong() -> None:
    text = "# bench\n24:0A:C4:00:00:01\n24-0a-c4-00-00-02  # the second\n\n"
    assert parse_mac_list(text, PATH) == {"24:0a:c4:00:00:01", "24:0a:c4:00:00:02"}
    with pytest.raises(ConfigError, match=r"r\.json:1: '24:0a' is no MAC"):
        parse_mac_list("24:0a\n", PATH)
    with pytest.raises(ConfigError, match="names no MAC"):
        parse_mac_list("# nothing\n", PATH)
    assert (parse_revision("v3.1"), parse_revision("0.99"), parse_revision("3")) == (301, 99, None)


def test_a_report_tells_all_and_the_next_run_takes_what_is_left() -> None:
    document = run_document(ORDER, RESULTS, ["/dev/f"])
    text = json.dumps(document)
    assert "key" not in text
    assert ORDER.parts[1].sha256 not in text
    assert document["exit_code"] == 3
    assert document["counts"] == {
        "flashed": 1, "failed": 2, "refused": 1, "repeated": 1, "unfinished": 1,
    }  # fmt: skip
    previous = parse_report(text, PATH)
    assert previous.ports == ("/dev/b", "/dev/c", "/dev/e", "/dev/f")
    assert set(previous.done) == {"24:0a:c4:00:00:01"}
    check_same_order(previous, ORDER.fingerprint, PATH)
    with pytest.raises(ConfigError, match="other images"):
        check_same_order(previous, Order("esp32", 1, (), "", "").fingerprint, PATH)

    mended = [BoardResult(port, Verdict.FLASHED, _facts(7)) for port in previous.ports]
    whole = run_document(ORDER, mended, (), previous.kept)
    assert whole["exit_code"] == 0
    boards = whole["boards"]
    assert isinstance(boards, list)
    assert len(boards) == 6
    assert parse_report(json.dumps(whole), PATH).ports == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not valid JSON"),
        ("[]", "not a report"),
        ('{"schema": 2, "boards": []}', "not a report"),
        ('{"schema": 1, "boards": [1]}', "no verdict"),
        ('{"schema": 1, "boards": [{"verdict": "fine"}]}', "no verdict"),
        ('{"schema": 1, "boards": [{"verdict": "failed"}]}', "no serial_port"),
    ],
)
def test_a_report_that_is_none_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_report(text, PATH)


@given(st.text())
def test_no_text_makes_the_reader_of_reports_fail_otherwise(text: str) -> None:
    with pytest.raises(ConfigError, match=r"r\.json"):
        parse_report(text, PATH)


def test_junit_has_a_case_for_each_board() -> None:
    root = ET.fromstring(render_junit(run_document(ORDER, RESULTS, ["/dev/f"])))  # noqa: S314 - ours
    cases = list(root.iter("testcase"))
    assert next(case.attrib["name"] for case in cases) == "/dev/a 24:0a:c4:00:00:01"
    assert [[child.tag for child in case] for case in cases] == [
        [], ["error"], ["failure"], [], ["failure"], ["error"],
    ]  # fmt: skip
    assert (root.attrib["tests"], root.attrib["failures"], root.attrib["errors"]) == ("6", "2", "2")


def test_the_table_has_a_row_for_each_board_and_says_what_to_do() -> None:
    text = render_table(run_document(ORDER, RESULTS), 2500)
    lines = text.splitlines()
    assert lines[0].split()[:3] == ["port", "MAC", "verdict"]
    assert len({line.index("1.5") for line in lines if "/dev/a" in line}) == 1
    assert "/dev/b: nobody" in lines
    assert "  fix: press RESET" in lines
    assert lines[-1] == "5 boards in 2.5 s: 1 flashed, 1 repeated, 1 refused, 2 failed"
    assert render_table(run_document(ORDER, [BoardResult("p", Verdict.FAILED, error=DeviceError(
        "gone"))]), 0).endswith("1 board in 0.0 s: 1 failed")  # fmt: skip
