# SPDX-License-Identifier: GPL-3.0-or-later
"""Any text as C++ source that means exactly that text."""

from __future__ import annotations

_NAMED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def cpp_string(text: str) -> str:
    r"""A C++ string literal, quotes included, whose bytes are the UTF-8 of `text`.

    Printable ASCII stands for itself, save for `"`, `\` and `?`: with the last one escaped no
    trigraph (`??/`) can arise in any language mode. Every other byte is a three-digit octal
    escape, which ends after its third digit; a hex escape would swallow the digits after it.

    Raises:
        ValueError: `text` holds NUL, where a C string would end, or a lone surrogate, which
            has no UTF-8.
    """
    if "\0" in text:
        raise ValueError("must not contain NUL: a C string ends there")
    try:
        data = text.encode()
    except UnicodeEncodeError:
        # `from None`: the error carries the text, which may be secret
        raise ValueError("is not valid Unicode text (a lone surrogate)") from None
    parts = []
    for byte in data:
        character = chr(byte)
        if character in _NAMED:
            parts.append(_NAMED[character])
        elif character == "?":
            parts.append("\\?")
        elif 0x20 <= byte < 0x7F:
            parts.append(character)
        else:
            parts.append(f"\\{byte:03o}")
    return '"' + "".join(parts) + '"'


def cpp_integer(value: int) -> str:
    """A decimal literal; refuses what is no integer, such as a text from elsewhere.

    Raises:
        TypeError: `value` is not an int.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"an integer, not {type(value).__name__}")
    return str(value)


def cpp_comment(text: str) -> str:
    """`text` as one line that is safe behind `//`: no line end, and no `\\` to join lines.

    Characters beyond printable ASCII become `?`, a `?` before another one is dropped, so that
    no trigraph for `\\` arises.
    """
    line = "".join(c if " " <= c <= "~" and c != "\\" else "?" for c in " ".join(text.split()))
    while "??" in line:
        line = line.replace("??", "?")
    return line
