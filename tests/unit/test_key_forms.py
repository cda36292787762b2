# SPDX-License-Identifier: GPL-3.0-or-later
"""Which known stacks read an AuthorizationKey alike."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.link.secret_source import generate_key
from evtool.protocol.key_forms import STACKS, readings
from evtool.protocol.ocpp16 import render_basic_authorization

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=20, max_size=20)


def disagreeing(text: str) -> set[str]:
    return {each.stack.name.split()[0].rstrip(",") for each in readings(text) if not each.agrees}


@pytest.mark.parametrize(
    ("text", "who"),
    [
        (b"Zbcdefghijklmnopqrst".hex(), set()),
        ("0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF", {"EVerest"}),
        ("00112233445566778899aabbccddeeff", {"EVerest", "Tinkerforge"}),
        (b"Zbcdefghijklmnop".hex(), {"Tinkerforge"}),
        ("Zbcdefghijklmnopqrst", {"MicroOcpp"}),
        # Text of hex digits alone: 16 to 20 of them are the key itself, not half of one.
        ("0123456789abcdef0123", {"MicroOcpp"}),
        ("41424344454647484950", {"MicroOcpp", "EVerest"}),
    ],
)
def test_known_vectors(text: str, who: set[str]) -> None:
    assert disagreeing(text) == who


@given(PRINTABLE)
def test_twenty_printable_characters_as_hex_are_read_alike(text: str) -> None:
    assert not disagreeing(text.encode().hex())


@given(st.binary(min_size=16, max_size=20))
def test_only_those_are(key: bytes) -> None:
    alike = len(key) == 20 and all(0x20 <= byte <= 0x7E or byte == 0x0A for byte in key)
    assert (not disagreeing(key.hex())) == alike


def test_a_generated_key_is_read_alike_in_its_hex_form() -> None:
    for _ in range(200):
        assert not disagreeing(generate_key().encode().hex())


@given(st.text(string.printable, max_size=15) | st.text(string.printable, min_size=41))
def test_what_is_no_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be 16 to 20 printable ASCII characters, or") as no:
        readings(text)
    assert len(text) < 20 or text not in str(no.value)
    for stack in STACKS[1:]:
        assert all(isinstance(each, bytes) for each in stack.passwords(text))


def test_no_reading_tells_the_key() -> None:
    key = "Zbcdefghijklmnopqrst"
    for each in readings(key) + readings(key.encode().hex()):
        assert key not in each.meaning
        assert key.encode().hex() not in each.meaning


def test_the_header_of_the_specification() -> None:
    key = bytes.fromhex("0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF")
    header = render_basic_authorization("AL1000", key)
    assert header == "Basic QUwxMDAwOgABAgMEBQYH////////////////"
