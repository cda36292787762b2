# SPDX-License-Identifier: GPL-3.0-or-later
"""Searches for expressions that users wrote: one that would take for ever is given up.

An expression such as `(a+)+$` has more ways to fit a line than can be tried, and Python's `re`
tries them all: meanwhile no port is read and no time limit holds. Whoever runs a watch calls `tick`
at every fifth of a second of this program's own processor time, in the middle of whatever it does;
a search that two of them fall into ends there.
"""

from __future__ import annotations

import re
from typing import AnyStr

from evtool.errors import ConfigError


class _Search:
    """The one that is under way."""

    pattern: str | bytes | None = None
    length = 0
    had_tick = False


_now = _Search()


def search(pattern: re.Pattern[AnyStr], text: AnyStr) -> re.Match[AnyStr] | None:
    """As `pattern.search(text)`.

    Raises:
        ConfigError: it takes too long.
    """
    _now.had_tick, _now.length, _now.pattern = False, len(text), pattern.pattern
    try:
        return pattern.search(text)
    finally:
        _now.pattern = None


def tick() -> None:
    """A fifth of a second of the processor's time has passed.

    Raises:
        ConfigError: in the middle of a search that has taken it all.
    """
    pattern = _now.pattern
    if pattern is None:
        return
    if not _now.had_tick:
        _now.had_tick = True
        return
    _now.pattern = None
    text = pattern if isinstance(pattern, str) else pattern.decode(errors="backslashreplace")
    raise ConfigError(
        f"the expression {text!r} takes longer than 0.2 s at a line of {_now.length}"
        " characters, and was given up",
        fix="repeat nothing that repeats, as in (a+)+, and nothing in two ways, as in (a|aa)+",
    )
