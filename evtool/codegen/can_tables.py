# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the CAN tables for C++ and for Python from one database."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from evtool.codegen.template import render
from evtool.errors import ConfigError
from evtool.protocol.can_description import DatabaseMessage, DatabaseSignal

# Words that C++ keeps for itself and that a value's name could be.
_CPP_WORDS = frozenset(
    """alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t
    char32_t class compl const constexpr const_cast continue decltype default delete do double
    dynamic_cast else enum explicit export extern false float for friend goto if inline int long
    mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public
    register reinterpret_cast return short signed sizeof static static_assert static_cast struct
    switch template this thread_local throw true try typedef typeid typename union unsigned using
    virtual void volatile wchar_t while xor xor_eq linux unix""".split()
)
# Names that the tables use themselves, and words of Python that look like types.
_TAKEN_TYPES = frozenset(
    {"Signal", "ByteOrder", "SignalKind", "Kind", "IntEnum", "Final", "None", "True", "False"}
)
_TAKEN_SIGNALS = frozenset({"id", "extended", "length", "min_length", "period_ms"})


@dataclass(frozen=True, slots=True)
class _ValueRow:
    name: str
    raw: int


@dataclass(frozen=True, slots=True)
class _SignalRow:
    """One signal as the templates see it."""

    name: str
    pascal: str
    source: DatabaseSignal
    values: tuple[_ValueRow, ...]
    note: str

    @property
    def cpp_type(self) -> str:
        """The smallest standard integer that holds every raw value."""
        bits = next(size for size in (8, 16, 32, 64) if size >= self.source.signal.length)
        sign = "" if self.source.signal.kind.value == "signed_integer" else "u"
        return f"std::{sign}int{bits}_t"


@dataclass(frozen=True, slots=True)
class _MessageRow:
    """One message as the templates see it."""

    name: str
    pascal: str
    source: DatabaseMessage
    signals: tuple[_SignalRow, ...]

    @property
    def owns_id(self) -> bool:
        """Not a message that shares the identifier of another."""
        return self.source.shares_id_of is None


def render_cpp(messages: Sequence[DatabaseMessage]) -> str:
    """`can_tables.hpp`.

    Raises:
        ConfigError: a name in the database cannot be a name in C++.
    """
    return render("can_tables.hpp.j2", **_context(messages))


def render_python(messages: Sequence[DatabaseMessage]) -> str:
    """`can_tables.py`.

    Raises:
        ConfigError: a name in the database cannot be a name in Python.
    """
    return render("can_tables.py.j2", **_context(messages))


def _context(messages: Sequence[DatabaseMessage]) -> dict[str, Any]:
    rows = [_message_row(message) for message in messages]
    _refuse_clashes("message names", (row.pascal for row in rows))
    for row in rows:
        if row.pascal in _TAKEN_TYPES or not row.pascal[:1].isalpha():
            raise ConfigError(f"CAN database: a message cannot be named {row.name}")
    senders = sorted({m.sender for m in messages if m.received})
    received = [
        (sender, _pascal(sender), sorted({m.can_id for m in messages if m.sender == sender}))
        for sender in senders
    ]
    return {
        "messages": rows,
        "received_ids": sorted({m.can_id for m in messages if m.received}),
        "received_from": received,
    }


def _message_row(message: DatabaseMessage) -> _MessageRow:
    signals = tuple(_signal_row(message, signal) for signal in message.signals)
    pascal = _pascal(message.name)
    _refuse_clashes(f"signal names of {message.name}", (row.pascal for row in signals))
    for row in signals:
        taken_type = row.pascal == pascal or row.pascal in _TAKEN_TYPES
        taken = row.name.lower() in _TAKEN_SIGNALS or row.name.startswith("_")
        if taken or (row.values and taken_type) or not row.pascal[:1].isalpha():
            raise ConfigError(
                f"CAN database: a signal of {message.name} cannot be named {row.name}"
            )
    return _MessageRow(message.name, pascal, message, signals)


def _signal_row(message: DatabaseMessage, signal: DatabaseSignal) -> _SignalRow:
    where = f"{message.name}.{signal.name}"
    values = tuple(_ValueRow(_value_name(text, where), raw) for raw, text in signal.values)
    _refuse_clashes(f"value names of {where}", (value.name for value in values))
    return _SignalRow(signal.name, _pascal(signal.name), signal, values, _note(signal))


def _note(signal: DatabaseSignal) -> str:
    """Scale, unit, function and comment in one line."""
    parts = []
    if signal.unit or signal.factor != 1 or signal.offset:
        offset = f" offset {signal.offset:.12g}" if signal.offset else ""
        parts.append(f"{_scale(signal.factor)} {signal.unit}{offset}".strip())
    if signal.signal.kind.value == "float_bits":
        parts.append("IEEE-754 bits")
    if signal.functions:
        parts.append("function " + ", ".join(f"0x{value:02X}" for value in signal.functions))
    if signal.comment:
        parts.append(signal.comment.rstrip("."))
    return "; ".join(parts)


def _scale(factor: float) -> str:
    """A factor as people write it: 0.1, 1/1024, 1/30.5."""
    plain = f"{factor:.12g}"
    return plain if len(plain) <= 6 or not factor else f"1/{1 / factor:.6g}"


def _value_name(text: str, where: str) -> str:
    """`Not charging` -> `not_charging`."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    if not name or name[0].isdigit() or name in _CPP_WORDS or keyword.iskeyword(name):
        raise ConfigError(
            f"CAN database: value {text!r} of {where} cannot be a name in C++ and Python",
            fix="begin it with a letter and avoid words of these languages",
        )
    return name


def _pascal(name: str) -> str:
    """`charge_request` -> `ChargeRequest`; words that are upper case all over come down."""
    words = [word for word in name.split("_") if word]
    return "".join(
        word[0].upper() + (word[1:].lower() if word.isupper() else word[1:]) for word in words
    )


def _refuse_clashes(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise ConfigError(f"CAN database: {what}: {name} stands for two of them")
        seen.add(name.lower())
