# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals end a program between two pieces of work, and a key that is held down is one of them."""

from __future__ import annotations

import os
import select
import signal
import time

import pytest

from evtool.link.interrupts import Interrupts, Uncut


@pytest.fixture(autouse=True)
def usual_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_one_is_kept_and_wakes_up() -> None:
    with Interrupts() as kept:
        assert not select.select([kept], [], [], 0)[0]
        press_ctrl_c()
        assert kept.received == signal.SIGINT
        assert select.select([kept], [], [], 0)[0]
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c()


def test_a_key_that_is_held_down_cuts_no_clean_up_short(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    with Interrupts() as kept:
        for _ in range(10):
            press_ctrl_c()
            now_s += 0.04
        assert kept.received == signal.SIGINT
        now_s += 0.2
        with pytest.raises(KeyboardInterrupt):
            press_ctrl_c()
        with pytest.raises(SystemExit, match="143"):
            os.kill(os.getpid(), signal.SIGTERM)


def test_what_is_not_to_be_cut_is_done_before_a_signal_counts() -> None:
    done = []

    def give_back() -> None:
        with Uncut():
            press_ctrl_c()
            done.append("all of it")

    with pytest.raises(KeyboardInterrupt):
        give_back()
    assert done
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
