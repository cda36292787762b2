# SPDX-License-Identifier: GPL-3.0-or-later
"""secrets.h as text: escapes, URL parts, refusals that repeat no secret."""

from __future__ import annotations

import re
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.codegen.controller_config import render_controller_config
from evtool.codegen.cpp_text import cpp_comment, cpp_integer, cpp_string
from evtool.codegen.secrets import SecretsInput, render_secrets
from evtool.errors import ConfigError
from evtool.project import Can, ChargePoint, Limits, Secret

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "codegen"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
VALUES = SecretsInput(
    charge_point=ChargePoint("CP 1/é", "Example", 'Model "C"', "SN-0001", "LOCAL"),
    wifi_ssid="caf\N{LATIN SMALL LETTER E WITH ACUTE}1??/",
    wifi_passphrase=Secret('pa"ss\\word\t1'),
    csms_url="wss://csms.example.com/ocpp",
    authorization_key=Secret("4142434445464748494a4b4c4d4e4f5051525354"),
    security_profile=2,
    ca_certificate=CERTIFICATE,
    client_certificate=CERTIFICATE,
    client_key=Secret("-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n"),
)


def macro(text: str, name: str) -> str:
    found = re.search(rf"^#define {name} (.*)$", text, re.MULTILINE)
    assert found is not None
    return found[1]


def test_golden_secrets() -> None:
    assert render_secrets(VALUES) == (GOLDEN / "secrets.h.golden").read_text()


def test_golden_controller_config() -> None:
    can = Can(500_000, 2, "charged_minus_discharged", 60_000, "1/10", "deci")
    limits = Limits(50_000, 90_000, 200_000, 84_000, 50_000)
    text = render_controller_config(can, limits)
    assert text == (GOLDEN / "controller_config.hpp.golden").read_text()


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("", '""'),
        ("plain", '"plain"'),
        ('a"b', r'"a\"b"'),
        ("a\\", r'"a\\"'),
        ("??/", r'"\?\?/"'),
        ("é1", r'"\303\2511"'),
        ("\x01" + "7", r'"\0017"'),
        ("\n\r\t", r'"\n\r\t"'),
        ("\x7f", r'"\177"'),
        ("%s{{ x }}{% y %}", '"%s{{ x }}{% y %}"'),
    ],
)
def test_string_literals(text: str, literal: str) -> None:
    assert cpp_string(text) == literal


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_a_literal_is_one_line_of_printable_ascii_that_reads_back(text: str) -> None:
    literal = cpp_string(text)
    assert literal.isascii()
    assert literal.isprintable()
    assert "??" not in literal
    # Python reads octal escapes and \" as C++ does; `\?` it does not know.
    inner = literal[1:-1].replace("\\?", "?")
    assert inner.encode().decode("unicode_escape").encode("latin-1") == text.encode()


@given(st.text(st.characters(codec="utf-8")))
def test_a_comment_cannot_end_or_join_its_line(text: str) -> None:
    comment = cpp_comment(text)
    assert comment.isascii()
    assert comment == "" or comment.isprintable()
    assert "\\" not in comment
    assert "??" not in comment


def test_an_integer_is_an_integer() -> None:
    assert cpp_integer(-7) == "-7"
    for value in ("7", True, 7.0):
        with pytest.raises(TypeError):
            cpp_integer(value)  # type: ignore[arg-type]  # what must be refused


@pytest.mark.parametrize("profile_url", ["ws://h/ocpp", "ws://h/ocpp/", "ws://h/ocpp/CP%20%C3%A9"])
def test_the_identity_is_appended_once(profile_url: str) -> None:
    charge_point = replace(VALUES.charge_point, identity="CP é")
    text = render_secrets(replace(VALUES, charge_point=charge_point, csms_url=profile_url))
    assert macro(text, "SECRET_CSMS_URL") == '"ws://h/ocpp"'
    assert macro(text, "SECRET_CSMS_FULL_URL") == '"ws://h/ocpp/CP%20%C3%A9"'
    assert macro(text, "SECRET_CSMS_HOST") == '"h"'
    assert macro(text, "SECRET_CSMS_PORT") == "80"
    assert macro(text, "SECRET_CSMS_PATH") == '"/ocpp"'


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"csms_url": "http://h/secretpart"}, r"\[csms\] url: must be ws://"),
        ({"csms_url": "ws://user:secretpart@h/"}, r"\[csms\] url: .*password does not belong"),
        ({"csms_url": "ws://h:0/secretpart"}, r"\[csms\] url: .*port of 1 to 65535"),
        ({"csms_url": "ws://h:99999/secretpart"}, r"\[csms\] url: .*port of 1 to 65535"),
        ({"csms_url": "ws:///secretpart"}, r"\[csms\] url: must be ws://"),
        ({"csms_url": "ws://h/secret part"}, r"\[csms\] url: .*without blanks"),
        ({"csms_url": "ws://h/#secretpart"}, r"\[csms\] url: .*without blanks or #"),
        ({"wifi_ssid": "secretpart\0"}, r"\[wifi\] ssid: must not contain NUL"),
        ({"wifi_ssid": "secretpart\ud800"}, r"\[wifi\] ssid: is not valid Unicode"),
        (
            {"wifi_passphrase": Secret("secretpart\0x")},
            r"\[wifi\] passphrase: must not contain NUL",
        ),
    ],
)
def test_refusals_name_key_and_rule_and_repeat_nothing(
    change: dict[str, object], rule: str
) -> None:
    with pytest.raises(ConfigError, match=rule) as caught:
        render_secrets(replace(VALUES, **change))  # type: ignore[arg-type]  # one field each
    shown = "".join(traceback.format_exception(caught.value))
    assert "secretpart" not in shown.replace("Secret(", "")


def test_secrets_do_not_show_in_repr() -> None:
    assert "4142434445" not in repr(VALUES)
    assert "pa" + '"ss' not in repr(VALUES)
