# SPDX-License-Identifier: GPL-3.0-or-later
"""The keyboard in raw mode: bytes for the board, and a menu."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.errors import EvtoolError, Stopped
from evtool.monitor.outgoing import AT_ONCE, Pace
from evtool.monitor.raw_keys import HELP, RawConduct, RawKeys
from evtool.monitor.raw_printer import RawPrinter

MENU, QUIT, CTRL_C = b"\x14", b"\x1d", b"\x03"


@dataclass
class Desk:
    """A watch that notes what keys do to it, and the keys."""

    conduct: RawConduct = field(default_factory=RawConduct)
    ports: tuple[str, ...] = ("A",)
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    pasted: list[tuple[bytes, Pace]] = field(default_factory=list)
    shown: bytes = b""
    quits: int = 0
    error: EvtoolError | None = None
    resets: int = 0
    there: bool = True

    def __post_init__(self) -> None:
        self.printer = RawPrinter(lambda data: None, 0)
        self.keys = RawKeys(self.ports, self.conduct, self.printer, self._show, self._read_file)

    def _show(self, data: bytes) -> None:
        self.shown += data

    def _read_file(self, name: str) -> bytes:
        if name != "a file":
            raise EvtoolError(f"no {name}")
        return b"its content"

    def type(self, *pressed: bytes) -> Desk:
        for each in pressed:
            self.keys.on_keys(each, self)
        return self

    def write(self, data: bytes, port: str = "") -> bool:
        self.sent.append((port, data))
        return self.there

    def paste(self, data: bytes, pace: Pace, port: str = "") -> None:
        self.pasted.append((data, pace))

    def reset(self, port: str = "") -> bool:
        self.resets += 1
        return self.there

    def press(self, key: str, port: str = "") -> None:
        raise AssertionError("raw keys are bytes")

    def received(self, port: str) -> int:
        return 7

    def quit(self) -> None:
        self.quits += 1

    def end(self, error: EvtoolError | None = None) -> None:
        self.error = error


@given(st.lists(st.binary(max_size=9), max_size=9))
def test_every_byte_but_ours_goes_to_the_board(pressed: list[bytes]) -> None:
    pressed = [each.translate(None, MENU + QUIT + CTRL_C) for each in pressed]
    desk = Desk().type(*pressed)
    assert b"".join(data for _, data in desk.sent) == b"".join(pressed)
    assert not desk.quits


@given(st.integers(0, 255))
def test_every_byte_can_be_sent(byte: int) -> None:
    key = bytes([byte])
    desk = Desk().type(MENU + key if key in (MENU, QUIT, CTRL_C) else key)
    assert desk.sent == [("A", key)]


def test_what_ends_it() -> None:
    desk = Desk().type(b"ab" + QUIT + b"never")
    assert (desk.sent, desk.quits) == ([("A", b"ab")], 1)
    assert Desk().type(MENU, b"q").quits == 1
    assert isinstance(Desk().type(CTRL_C).error, Stopped)
    board = Desk(RawConduct(ctrl_c_quits=False)).type(CTRL_C)
    assert (board.sent, board.error) == ([("A", CTRL_C)], None)
    assert "or Ctrl-C" not in board.keys.greeting
    assert "Ctrl-T h for help, Ctrl-] or Ctrl-C to quit" in Desk().keys.greeting


def test_the_menu() -> None:
    desk = Desk().type(MENU + b"h")
    assert all(f"  {key}  {text}".encode() in desk.shown for key, text in HELP)
    desk.type(MENU + b"r", MENU + b"x", MENU + b"c", MENU + b"t", MENU + b"i")
    assert desk.resets == 1
    assert (desk.printer.hexadecimal, desk.printer.colours) == (True, False)
    assert desk.printer.timestamps == "iso"
    assert b"A: 7 bytes came" in desk.shown
    assert desk.sent == []
    other = Desk(RawConduct(menu_key=b"\x01")).type(MENU, b"\x01q")
    assert (other.sent, other.quits) == ([("A", MENU)], 1)


def test_several_ports_are_typed_to_in_turn() -> None:
    desk = Desk(ports=("A", "B"))
    desk.type(b"1", MENU + b"n", b"2", MENU + b"n", b"3", MENU + b"n", b"4")
    assert desk.sent == [("A", b"1"), ("B", b"2"), ("", b"3"), ("A", b"4")]


def test_a_file_is_pasted_at_the_pace() -> None:
    pace = Pace(10)
    desk = Desk(RawConduct(pace=pace)).type(MENU + b"pa fill\x7fe\rmore")
    assert desk.pasted == [(b"its content", pace), (b"more", pace)]
    assert Desk().type(MENU + b"p", b"nothing\r").pasted == []
    assert b"no nothing" in Desk().type(MENU + b"p", b"nothing\r").shown
    given_up = Desk().type(MENU + b"pa file\x03", b"x")
    assert (given_up.pasted, given_up.sent) == ([], [("A", b"x")])


def test_a_port_that_is_away_is_told() -> None:
    assert b"the port is not there" in Desk(there=False).type(b"x").shown


@pytest.mark.parametrize("pace", [AT_ONCE, Pace(5), Pace(2, 1)])
def test_what_is_pasted_at_a_terminal_keeps_the_pace(pace: Pace) -> None:
    desk = Desk(RawConduct(pace=pace)).type(b"two\nlines\n")
    assert (len(desk.sent), len(desk.pasted)) == ((1, 0) if pace == AT_ONCE else (0, 1))
