# SPDX-License-Identifier: GPL-3.0-or-later
"""An expression that would be searched for for ever is given up, however busy the machine is."""

from __future__ import annotations

import re
import signal

import pytest

from evtool.errors import ConfigError
from evtool.link.processor_alarm import ProcessorAlarm
from evtool.monitor.search import search, tick


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|aa)+$", r"(a*)*b"])
def test_a_search_without_an_end_is_given_up(pattern: str) -> None:
    with ProcessorAlarm(tick), pytest.raises(ConfigError) as raised:
        search(re.compile(pattern), "a" * 100 + "!")
    assert pattern in raised.value.message
    assert "a line of 101 characters" in raised.value.message
    with ProcessorAlarm(tick), pytest.raises(ConfigError, match="was given up"):
        search(re.compile(pattern.encode()), b"a" * 100 + b"!")


def test_many_short_searches_are_none_that_is_too_long() -> None:
    pattern = re.compile("b")
    for _ in range(5):
        assert search(pattern, "abc") is not None
        tick()
        tick()
        assert search(pattern, "aaa") is None


def test_afterwards_everything_is_as_it_was() -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    with ProcessorAlarm(tick):
        assert signal.getitimer(signal.ITIMER_VIRTUAL)[1] == pytest.approx(0.2, abs=0.02)
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGVTALRM) == before
