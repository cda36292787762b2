# SPDX-License-Identifier: GPL-3.0-or-later
"""Times, filters, marks, colours and hex: what is printed of lines and of bytes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.monitor.block import Block
from evtool.monitor.hex_view import ROW_MS, HexView, row_bytes
from evtool.monitor.line_printer import LinePrinter, LineStyle
from evtool.monitor.on_view import OnView
from evtool.monitor.raw_printer import RawPrinter
from evtool.monitor.stream import Batch

NS = 981_173_106_789_000_000
ISO = b"2001-02-03T04:05:06.789Z "


def lines(style: LineStyle, *pieces: bytes, view: OnView | None = None, port: str = "p") -> bytes:
    out: list[bytes] = []
    printer = LinePrinter(out.append, style, NS - 1_500_000_000, view)
    for index, piece in enumerate(pieces):
        printer.on_block(Block(port, NS + index * 250_000_000, 0, piece))
    return b"".join(out)


def raw(
    *pieces: bytes, timestamps: str | None = None, colours: bool = True, add_cr: bool = False
) -> bytes:
    out: list[bytes] = []
    start_ns = NS - 1_500_000_000
    printer = RawPrinter(
        out.append, start_ns, timestamps=timestamps, colours=colours, add_cr=add_cr
    )
    for index, piece in enumerate(pieces):
        printer.on_batch(Batch("p", NS + index * 250_000_000, 0, piece))
    return b"".join(out)


@pytest.mark.parametrize(
    ("form", "first", "second"),
    [
        ("iso", ISO, b"2001-02-03T04:05:07.039Z "),
        ("epoch", b"981173106.789 ", b"981173107.039 "),
        ("relative", b"[      1.500] ", b"[      1.750] "),
        ("delta", b"[     +1.500] ", b"[     +0.250] "),
    ],
)
def test_every_line_begins_with_its_time(form: str, first: bytes, second: bytes) -> None:
    wanted = first + b"a\n" + first + b"b\n" + second + b"c\n"
    assert lines(LineStyle(form), b"a\r\nb\n", b"c\r\n") == wanted
    assert raw(b"a\nb\n", b"c\n", timestamps=form) == wanted


def test_the_boards_own_time_is_read_where_a_line_has_one() -> None:
    data = b"\x1b[0;32mI (12345) wifi: up\x1b[0m\nboot\n"
    shown = lines(LineStyle("device"), data)
    assert shown == b"[          -] I (12345) wifi: up\n[          -] boot\n".replace(
        b"[          -] I", b"[     12.345] I"
    )
    assert b"[     12.345] \x1b[0;32mI (12345)" in lines(LineStyle("device", colours=True), data)
    assert raw(data, timestamps="device").startswith(b"[     12.345] \x1b[0;32mI")


def test_a_line_in_pieces_has_one_time() -> None:
    assert raw(b"a", b"b", b"c\nd", b"\n", timestamps="epoch") == (
        b"981173106.789 abc\n981173107.289 d\n"
    )


def test_lines_are_picked_out() -> None:
    style = LineStyle(include=re.compile(rb"^[ab]"), exclude=re.compile(b"b$"))
    assert lines(style, b"a\r\nab\nb\nc\nbc\n", b"c\n") == b"a\nbc\n"
    assert lines(LineStyle("epoch", include=re.compile(b"b")), b"a\nb\n") == b"981173106.789 b\n"


def test_records_of_another_view_are_hidden_and_broken_ones_are_not() -> None:
    data = b"[bms] v=72.00V\n[output] v=1.00V\n[output] v=1\ntext [output]\n"
    shown = lines(LineStyle(), data, view=OnView("1", ("bms",)))
    assert shown == b"[bms] v=72.00V\n[output] v=1\ntext [output]\n"


def test_ports_are_marked_behind_the_time() -> None:
    style = LineStyle("epoch", marks={"p": b"one | "}, end=b"\r\n")
    assert lines(style, b"a\n") == b"981173106.789 one | a\r\n"


def test_colours_are_stripped_or_kept() -> None:
    data = b"\x1b[0;31mE (1) red\x1b[0m\r\n"
    assert lines(LineStyle(), data) == b"E (1) red\n"
    assert lines(LineStyle(colours=True), data) == b"\x1b[0;31mE (1) red\x1b[0m\n"


@given(st.binary(max_size=80), st.lists(st.integers(0, 80), max_size=6))
def test_raw_bytes_are_exactly_those_that_came(data: bytes, cuts: list[int]) -> None:
    assert raw(*pieces_of(data, cuts)) == data


@given(
    st.lists(
        st.sampled_from([b"\x1b", b"[", b"0;31", b"m", b"\x1b[0m", b"x", b"\r", b"\n", b"\x1b[2J"]),
        max_size=20,
    ),
    st.lists(st.integers(0, 80), max_size=6),
)
def test_stripping_and_carriage_returns_do_not_depend_on_the_pieces(
    parts: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(parts)
    pieces = pieces_of(data, cuts)
    assert raw(*pieces, b".", colours=False) == raw(data, b".", colours=False)
    assert raw(*pieces, add_cr=True) == re.sub(rb"(?<!\r)\n", b"\r\n", data)


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def test_times_change_while_it_runs() -> None:
    printer = RawPrinter(lambda data: None, NS)
    names = [printer.cycle_timestamps() for _ in range(6)]
    assert names == ["iso", "epoch", "relative", "delta", "device", "none"]


def test_hex_in_rows_and_what_is_left_after_a_while() -> None:
    view = HexView(lambda: 80)
    assert view.feed(bytes(range(60, 80)), 1000) == (
        b"00000000  3c 3d 3e 3f 40 41 42 43 44 45 46 47 48 49 4a 4b  |<=>?@ABCDEFGHIJK|\r\n"
    )
    assert view.next_ms == 1000 + ROW_MS
    assert view.look(1000) == b""
    assert view.look(1000 + ROW_MS) == b"00000010  4c 4d 4e 4f" + b" " * 36 + b"  |LMNO|\r\n"
    assert view.next_ms is None
    assert view.feed(b"\x00\xff", 5000) == b""
    assert view.finish().startswith(b"00000014  00 ff ")


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5), st.integers(1, 300))
def test_hex_shows_every_byte_once(data: bytes, cuts: list[int], width: int) -> None:
    view = HexView(lambda: width)
    shown = b"".join(view.feed(piece, 0) for piece in pieces_of(data, cuts)) + view.finish()
    rows = [row[10 : 10 + 3 * row_bytes(width)] for row in shown.splitlines()]
    assert bytes.fromhex(b" ".join(rows).decode()) == data
    assert width < 44 or all(len(row) <= width for row in shown.splitlines())
