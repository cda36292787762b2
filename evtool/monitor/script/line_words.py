# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of one line, taken one after the other; what is missing or too much is an error."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evtool.monitor.script.steps import MAX_MS
from evtool.monitor.script.words import Expression, Place, ScriptError, Text, Token, Word

_TIME = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|min|h)\Z")
_MS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000}


def parse_time(text: str) -> int | None:
    """Milliseconds in `500ms`, `5s`, `2min`, `1h`; None where it is no such time."""
    match = _TIME.match(text)
    if match is None:
        return None
    ms = round(float(match[1]) * _MS[match[2]])
    return ms if 0 < ms <= MAX_MS else None


class LineWords:
    """The line's words, and how far they are taken.

    Attributes:
        usage: how the step is written, for what is missing.
    """

    def __init__(self, tokens: Sequence[Token], place: Place) -> None:
        self.tokens = tokens
        self.place = place
        self.at = 0
        self.usage = "STEP ..."

    def missing(self, what: str) -> ScriptError:
        """The error for a word that is not there, or not of that kind."""
        if self.at < len(self.tokens):
            column = self.tokens[self.at].column
            return self.place.at(column).error(f"{what} belongs here", f"write {self.usage}")
        last = self.tokens[-1].column if self.tokens else 1
        return self.place.at(last).error(f"{what} is missing behind this", f"write {self.usage}")

    def word(self, what: str) -> Word:
        """The next plain word."""
        if self.at < len(self.tokens):
            token = self.tokens[self.at]
            if isinstance(token, Word):
                self.at += 1
                return token
        raise self.missing(what)

    def back(self) -> None:
        """Take the last word once more."""
        self.at -= 1

    def peek_word(self) -> Word | None:
        """The next word, where it is a plain one."""
        token = self.tokens[self.at] if self.at < len(self.tokens) else None
        return token if isinstance(token, Word) else None

    def take_word(self, text: str) -> bool:
        """Take the word `text` where it comes next."""
        word = self.peek_word()
        if word is None or word.text != text:
            return False
        self.at += 1
        return True

    def text(self, what: str) -> Text:
        """The next text."""
        if self.at < len(self.tokens):
            token = self.tokens[self.at]
            if isinstance(token, Text):
                self.at += 1
                return token
        raise self.missing(f'{what} in "..."')

    def expression(self) -> Expression:
        """The next expression."""
        if self.at < len(self.tokens):
            token = self.tokens[self.at]
            if isinstance(token, Expression):
                self.at += 1
                return token
        raise self.missing("an expression in /.../")

    def pattern(self) -> Expression | Text:
        """The next expression or text."""
        if self.at < len(self.tokens):
            token = self.tokens[self.at]
            if not isinstance(token, Word):
                self.at += 1
                return token
        raise self.missing('an expression in /.../ or a text in "..."')

    def duration(self) -> int:
        """The next word as a time, in ms."""
        word = self.word("a time such as 5s")
        ms = parse_time(word.text)
        if ms is None:
            raise self.place.at(word.column).error(
                f"{word.text!r} is no time", "write it as 500ms, 5s, 2min or 1h (at most 168h)"
            )
        return ms

    def option(self, name: str, default: int) -> int:
        """The time behind the word `name`, where it comes next."""
        return self.duration() if self.take_word(name) else default

    def required_time(self, name: str) -> int:
        """The time behind the word `name`."""
        if not self.take_word(name):
            raise self.missing(f"`{name} TIME`")
        return self.duration()

    def until(self, *names: str) -> Sequence[Token]:
        """The words before the first of `names`, or the end."""
        start = self.at
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if isinstance(token, Word) and token.text in names:
                break
            self.at += 1
        return self.tokens[start : self.at]

    def hex_bytes(self) -> bytes:
        """All words that are left, as bytes in hex."""
        data = b""
        while self.at < len(self.tokens):
            word = self.word("bytes in hex")
            try:
                data += bytes.fromhex(word.text)
            except ValueError:
                raise self.place.at(word.column).error(
                    f"{word.text!r} is not bytes in hex", "two digits a byte: 01 02 FF"
                ) from None
        if not data:
            raise self.missing("bytes in hex")
        return data

    def end(self) -> None:
        """Nothing may follow."""
        if self.at < len(self.tokens):
            column = self.tokens[self.at].column
            raise self.place.at(column).error("this is too much", f"write {self.usage}")
