# SPDX-License-Identifier: GPL-3.0-or-later
"""How known software turns the AuthorizationKey that was typed into the password of HTTP Basic.

OCPP-J 1.6 (6.2.2) means the bytes that the hex digits stand for; errata and white paper allow
16 to 20 of them. What was built since reads the same text in different ways, and a station
whose two ends read it differently is refused with 401.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evtool.protocol.authorization_key import key_as_hex

_HEX = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class Stack:
    """One reader of keys.

    Attributes:
        name: as people know it.
        rule: what it does with the text, in one line.
        passwords: the passwords that it tries in turn; none where it sends no Basic header, or
            refuses the text.
    """

    name: str
    rule: str
    passwords: Callable[[str], tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one stack makes of a key.

    Attributes:
        agrees: it sends, at first, the very bytes that are meant.
        meaning: what it does, without the key in it.
    """

    stack: Stack
    agrees: bool
    meaning: str


def _octt(text: str) -> tuple[bytes, ...]:
    return (bytes.fromhex(key_as_hex(text)),)


def _microocpp(text: str) -> tuple[bytes, ...]:
    if 0 < len(text) <= 40 and len(text) % 2 == 0 and set(text) <= _HEX:
        return (bytes.fromhex(text),)
    return ()


def _libocpp(text: str) -> tuple[bytes, ...]:
    if len(text) > 2 and set(text) <= _HEX:
        # A digit that is left over stands alone, and a line feed counts as printable.
        decoded = bytes(int(text[i : i + 2], 16) for i in range(0, len(text), 2))
        if all(0x20 <= byte <= 0x7E or byte == 0x0A for byte in decoded):
            return (decoded,)
    return (text.encode(),)


def _tinkerforge(text: str) -> tuple[bytes, ...]:
    if len(text) == 40 and set(text) <= _HEX:
        return bytes.fromhex(text), text.encode()
    return (text.encode(),)


STACKS = (
    Stack(
        "OCTT (the OCA's test tool)",
        "32 to 40 hex digits are decoded, 16 to 20 characters are the key itself",
        _octt,
    ),
    Stack(
        "MicroOcpp, OpenEVSE",
        "up to 40 hex digits are decoded; with anything else no Basic header is sent",
        _microocpp,
    ),
    Stack(
        "EVerest (libocpp)",
        "hex digits are decoded only where every byte is printable",
        _libocpp,
    ),
    Stack(
        "Tinkerforge",
        "exactly 40 hex digits are decoded, and sent as they are in every other attempt",
        _tinkerforge,
    ),
)


def readings(text: str) -> list[Reading]:
    """What each known stack makes of the key `text`.

    Raises:
        ValueError: it is no key.
    """
    meant = bytes.fromhex(key_as_hex(text))
    return [_reading(stack, text, meant) for stack in STACKS]


def _reading(stack: Stack, text: str, meant: bytes) -> Reading:
    passwords = stack.passwords(text)
    if not passwords:
        return Reading(stack, False, "sends no Basic header")
    if passwords[0] == meant:
        return Reading(stack, True, f"the {len(meant)} bytes that are meant")
    if passwords[0] == text.encode():
        return Reading(stack, False, f"the {len(text)} characters as they are")
    return Reading(stack, False, f"{len(passwords[0])} bytes decoded from what is no hex here")
