# SPDX-License-Identifier: GPL-3.0-or-later
"""`s` and `t` reach a unit only when a person has said yes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.cli.monitor_keys import TypedKeys
from evtool.monitor.confirmation import LIVE_MS, PATIENCE_MS, READ_MS, Confirmation
from evtool.monitor.follow import read_line
from evtool.monitor.stream import Batch, News


def test_yes_sends_what_was_typed() -> None:
    asked = Confirmation()
    assert asked.press("s", 1000, 900, "CP-1") == ""
    question = asked.question(1001)
    assert question is not None
    assert "CP-1" in question.text
    assert "power may flow" in question.text
    at_ms = 1000 + READ_MS
    assert "y: yes" in asked.shown(at_ms)
    assert asked.press("y", at_ms, 900, "CP-1") == "s"
    assert asked.question(at_ms + 1) is None
    assert asked.shown(at_ms + 1) == ""


@pytest.mark.parametrize("after_ms", [0, 1, READ_MS - 1])
def test_a_yes_before_the_question_can_be_read_is_none(after_ms: int) -> None:
    asked = Confirmation()
    asked.press("s", 1000, 900, "CP-1")
    assert "power may flow" in asked.shown(1000 + after_ms)
    assert "y: yes" not in asked.shown(1000 + after_ms)
    assert asked.press("y", 1000 + after_ms, 900, "CP-1") == ""
    assert "s was not sent" in asked.shown(1000 + after_ms)
    assert asked.press("y", 1000 + READ_MS, 900, "CP-1") == "y"  # answers nothing any more
    assert asked.shown(1000 + READ_MS) == ""


def test_what_became_of_an_early_yes_is_told_for_a_while() -> None:
    asked = Confirmation()
    asked.press("s", 0, 0, "CP-1")
    asked.press("y", 1, 0, "CP-1")
    assert asked.shown(3000)
    assert asked.shown(3001) == ""


@settings(deadline=None)
@given(st.characters(max_codepoint=127).filter(lambda key: key not in "yY"))
def test_every_other_key_sends_nothing(key: str) -> None:
    asked = Confirmation()
    asked.press("t", 1000, 900, "CP-1")
    assert asked.press(key, 1100, 900, "CP-1") == ""
    assert asked.question(1100) is None


def test_a_late_yes_is_an_answer_to_nothing() -> None:
    asked = Confirmation()
    asked.press("s", 0, 0, "CP-1")
    assert asked.press("y", PATIENCE_MS, PATIENCE_MS, "CP-1") == "y"  # no key of the board


@pytest.mark.parametrize("heard_ms", [None, 0])
def test_a_unit_that_says_nothing_may_be_live_all_the_same(heard_ms: int | None) -> None:
    asked = Confirmation()
    now_ms = LIVE_MS + 1
    assert asked.press("s", now_ms, heard_ms, "CP-1") == ""
    question = asked.question(now_ms)
    assert question is not None
    assert "says nothing, but may be live" in question.text
    assert asked.press("y", now_ms + READ_MS, heard_ms, "CP-1") == "s"


def test_no_question_where_none_is_wanted() -> None:
    assert Confirmation(wanted=False).press("s", 0, 0, "CP-1") == "s"


@settings(deadline=None)
@given(st.text(alphabet="012345m?q", max_size=5))
def test_other_keys_pass(keys: str) -> None:
    asked = Confirmation()
    assert "".join(asked.press(key, 0, 0, "CP-1") for key in keys) == keys


def test_a_pasted_yes_has_not_read_the_question() -> None:
    typing = Typing()
    typing.keys.on_batch(Batch("p", 0, 0, b"keys: ...\r\n"))
    assert typing.type(b"sy") == b""
    assert typing.type(b"y") == b"y"  # answers nothing any more
    assert typing.type(b"s") == b""  # a paste that is read in two pieces
    typing.now_ms += 1
    assert typing.type(b"y") == b""
    assert typing.type(b"s") == b""
    typing.now_ms += READ_MS
    assert typing.type(b"y\n") == b"\n"  # a paste on a slow line
    assert typing.type(b"s") == b""
    typing.now_ms += READ_MS
    assert typing.type(b"y") == b"s"


class Typing:
    """A keyboard, a clock and a place for questions."""

    def __init__(self) -> None:
        self.pressed = b""
        self.now_ms = 0
        self.asked: list[str] = []
        self.keys = TypedKeys(
            self.read, lambda: self.now_ms, "UNIT", self.asked.append, wanted=True
        )

    def clock(self) -> int:
        return self.now_ms

    def read(self) -> bytes:
        pressed, self.pressed = self.pressed, b""
        return pressed

    def type(self, keys: bytes) -> bytes:
        self.pressed = keys
        return self.keys.read()


def test_the_question_is_shown_and_taken_away() -> None:
    typing = Typing()
    typing.keys.on_batch(Batch("p", 0, 0, b"keys: ...\r\n"))
    assert typing.type(b"s") == b""
    assert "UNIT is live" in typing.asked[-1]
    typing.now_ms = PATIENCE_MS
    assert typing.type(b"") == b""
    assert typing.asked[-1] == ""


def test_a_unit_that_restarts_or_goes_is_not_started_by_an_old_yes() -> None:
    typing = Typing()
    boot = read_line("[event] boot version=1 build=2 charge_point=CP reset=power_on", 10)
    typing.keys.on_lines([boot])
    typing.type(b"s")
    typing.keys.on_lines([boot])
    assert typing.type(b"y") == b"y"
    typing.type(b"s")
    typing.keys.on_news(News("UNIT", 0, 0, "disconnected", ""))
    assert typing.type(b"y") == b"y"
    assert typing.asked[-1] == ""


def test_a_port_that_is_back_is_asked_about_before_its_first_line() -> None:
    typing = Typing()
    typing.keys.on_batch(Batch("p", 0, 0, b"keys: ...\r\n"))
    typing.keys.on_news(News("UNIT", 0, 0, "disconnected", ""))
    typing.keys.on_news(News("UNIT", 0, 0, "connected", ""))
    assert typing.type(b"s") == b""
    assert "may be live" in typing.asked[-1]
