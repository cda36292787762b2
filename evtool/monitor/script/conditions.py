# SPDX-License-Identifier: GPL-3.0-or-later
"""Conditions on the firmware's records: `terminal.v between 60 and 84`, `bms.switch is on`.

A quantity is named as the console prints it (`terminal.v`, in V) or as a record has it
(`terminal.voltage_mv`, in mV). Limits may carry the unit; they are compared as whole numbers of
the record's own unit, so 0.1 + 0.2 is no trouble here. A value that the board does not know
(`-`) satisfies no condition but `is unknown`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import eq, ge, gt, le, lt, ne

from evtool.monitor.script.words import Place, Token, Word
from evtool.protocol.console import FIELDS, UNITS, Quantity, Record, Value, format_quantity

RECORDS = tuple(name for name in FIELDS if name != "event")
_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
    "=": eq,
    "!=": ne,
}
_NUMBER = re.compile(r"([+-]?[0-9]{1,12}(?:\.[0-9]{1,9})?)([A-Za-z%]*)\Z")
_OPERATORS = "between A and B, not between A and B, < <= > >= = != A, is WORD, is not WORD"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on one field.

    Attributes:
        record, field: which, as `evtool.protocol.console` names them.
        name: the quantity as the script names it.
        text: the condition as the script has it, without the quantity.
        holds: whether a value, never None, satisfies it.
        unknown: what an unknown value makes of it.
        quantity: its number's unit and decimals; None for a word.
    """

    record: str
    field: str
    name: str
    text: str
    holds: Callable[[int | str], bool]
    unknown: bool = False
    quantity: Quantity | None = None

    def of(self, record: Record) -> bool:
        """Whether `record` satisfies it."""
        value = record.fields.get(self.field)
        return self.unknown if value is None else self.holds(value)

    def shown(self, record: Record) -> str:
        """The value as people read it."""
        return _shown(record.fields.get(self.field), self.quantity)


def _shown(value: Value, quantity: Quantity | None) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, int) and quantity is not None:
        return format_quantity(value, quantity)
    return str(value)


def parse_condition(tokens: Sequence[Token], place: Place) -> Condition:
    """The condition that `tokens` (`terminal.v`, `between`, ...) are.

    Raises:
        ScriptError: an unknown record, field, operator, unit, or a number that is none.
    """
    words = [_word(token, place) for token in tokens]
    record, field, quantity = _quantity(words[0], place)
    text = " ".join(word.text for word in words[1:])
    if len(words) == 1:
        fix = f"write one of: {_OPERATORS}"
        raise place.at(words[0].column).error(f"{words[0].text}: a condition is missing", fix)
    holds, unknown = _parse_test(words[0], words[1:], quantity, place)
    return Condition(record, field, words[0].text, text, holds, unknown, quantity)


def _word(token: Token, place: Place) -> Word:
    if not isinstance(token, Word):
        raise place.at(token.column).error(
            "a condition is made of words", f"a quantity, then one of: {_OPERATORS}"
        )
    return token


def _quantity(word: Word, place: Place) -> tuple[str, str, Quantity | None]:
    record, _, key = word.text.partition(".")
    if record not in RECORDS:
        raise place.at(word.column).error(
            f"there is no record {record!r}", f"the records are {', '.join(RECORDS)}"
        )
    by_name = dict(FIELDS[record].values())
    if key in FIELDS[record]:
        field, quantity = FIELDS[record][key]
    elif key in by_name:
        # Named as the record has it: limits are whole numbers of that unit.
        found = by_name[key]
        field, quantity = key, None if found is None else Quantity("", 0, 0)
    elif key == "raw" and record in {"bms", "power_module"}:
        field, quantity = "raw", None
    else:
        near = difflib.get_close_matches(key, [*FIELDS[record], *by_name], 1)
        hint = f"did you mean {record}.{near[0]}? " if near else ""
        known = ", ".join(f"{record}.{name}" for name in FIELDS[record])
        raise place.at(word.column).error(
            f"{record} has no field {key!r}", f"{hint}its fields are {known}"
        )
    return record, field, quantity


def _parse_test(  # noqa: PLR0911  one case a condition
    name: Word, words: Sequence[Word], quantity: Quantity | None, place: Place
) -> tuple[Callable[[int | str], bool], bool]:
    texts = [word.text for word in words]
    match texts:
        case ["is", "unknown"]:
            return (lambda value: False), True
        case ["is", "known"] | ["is", "not", "unknown"]:
            return (lambda value: True), False
        case ["is", wanted] if quantity is None:
            return (lambda value: value == wanted), False
        case ["is", "not", wanted] if quantity is None:
            return (lambda value: value != wanted), False
        case ["between", _, "and", _]:
            low, high = _limits(words[1], words[3], quantity, place)
            return (lambda value: isinstance(value, int) and low <= value <= high), False
        case ["not", "between", _, "and", _]:
            low, high = _limits(words[2], words[4], quantity, place)
            return (lambda value: isinstance(value, int) and not low <= value <= high), False
        case [sign, _] if sign in _COMPARISONS:
            compare = _COMPARISONS[sign]
            limit = _number(words[1], quantity, place)
            return (lambda value: isinstance(value, int) and compare(value, limit)), False
    fix = f"write one of: {_OPERATORS}"
    if texts[0] == "is" and quantity is not None:
        fix = f"{name.text} is a number: compare it with =, < or between"
    raise place.at(words[0].column).error(f"{' '.join(texts)!r} is no condition", fix)


def _limits(
    low_word: Word, high_word: Word, quantity: Quantity | None, place: Place
) -> tuple[int, int]:
    low, high = (_number(word, quantity, place) for word in (low_word, high_word))
    if low > high:
        raise place.at(low_word.column).error(
            f"{low_word.text} is above {high_word.text}: nothing lies between",
            "write the lower limit first",
        )
    return low, high


def _number(word: Word, quantity: Quantity | None, place: Place) -> int:
    """A limit in the record's own unit."""
    where = place.at(word.column)
    if quantity is None:
        raise where.error("this field is a word, not a number", "compare it with `is WORD`")
    match = _NUMBER.match(word.text)
    if match is None:
        raise where.error(f"{word.text!r} is no number", "write it as 60, 60.5 or 60.5V")
    power = quantity.power
    if match[2] and match[2] != quantity.unit:
        own = UNITS.get(quantity.unit)
        given = UNITS.get(match[2])
        if own is None or given is None or own[0] != given[0]:
            raise where.error(
                f"{word.text}: {match[2]} is not a unit of this field",
                f"write it in {quantity.unit}" if quantity.unit else "write it without a unit",
            )
        power = given[1]
    value = Decimal(match[1]).scaleb(power)
    if value != value.to_integral_value():
        raise where.error(
            f"{word.text} has more decimals than the board's values",
            f"at most {power} decimals" if power else "write a whole number",
        )
    return int(value)
