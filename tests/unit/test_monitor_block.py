# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines in blocks are the lines that the console's splitter gives, in whatever pieces they come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evtool.monitor.block import Block, LineAssembler
from evtool.monitor.follow import Line, read_line, read_lines, read_telling_lines
from evtool.protocol.console import MAX_LINE_BYTES, LineSplitter

UNICODE = "漢é\u2028".encode()
PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"\n",
            b"\r\n",
            b"\r",
            b"\x1b[0;32m",
            b"[bms] v=72.00V",
            "漢é\u2028".encode(),
            b"\t",
            b"\x1b",
        ]
    ),
    st.integers(MAX_LINE_BYTES - 3, MAX_LINE_BYTES + 3).map(lambda size: b"x" * size),
)


@given(st.lists(PIECES, max_size=30), st.lists(st.integers(0, 5000), max_size=6))
def test_a_block_holds_the_lines_that_the_splitter_finds(
    pieces: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(pieces)
    splitter = LineSplitter()
    wanted = [*splitter.feed(data), *splitter.finish()]
    assembler = LineAssembler()
    seen: list[str] = []
    ends = [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    start = 0
    for end in ends:
        seen += Block("", 0, 0, assembler.feed(data[start:end])).lines
        start = end
    seen += Block("", 0, 0, assembler.finish()).lines
    assert seen == wanted


def test_a_megabyte_without_a_line_end_is_one_cut_line_and_keeps_nothing() -> None:
    assembler = LineAssembler()
    whole = b"".join(assembler.feed(b"x" * 4096) for _ in range(256))
    assert whole == b"x" * MAX_LINE_BYTES + b"\n"
    assert assembler.feed(b"rest\nnext\n") == b"next\n"
    assert assembler.finish() == b""


def test_the_head_of_a_block() -> None:
    block = Block("p", 1, 2, b"a\r\nb\nc\n")
    assert block.head(2).lines == ["a", "b"]
    assert block.head(0).lines == []


LINES = st.one_of(
    st.sampled_from(
        [
            "[bms] v=72.00V",
            "[bms] v=72",
            "[wifi] up and running",
            "rst:0x1 (POWERON_RESET),boot:0x13",
            "E (1) Guru Meditation Error: Core 0",
            "says Backtrace: in the middle",
            "Backtrace: 0x40081234:0x3ffb0000",
            "==1==ERROR: AddressSanitizer: heap",
            "[event] boot version=1",
            "[",
            "\x1b[0;32m[bms] v=72.00V\x1b[0m",
            "\x1b[2K[event] plug state=in",
            "\x1b[38;2;255;100;255m\x1b[1G[event] plug state=in",
            "\x1b[0;1;4;38;2;255;255;255;48;2;255;255;255m[event] plug state=in",
            "tasks[3] and names[x]",
            "\x1b[0;31mE (1) Guru Meditation Error: Core 0\x1b[0m",
        ]
    ),
    st.text(max_size=30),
)


def test_a_flood_of_backtraces_is_told_once() -> None:
    backtrace = b"Backtrace: 0x40081234:0x3ffb0000\r\n"
    text = b"I (1) says Backtrace: in the middle\r\n"
    reset = b"rst:0x1 (POWERON_RESET),boot:0x13\r\n"
    data = text + 50 * backtrace + reset + 50 * backtrace
    found = read_telling_lines(Block("p", 1, 2, data))
    assert [each.text[:4] for each in found] == ["Back", "rst:", "Back"]


def first_panics(telling: list[Line]) -> list[Line]:
    """All but the panics that follow one."""
    return [
        each
        for index, each in enumerate(telling)
        if not (index and each.panic and telling[index - 1].panic)
    ]


@given(st.lists(LINES, max_size=20))
def test_the_telling_lines_are_all_lines_that_tell(lines: list[str]) -> None:
    data = "".join(line.replace("\n", "") + "\r\n" for line in lines).encode()
    block = Block("p", 1, 2, data)
    telling = [each for each in read_lines(block) if each.is_telling]
    found = read_telling_lines(block)
    # Of panics that follow one another the first is enough.
    assert first_panics(found) == first_panics(telling)
    assert all(each in telling for each in found)
    events = [each for each in read_telling_lines(block, records=False) if each.is_event]
    assert first_panics(events) == first_panics([each for each in telling if each.is_event])
    assert read_lines(block) == [read_line(text, 2, 1, "p") for text in block.lines]
