# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal that was closed, or stopped, keeps nobody from ending."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evtool.link.keyboard import Keyboard
from evtool.link.port_waiter import PortWaiter
from evtool.link.terminal import Terminal

LIMIT_S = 60


class Pty:
    """The two ends of a terminal; `slave` stands for stdin and stdout."""

    def __init__(self) -> None:
        self.master, self._slave = os.openpty()
        self.before = termios.tcgetattr(self._slave)

    def fileno(self) -> int:
        return self._slave

    def close(self) -> None:
        for descriptor in (self.master, self._slave):
            if descriptor >= 0:
                os.close(descriptor)


@pytest.fixture
def pty() -> Iterator[Pty]:
    pty = Pty()
    yield pty
    pty.close()


@pytest.fixture
def open_terminal(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    def opened() -> Terminal:
        # during the test: pytest has its own stdout in between
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", pty)
            return Terminal()

    return opened


@pytest.fixture
def open_keyboard(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Keyboard]:
    def opened(*, raw: bool = False, lost: Callable[[], None] = lambda: None) -> Keyboard:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", pty)
            return Keyboard(raw=raw, lost=lost)

    return opened


@pytest.mark.parametrize("raw", [False, True])
def test_a_keyboard_whose_terminal_was_closed_is_left_without_an_error(
    pty: Pty, open_keyboard: Callable[..., Keyboard], raw: bool
) -> None:
    told: list[str] = []
    with open_keyboard(raw=raw, lost=lambda: told.append("lost")) as keyboard:
        assert keyboard.read() == b""
        assert told == []
        os.close(pty.master)
        pty.master = -1
        assert keyboard.read() == b""  # nobody has pressed a key
        assert keyboard.read() == b""
    assert told == ["lost"]


def test_a_closed_terminal_wakes_nobody_for_ever(
    pty: Pty, open_keyboard: Callable[..., Keyboard]
) -> None:
    with open_keyboard() as keyboard:
        waiter: PortWaiter[Pty] = PortWaiter([keyboard.fileno()])
        assert waiter.was_alarmed
        os.close(pty.master)
        pty.master = -1
        waiter.wait(LIMIT_S)
        assert waiter.was_alarmed
        waiter.wait(0)
        waiter.rest(0.001)
        assert not waiter.was_alarmed
        waiter.close()


def test_keys_are_seen_where_there_is_no_time_to_rest(
    pty: Pty, open_keyboard: Callable[..., Keyboard]
) -> None:
    """As behind a port whose bytes never pause, where nobody waits for the ports."""
    with open_keyboard(raw=True) as keyboard:
        waiter: PortWaiter[Pty] = PortWaiter([keyboard.fileno()])
        assert waiter.was_alarmed
        waiter.rest(0)
        assert not waiter.was_alarmed
        os.write(pty.master, b"\x1d")
        assert select.select([keyboard], [], [], LIMIT_S)[0]
        waiter.rest(-0.001)
        assert waiter.was_alarmed
        waiter.close()


def test_a_second_ctrl_c_keeps_no_terminal_from_being_given_back(
    pty: Pty, open_keyboard: Callable[..., Keyboard], monkeypatch: pytest.MonkeyPatch
) -> None:
    keyboard = open_keyboard()
    flush = termios.tcflush

    def held_down(descriptor: int, queue: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        flush(descriptor, queue)

    monkeypatch.setattr(termios, "tcflush", held_down)
    with pytest.raises(KeyboardInterrupt), keyboard:
        pass
    assert termios.tcgetattr(pty.fileno()) == pty.before


def test_a_keyboard_at_a_stopped_terminal_is_given_back(
    pty: Pty, open_keyboard: Callable[..., Keyboard]
) -> None:
    with open_keyboard():
        assert termios.tcgetattr(pty.fileno()) != pty.before
        os.write(pty.fileno(), b"waits")
        termios.tcflow(pty.fileno(), termios.TCOOFF)
    assert termios.tcgetattr(pty.fileno()) == pty.before


def test_the_last_words_reach_a_terminal_that_was_stopped(
    pty: Pty, open_terminal: Callable[[], Terminal]
) -> None:
    terminal = open_terminal()
    termios.tcflow(pty.fileno(), termios.TCOOFF)
    terminal.write("a picture")
    terminal.close("bye")
    shown = b""
    while b"bye" not in shown:
        assert select.select([pty.master], [], [], LIMIT_S)[0]
        shown += os.read(pty.master, 4096)
    assert b"a picture" not in shown


def test_a_terminal_that_nobody_reads_is_given_up(open_terminal: Callable[[], Terminal]) -> None:
    terminal = open_terminal()
    while not terminal.busy:
        terminal.write("x" * 65536)
    terminal.close("bye")


@pytest.mark.parametrize(
    ("variables", "ascii_only"),
    [
        ({"LC_ALL": "C"}, True),
        ({"LC_ALL": "POSIX", "LANG": "en_GB.UTF-8"}, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),  # as Python has it where LANG is C
        ({"LANG": "en_GB.UTF-8"}, False),
        ({"LC_CTYPE": "en_GB.UTF-8", "LANG": "C"}, False),
        ({"LC_ALL": "C.UTF-8", "LANG": "C"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_the_locale_says_whether_a_terminal_shows_more_than_ascii(
    open_terminal: Callable[[], Terminal],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    ascii_only: bool,
) -> None:
    terminal = open_terminal()
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with (Path(os.devnull)).open("w", encoding="utf-8") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert terminal.ascii_only == ascii_only
    terminal.close("")
