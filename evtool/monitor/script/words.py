# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of a script's line: plain words, "texts" and /expressions/, each with its place.

::

    send "s\\r\\n"     a text: \\r \\n \\t \\0 \\\\ \\" \\$ and \\xHH; ${name} is a variable
    expect /boot/i   an expression of Python's re, its / written \\/; i: in any case
    # a comment, up to the end of the line
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from evtool.errors import ConfigError

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\", '"': '"', "$": "$"}
_BARE = re.compile(r'[^\s"#]+')


class ScriptError(ConfigError):
    """A line of a script that cannot be run; the message begins with file:line:column."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a script; line and column count from 1."""

    file: str
    line: int
    column: int = 1

    def at(self, column: int) -> Place:
        """Another column of the same line."""
        return Place(self.file, self.line, column)

    def error(self, message: str, fix: str) -> ScriptError:
        """The error that says what is wrong here."""
        return ScriptError(f"{self.file}:{self.line}:{self.column}: {message}", fix=fix)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


# A text in pieces: str as it is written, or the name of the variable that stands there.
@dataclass(frozen=True, slots=True)
class Reference:
    """`${name}` within a text or an expression."""

    name: str
    column: int


Piece = str | Reference


@dataclass(frozen=True, slots=True)
class Word:
    """A plain word."""

    text: str
    column: int


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted text; its escapes are resolved, its variables are not."""

    pieces: tuple[Piece, ...]
    column: int


@dataclass(frozen=True, slots=True)
class Expression:
    """A regular expression; its variables will stand for themselves, not for expressions."""

    pieces: tuple[Piece, ...]
    flags: re.RegexFlag
    column: int
    source: str


Token = Word | Text | Expression


def split_words(line: str, place: Place) -> list[Token]:
    """The words of `line`, without its comment.

    Raises:
        ScriptError: a quote or an expression is not closed, or an escape is unknown.
    """
    tokens: list[Token] = []
    at = 0
    while at < len(line):
        character = line[at]
        if character.isspace():
            at += 1
        elif character == "#":
            break
        elif character == '"':
            text, at = _text(line, at, place)
            tokens.append(text)
        elif character == "/":
            expression, at = _expression(line, at, place)
            tokens.append(expression)
        else:
            found = _BARE.match(line, at)
            assert found is not None  # noqa: S101 - the character is none of the above
            tokens.append(Word(found[0], at + 1))
            at = found.end()
    return tokens


def _text(line: str, start: int, place: Place) -> tuple[Text, int]:
    pieces: list[Piece] = []
    literal = ""
    at = start + 1
    while at < len(line):
        character = line[at]
        if character == '"':
            return Text(_with(pieces, literal), start + 1), at + 1
        variable = VARIABLE.match(line, at)
        if variable is not None:
            pieces = [*_with(pieces, literal), Reference(variable[1], at + 1)]
            literal = ""
            at = variable.end()
        elif character == "\\":
            value, at = _escape(line, at, place)
            literal += value
        else:
            literal += character
            at += 1
    raise place.at(start + 1).error("the text is not closed", 'end it with "')


def _escape(line: str, at: int, place: Place) -> tuple[str, int]:
    following = line[at + 1 : at + 2]
    if following in _ESCAPES and following:
        return _ESCAPES[following], at + 2
    digits = line[at + 2 : at + 4]
    if following == "x" and re.fullmatch(r"[0-9A-Fa-f]{2}", digits):
        value = int(digits, 16)
        if value < 0x80:
            return chr(value), at + 4
        fix = "write bytes from 80 on with send-hex"
        raise place.at(at + 1).error(f"\\x{digits} is no character of a text", fix)
    raise place.at(at + 1).error(
        f"unknown escape \\{following}", r"the escapes are \r \n \t \0 \\ \" \$ and \xHH"
    )


def _expression(line: str, start: int, place: Place) -> tuple[Expression, int]:
    end = start + 1
    while end < len(line) and line[end] != "/":
        end += 2 if line[end] == "\\" else 1
    if end >= len(line):
        raise place.at(start + 1).error(
            "the expression is not closed", "end it with /; a / within it is written \\/"
        )
    source = line[start + 1 : end]
    flags = re.RegexFlag(0)
    at = end + 1
    if line[at : at + 1] == "i":
        flags, at = re.IGNORECASE, at + 1
    if at < len(line) and not line[at].isspace():
        raise place.at(at + 1).error(
            f"{line[at]!r} follows the expression", "only i (any case) may stand behind its /"
        )
    if not source:
        raise place.at(start + 1).error(
            "an empty expression fits everything", "write what the line must hold"
        )
    pieces: list[Piece] = []
    done = 0
    for variable in VARIABLE.finditer(source):
        literal = source[done : variable.start()].replace("\\/", "/")
        pieces = [*_with(pieces, literal), Reference(variable[1], start + 2 + variable.start())]
        done = variable.end()
    pieces = list(_with(pieces, source[done:].replace("\\/", "/")))
    expression = Expression(tuple(pieces), flags, start + 1, source)
    _check_expression(expression, place)
    return expression, at


def _check_expression(expression: Expression, place: Place) -> None:
    # A variable becomes an escaped text: a single letter stands in for it here.
    source = "".join(piece if isinstance(piece, str) else "x" for piece in expression.pieces)
    try:
        re.compile(source, expression.flags)
    except re.error as error:
        column = expression.column + 1 + (error.pos or 0)
        raise place.at(column).error(
            f"/{expression.source}/ is no regular expression: {error.msg}",
            "the expressions are those of Python's re",
        ) from error


def _with(pieces: list[Piece], literal: str) -> tuple[Piece, ...]:
    return (*pieces, literal) if literal else tuple(pieces)


def unescape(text: str) -> str:
    """A text with the escapes of a script's texts, and no variables.

    Raises:
        ScriptError: an unknown escape.
    """
    found, at = "", 0
    while at < len(text):
        if text[at] == "\\":
            piece, at = _escape(text, at, Place("", 0))
        else:
            piece, at = text[at], at + 1
        found += piece
    return found


def references(pieces: tuple[Piece, ...]) -> list[Reference]:
    """The variables of a text or an expression."""
    return [piece for piece in pieces if isinstance(piece, Reference)]


def fill(pieces: tuple[Piece, ...], variables: dict[str, str]) -> str:
    """The text, with its variables put in."""
    return "".join(p if isinstance(p, str) else variables[p.name] for p in pieces)


def group_names(expression: Expression) -> list[str]:
    """The variables that a match of `expression` sets."""
    source = "".join(piece if isinstance(piece, str) else "x" for piece in expression.pieces)
    return list(re.compile(source, expression.flags).groupindex)


def compile_expression(expression: Expression, variables: dict[str, str]) -> re.Pattern[str]:
    """The expression, with its variables as texts."""
    source = "".join(
        p if isinstance(p, str) else re.escape(variables[p.name]) for p in expression.pieces
    )
    return re.compile(source, expression.flags)
