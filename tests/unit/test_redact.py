# SPDX-License-Identifier: GPL-3.0-or-later
"""No known secret passes, in any form, across any cut between chunks."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.monitor.redact import (
    HOLD_MS,
    LONG_HOLD_MS,
    MASK,
    Redactor,
    mask_document,
    text_mask,
    written_mask,
)

SECRET = 'pa"ss wörd/+9'
KEY = "5f3c9A01bEefD2c4a5b6C7d8e9f0a1b2c3d4e5f6"
FORMS = {
    "plain": SECRET.encode(),
    "hex": SECRET.encode().hex().encode(),
    "hex in capitals": SECRET.encode().hex().upper().encode(),
    "hex dump": SECRET.encode().hex(" ").encode(),
    "base64": base64.b64encode(SECRET.encode()),
    "basic header, 1 before": base64.b64encode(b"C:CP:" + SECRET.encode()),
    "basic header, 2 before": base64.b64encode(b"CP:01:" + SECRET.encode() + b"x"),
    "base64 for URLs": base64.urlsafe_b64encode(b"12" + SECRET.encode()),
    "percent": quote(SECRET, safe="").encode(),
    "percent, small letters": quote(SECRET, safe="").lower().encode(),
    "percent and slash": quote(SECRET).encode(),
    "form": quote_plus(SECRET).encode(),
    "every byte percent": "".join(f"%{byte:02X}" for byte in SECRET.encode()).encode(),
    "JSON": json.dumps(SECRET)[1:-1].encode(),
    "JSON in UTF-8": json.dumps(SECRET, ensure_ascii=False)[1:-1].encode(),
}


def redact(secrets: list[str], data: bytes, cuts: list[int]) -> bytes:
    redactor = Redactor(secrets)
    shown = b""
    start = 0
    for cut in [*sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]:
        shown += redactor.feed(data[start:cut])
        start = cut
    return shown + redactor.finish()


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_is_masked_at_every_cut(form: bytes) -> None:
    line = b"wifi: <" + form + b"> joined\r\n"
    for cut in range(len(line)):
        shown = redact([SECRET], line, [cut])
        assert MASK in shown
        assert shown.startswith(b"wifi: <")
        assert shown.endswith(b"> joined\r\n")
        # base64 may leave the digits that also depend on what stands around the secret
        assert len(shown) <= len(b"wifi: <> joined\r\n") + len(MASK) + 11
        assert form not in shown
        assert form[4:-4] not in shown


def test_a_key_written_in_hex_is_masked_as_bytes_too() -> None:
    header = base64.b64encode(b"CP-0001:" + bytes.fromhex(KEY))
    assert bytes.fromhex(KEY).hex(":").encode() not in redact(
        [KEY], bytes.fromhex(KEY).hex(":").encode(), []
    )
    assert header[14:-6] not in redact([KEY], header, [])
    assert redact([KEY], KEY.upper().encode(), []) == MASK
    assert redact([KEY], KEY.encode().hex().encode(), []) == MASK


@given(
    st.lists(
        st.sampled_from([b"ab", b"abab", b"ababc", b"b", b"c", b"\n", b"ABABAB"]), max_size=20
    ),
    st.lists(st.integers(0, 100), max_size=8),
)
def test_chunking_does_not_matter(pieces: list[bytes], cuts: list[int]) -> None:
    secrets = ["ababa", "babab", "ababc"]
    data = b"".join(pieces)
    whole = redact(secrets, data, [])
    assert redact(secrets, data, cuts) == whole
    assert redact(secrets, data, list(range(len(data)))) == whole
    assert not any(secret.encode() in whole.lower() for secret in secrets)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_what_holds_no_secret_passes_unchanged(data: bytes, cuts: list[int]) -> None:
    assert redact(["correct horse battery"], data, cuts) == data
    assert redact([], data, cuts) == data


def test_a_whole_line_is_never_held_back() -> None:
    redactor = Redactor([SECRET])
    assert redactor.feed(b"password pa\n") == b"password pa\n"


def test_a_secret_too_short_to_mask_masks_nothing() -> None:
    assert redact(["a", "", "abc"], b"a banana abc\n", []) == b"a banana abc\n"


def test_what_nothing_follows_is_let_go_and_the_rest_is_masked_all_the_same() -> None:
    redactor = Redactor(["correct horse"])
    assert redactor.feed(b"> c") == b"> "
    assert redactor.hold_ms == HOLD_MS
    assert redactor.let_go() == b"c"
    assert redactor.hold_ms is None
    assert redactor.feed(b"orrect") == b""
    assert redactor.hold_ms == LONG_HOLD_MS
    assert redactor.let_go() == b"orrect"
    assert redactor.feed(b" horse!\n") == MASK + b"!\n"
    assert redactor.finish() == b""


def test_what_was_let_go_and_is_no_secret_is_shown_once() -> None:
    redactor = Redactor(["correct horse"])
    assert redactor.feed(b"corr") == b""
    assert redactor.let_go() == b"corr"
    assert redactor.feed(b"idor co") == b"idor "
    assert redactor.finish() == b"co"


@given(
    st.lists(st.sampled_from([b"ab", b"abab", b"ababc", b"b", b"c", b"\n", b"x"]), max_size=20),
    st.lists(st.booleans(), min_size=20, max_size=20),
)
def test_letting_go_loses_and_doubles_nothing(pieces: list[bytes], patience: list[bool]) -> None:
    redactor = Redactor(["ababax", "babab"])
    shown = b""
    for piece, patient in zip(pieces, patience, strict=False):
        shown += redactor.feed(piece)
        if not patient:
            shown += redactor.let_go()
    shown += redactor.finish()
    if MASK not in shown:
        assert shown == b"".join(pieces)


def test_each_line_of_a_secret_of_several_is_masked() -> None:
    assert redact(["first line\nsecond"], b"first line\r\nsecond\n", []) == b"****\r\n****\n"


@given(st.text(alphabet="hunter2\n x"), st.text(alphabet="hunter2\n x"))
def test_documents_are_masked_in_every_text(before: str, after: str) -> None:
    mask = text_mask(["hunter2hunter2"])
    text = f"{before}hunter2hunter2{after}"
    document = {"a": [text, 12], text: {"b": (text, None, True)}}
    masked = mask_document(document, mask)
    assert "hunter2hunter2" not in json.dumps(masked)
    assert masked["a"][1] == 12
    assert masked["a"][0] == mask(text) != text


def test_what_people_wrote_is_masked_with_its_escapes() -> None:
    mask = written_mask(text_mask(["pa$$-wo'rd", "back\\slash"]))
    for text in (
        "pa$$-wo'rd",
        repr("a pa$$-wo'rd \"x"),
        repr(repr("a pa$$-wo'rd \"x")),
        r"send pa\$\$-wo'rd",
        r"pa\x24$\x2dwo\'rd",
        r"pa\u0024$-wo'rd and \n",
        r"\$\$ back\slash pa\$$-wo'rd",
    ):
        shown = mask(text)
        assert "****" in shown
        assert "wo" not in shown
        assert "slash" not in shown
    for text in ("", r"C:\new\table", r"/^\[event\] \S+ \d/", "plain"):
        assert mask(text) == text


def test_a_passphrase_that_begins_as_pem_does_is_one() -> None:
    for secret in ("-----hunter22", "-----BEGIN hunter22", "-----BEGIN hunter22-----"):
        assert text_mask([secret])(f"x={secret};") == "x=****;"


def test_of_a_key_only_its_own_lines_are_looked_for_whatever_stands_around_them() -> None:
    lines = ["MIGHAgEAMBMGByqGSM49AgEG", "CCqGSM49AwEHBG0wawIBAQQg"]
    armour = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----")
    around = "Bag Attributes: <No Attributes>"  # as openssl pkcs12 writes it
    mask = text_mask(["\n".join((around, armour[0], *lines, armour[1], around))])
    assert [mask(line) for line in lines] == ["****"] * 2
    for line in (*armour, around):
        assert mask(line) == line
