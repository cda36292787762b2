# SPDX-License-Identifier: GPL-3.0-or-later
"""`s` and `t` switch power: where a person types one, it is asked for twice.

What a script or `--send` presses is not typed, and is not asked for. A unit that says nothing is
asked about, too: it may be muted, or its port just back, and live all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

LIVE_MS = 5000
"""A unit that has said something in the last five seconds is live."""

PATIENCE_MS = 10_000
"""So long a question stands; a `y` that comes later answers nothing."""

READ_MS = 300
"""Nobody has read a question that is younger: a `y` that comes earlier was not typed as an answer.
A paste is there within a few milliseconds, in as many pieces as the terminal likes."""

_REFUSAL_MS = 3_000
_OFFER = " y: yes, other key: no"

POWER_KEYS = {
    "s": "start: power may flow",
    "t": "stop the transaction",
}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, about which key, and since when."""

    key: str
    text: str
    since_ms: int


class Confirmation:
    """Stands between the keyboard and the board.

    Args:
        wanted: False where the user has said that nothing is to be asked (`--yes`).
    """

    def __init__(self, wanted: bool = True) -> None:
        self._wanted = wanted
        self._question: Question | None = None
        self._refusal: Question | None = None

    def shown(self, now_ms: int) -> str:
        """What the person should read: the question, or what became of it; "" for nothing.

        The question offers an answer once there is one that counts.
        """
        asked = self.question(now_ms)
        if asked is not None:
            return asked.text + (_OFFER if now_ms >= asked.since_ms + READ_MS else "")
        refusal = self._refusal
        if refusal is None or now_ms >= refusal.since_ms + _REFUSAL_MS:
            return ""
        return refusal.text

    def question(self, now_ms: int) -> Question | None:
        """What is being asked now."""
        if self._question is not None and now_ms >= self._question.since_ms + PATIENCE_MS:
            self._question = None
        return self._question

    def press(
        self, key: str, now_ms: int, heard_ms: int | None, unit: str, *, alone: bool = True
    ) -> str:
        """What to pass on of a key that a person pressed: `key`, an earlier one, or "".

        Args:
            heard_ms: when the unit last said something; None where it has said nothing.
            unit: its name, for the question.
            alone: whether no other key came with it; of keys that came together none is an answer.
        """
        asked = self.question(now_ms)
        self._refusal = None
        if asked is not None:
            self._question = None
            # Any other key is a no, and goes nowhere: whoever types on has not read the question.
            if key.lower() != "y":
                return ""
            if alone and now_ms >= asked.since_ms + READ_MS:
                return asked.key
            text = f"{asked.key} was not sent: that y came before the question could be read"
            self._refusal = Question(asked.key, text, now_ms)
            return ""
        if not self._wanted or key.lower() not in POWER_KEYS:
            return key
        what = POWER_KEYS[key.lower()]
        is_live = heard_ms is not None and now_ms - heard_ms <= LIVE_MS
        state = "is live" if is_live else "says nothing, but may be live"
        text = f"{unit} {state}: send {key} ({what})?"
        self._question = Question(key, text, now_ms)
        return ""

    def drop(self) -> None:
        """The unit is gone, or has started anew: whoever answers would answer for another."""
        self._question = None
