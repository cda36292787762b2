# SPDX-License-Identifier: GPL-3.0-or-later
"""Small wrong changes to C++ text, token by token."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mutation.mutant import Mutant, make

# Comments, strings and preprocessor lines are passed over; the rest are single tokens.
_TOKEN = re.compile(
    r"""(?P<skip>//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])'|^[ \t]*\#[^\n]*)
    |(?P<number>\b(?:0x[0-9A-Fa-f']+|[0-9][0-9']*)[uUlL]*\b)
    |(?P<word>\b[A-Za-z_]\w*\b)
    |(?P<operator><<=|>>=|<=|>=|==|!=|&&|\|\||<<|>>|->|::|\+\+|--|\+=|-=|\*=|/=|%=|[-+*/%<>=!?:&|^~])
    |(?P<bracket>[(){}\[\];,.])""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_SWAPS = {
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
    "&&": ("||",),
    "||": ("&&",),
    "+": ("-",),
    "-": ("+",),
    "*": ("+",),
    "/": ("*",),
    "%": ("*",),
    "+=": ("=", "-="),
    "-=": ("+=",),
    "%=": ("=",),
    "++": ("--",),
    "&": ("|",),
    "|": ("&",),
}
_WORDS = {"true": ("false",), "false": ("true",), "min": ("max",), "max": ("min",)}
_CONDITION = re.compile(r"\b(?:if|while) \(")
_VOID_FUNCTION = re.compile(r"^ *void [\w:]+\([^{;]*\) \{", re.MULTILINE)
_RETURN = re.compile(r"\breturn ([^;{]+);")
# A call, an assignment or an increment that stands alone. Declarations do not begin so.
_STATEMENT = re.compile(
    r"(?<=[;{}:])\s*\n[ \t]*((?:\+\+\w+|[a-z_][\w.\->\[\]]*(?:\(|\s*[-+*/%]?= |\+\+;))[^;{}]*;)",
    re.DOTALL,
)
_NOT_STATEMENTS = ("return", "using", "const", "break", "if", "for", "while", "case", "auto")
_TYPE_BRACKETS = re.compile(
    r"\b(?:optional|array|min|max|numeric_limits|static_cast|Timed|template)\s*<[^;(){}]*?>+"
)


def mutants_of(file: str, text: str) -> Iterator[Mutant]:
    """Every mutant of a C++ file, in no particular order, each once."""
    seen: set[tuple[int, str, str]] = set()
    for start, old, new in (*_tokens(text), *_structure(text)):
        if (start, old, new) not in seen:
            seen.add((start, old, new))
            yield make(file, text, start, old, new)


def _tokens(text: str) -> Iterator[tuple[int, str, str]]:
    types = [match.span() for match in _TYPE_BRACKETS.finditer(text)]
    previous = ""
    for match in _TOKEN.finditer(text):
        if match["skip"] is not None:
            continue
        token, start = match.group(), match.start()
        in_type = any(low <= start < high for low, high in types)
        if match["number"] and not in_type:
            yield from ((start, token, new) for new in _numbers(token))
        elif (match["word"] and previous != "::") or token in ("min", "max"):
            yield from ((start, token, new) for new in _WORDS.get(token, ()))
        elif match["operator"] and not in_type and _is_binary(text, match, previous):
            yield from ((start, token, new) for new in _SWAPS.get(token, ()))
        if token == "!":
            yield start, token, ""
        if token == "-" and not _is_binary(text, match, previous):
            yield start, token, ""
        previous = token


def _is_binary(text: str, match: re.Match[str], previous: str) -> bool:
    """Whether an operator stands between two values: clang-format puts spaces around it."""
    token = match.group()
    if token in ("++", "--"):
        return True
    spaced = text[match.start() - 1] in " \n" and text[match.end() : match.end() + 1] in (" ", "\n")
    return spaced and previous not in ("(", ",", "=", "return")


def _numbers(token: str) -> Iterator[str]:
    digits = re.sub(r"[uUlL']", "", token)
    suffix = token[len(token.rstrip("uUlL")) :]
    value = int(digits, 0)
    yield f"{value + 1}{suffix}"
    if value > 0:
        yield f"{value - 1}{suffix}"


def _structure(text: str) -> Iterator[tuple[int, str, str]]:
    plain = _blank_comments(text)
    for match in _CONDITION.finditer(plain):
        condition = _bracketed(plain, match.end() - 1)
        inner = condition[1:-1]
        if ";" in inner:  # an `if` that declares
            continue
        start = match.end()
        for new in (f"!({inner})", "true", "false"):
            yield start, text[start : start + len(inner)], new
    for match in re.finditer(r"\s\? ", plain):
        start = _before_question(plain, match.start())
        old = text[start : match.start()]
        yield start, old, f"!({old})"
    for match in _RETURN.finditer(plain):
        yield from _returns(match)
    for match in _STATEMENT.finditer(plain):
        old = match.group(1)
        if not old.startswith(_NOT_STATEMENTS):
            yield match.start(1), text[match.start(1) : match.end(1)], ";"
    for match in _VOID_FUNCTION.finditer(plain):
        yield match.end(), "", " return;"
    for match in re.finditer(r"\bbreak;(?!\s*\})", plain):
        yield match.start(), "break;", "[[fallthrough]];"


def _before_question(text: str, end: int) -> int:
    """Where the condition of a ternary begins."""
    depth = 0
    for start in range(end - 1, 0, -1):
        depth += {")": 1, "(": -1}.get(text[start], 0)
        if depth < 0 or (depth == 0 and (text[start] in ",;{" or text[start : start + 2] == "= ")):
            return start + 1 + (text[start + 1] == " ")
        if depth == 0 and text.startswith("return ", start):
            return start + len("return ")
    raise ValueError("a ternary without a condition")


def _returns(match: re.Match[str]) -> Iterator[tuple[int, str, str]]:
    start, old = match.start(1), match.group(1)
    if re.search(r"&&|\|\||[<>=!]=| [<>] |^!|_value\(\)$", old) and "?" not in old:
        yield start, old, f"!({old})"
        yield start, old, "true"
        yield start, old, "false"


def _blank_comments(text: str) -> str:
    """The same length, without what is no code."""

    def blank(match: re.Match[str]) -> str:
        if match["skip"] is None:
            return match.group()
        return re.sub(r"[^\n]", " ", match.group())

    return _TOKEN.sub(blank, text)


def _bracketed(text: str, start: int) -> str:
    depth = 0
    for end in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if depth == 0:
            return text[start : end + 1]
    raise ValueError("a bracket is not closed")
