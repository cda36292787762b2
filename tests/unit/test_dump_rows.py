# SPDX-License-Identifier: GPL-3.0-or-later
"""No secret passes in a dump of memory, wherever its rows break; other dumps stay as they are."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.monitor.dump_rows import dump_marks
from evtool.monitor.redact import LONG_HOLD_MS, LineRedactor, Redactor, text_mask

SECRET = b"correct-horse-7"
KEY = "5f3c9A01bEefD2c4a5b6C7d8e9f0a1b2c3d4e5f6"


def rows_of(data: bytes, width: int) -> list[tuple[int, bytes]]:
    return [(at, data[at : at + width]) for at in range(0, len(data), width)]


def visible(data: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in data)


def log_buffer_hex(data: bytes) -> str:
    rows = (row.hex(" ") for _, row in rows_of(data, 16))
    return "".join(f"\x1b[0;32mI (1234) net: {row} \x1b[0m\r\n" for row in rows)


def log_buffer_hexdump(data: bytes) -> str:
    return "".join(
        f"I (1234) net: {0x3FFB4280 + at:#010x}   {row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}  "
        f"|{visible(row)}|\r\n"
        for at, row in rows_of(data, 16)
    )


def hexdump_c(data: bytes) -> str:
    return "".join(
        f"{at:08x}  {row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}  |{visible(row)}|\n"
        for at, row in rows_of(data, 16)
    )


def plain_rows(data: bytes) -> str:
    return "".join(f"{row.hex(' ')}\n" for _, row in rows_of(data, 8))


def colons(data: bytes) -> str:
    return "".join(f"    {row.hex(':')}:\n" for _, row in rows_of(data, 15))


def c_array(data: bytes) -> str:
    return "".join(
        f"  {', '.join(f'{byte:#04x}' for byte in row)},\n" for _, row in rows_of(data, 8)
    )


def words(order: str, prefix: str) -> Callable[[bytes], str]:
    def dump(data: bytes) -> str:
        data += bytes(-len(data) % 4)
        return "".join(
            f"{0x3FFB0000 + at:08x}: "
            + " ".join(f"{prefix}{word:08x}" for (word,) in struct.iter_unpack(f"{order}I", row))
            + "\r\n"
            for at, row in rows_of(data, 32)
        )

    return dump


def xxd(data: bytes) -> str:
    """The last byte of an odd number stands alone."""

    def pairs(row: bytes) -> str:
        return " ".join(row[at : at + 2].hex() for at in range(0, len(row), 2))

    return "".join(f"{at:08x}: {pairs(row):<39}  {visible(row)}\n" for at, row in rows_of(data, 16))


def digits_alone(data: bytes) -> str:
    return "".join(f"{row.hex()}\n" for _, row in rows_of(data, 16))


DUMPS: dict[str, Callable[[bytes], str]] = {
    "ESP_LOG_BUFFER_HEX": log_buffer_hex,
    "ESP_LOG_BUFFER_HEXDUMP": log_buffer_hexdump,
    "hexdump -C": hexdump_c,
    "rows alone": plain_rows,
    "colons": colons,
    "array of C": c_array,
    "xxd": xxd,
    "xxd -p": digits_alone,
    "words of a stack": words("<", "0x"),
    "little-endian words": words("<", ""),
    "big-endian words": words(">", ""),
}


def redact(secrets: list[str], data: bytes, cuts: list[int]) -> bytes:
    redactor = Redactor(secrets)
    shown, start = b"", 0
    for cut in [*sorted(cuts), len(data)]:
        shown += redactor.feed(data[start:cut])
        start = max(start, cut)
    return shown + redactor.finish()


def given_away(shown: str, secret: bytes, most: int) -> list[str]:
    """Parts of the secret, longer than `most` bytes, that can be read in a dump."""
    parts = {secret[at : at + most + 1] for at in range(len(secret) - most)}
    digits = re.sub(r"0x|[^0-9a-f*]", "", re.sub(r"\|[^|\n]*\|", "", shown))
    found = [part.hex() for part in parts if part.hex() in digits]
    words = {secret[at : at + 4][::-1].hex() for at in range(len(secret) - 3)}
    shown_words = [word for word in words if word in digits]
    found += shown_words if len(shown_words) * 4 > most else []
    texts = [part.decode() for part in parts if part.isascii() and part.decode().isprintable()]
    return found + [text for text in texts if text in shown]


@pytest.mark.parametrize("name", DUMPS)
@pytest.mark.parametrize("before", range(34))
def test_a_secret_is_masked_wherever_the_rows_break(name: str, before: int) -> None:
    dump = DUMPS[name]
    data = bytes(before) + SECRET + b"\x01\x02\x03\x04\x05\x06\x07"
    text = dump(data)
    shown = redact([SECRET.decode(), KEY], text.encode(), []).decode()
    assert given_away(shown, SECRET, 1) == [], shown
    assert "****" in shown
    # a row is still a row
    assert shown.count("\n") == text.count("\n")


@pytest.mark.parametrize("name", DUMPS)
def test_a_key_written_in_hex_is_masked_as_bytes(name: str) -> None:
    for before in range(20):
        text = DUMPS[name](bytes(before) + bytes.fromhex(KEY))
        shown = redact([KEY], text.encode(), []).decode()
        assert given_away(shown, bytes.fromhex(KEY), 2) == [], shown


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(sorted(DUMPS)),
    st.integers(0, 40),
    st.lists(st.integers(0, 500), max_size=6),
    st.integers(5, 24),
)
def test_it_does_not_matter_how_a_dump_is_read(
    name: str, before: int, cuts: list[int], size: int
) -> None:
    secret = b"pa$$ wort: Zug9!xyzLMNop"[:size]
    text = DUMPS[name](bytes(before) + secret + b"\x01\x02\x03").encode()
    shown = redact([secret.decode()], text, cuts).decode()
    # What a row's first bytes are of, or its last, only the rest tells; few are shown by then.
    assert given_away(shown, secret, 4) == [], shown


@pytest.mark.parametrize("name", DUMPS)
@pytest.mark.parametrize("step", ["byte", "line"])
def test_a_dump_that_comes_slowly_shows_next_to_nothing_of_a_secret(name: str, step: str) -> None:
    for before in range(34):
        text = DUMPS[name](bytes(before) + SECRET + bytes(before % 3)).encode()
        cuts = [at for at in range(len(text)) if step == "byte" or text[at : at + 1] == b"\n"]
        shown = redact([SECRET.decode()], text, cuts).decode()
        # a first byte that ends a row, or a word's bytes in the other order
        assert given_away(shown, SECRET, 3) == [], shown


def test_digits_that_begin_no_secret_are_shown_at_once() -> None:
    redactor = Redactor([SECRET.decode(), KEY])
    for text in (
        "mac 24:6f:28:ab:cd:ef",
        "00000010: 0001 0203",
        "I (12) x: 7a 7b 7c",
        "0x3ffb4f80",
    ):
        line = f"{text}\r\n".encode()
        assert redactor.feed(line) == line


@pytest.mark.parametrize("name", [name for name in DUMPS if "words" in name])
def test_the_offset_of_the_next_row_is_no_end_of_a_secret(name: str) -> None:
    secret = b"it fills a whole row, and goes on in the next: Zug9!xyz"
    text = DUMPS[name](bytes(28) + secret + bytes(40)).encode()
    for cut in range(len(text)):
        shown = redact([secret.decode()], text, [cut]).decode()
        assert given_away(shown, secret, 3) == [], (cut, shown)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_end_of_a_row_is_never_masked(end: str) -> None:
    data = b"|" + SECRET
    row = f"00000000: {data.hex(' ', -2)}  {visible(data)}{end}"
    after = f"[event] fault name=x{end}"
    shown = redact([SECRET.decode()], f"{row}{after}".encode(), []).decode()
    assert shown.splitlines()[1:] == [after.strip()]
    assert given_away(shown, SECRET, 1) == []


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(sorted(DUMPS)), st.binary(max_size=200), st.lists(st.integers(0, 900)))
def test_honest_rows_stay_as_they_are(name: str, data: bytes, cuts: list[int]) -> None:
    text = DUMPS[name](data).encode()
    assert redact([SECRET.decode(), KEY], text, cuts) == text


@pytest.mark.parametrize("name", DUMPS)
def test_a_part_of_a_secret_is_no_secret(name: str) -> None:
    data = b"that is not correct, says the horse: correct-hors, orrect-horse-7, correct-horse-8"
    text = DUMPS[name](data).encode()
    assert redact([SECRET.decode()], text, []) == text


def test_a_row_between_lines_of_another_task() -> None:
    first, second = log_buffer_hexdump(bytes(10) + SECRET).splitlines(keepends=True)
    shown = redact([SECRET.decode()], f"{first}I (1) wifi: up\r\n{second}".encode(), []).decode()
    assert given_away(shown, SECRET, 1) == []
    assert "wifi: up" in shown


def test_what_may_go_on_in_the_next_row_is_held_for_a_while() -> None:
    first, second = log_buffer_hex(bytes(10) + SECRET).encode().splitlines(keepends=True)
    redactor = Redactor([SECRET.decode()])
    shown = redactor.feed(first)
    assert b"63 6f" not in shown
    assert redactor.hold_ms == LONG_HOLD_MS
    assert b"****" in redactor.feed(second)
    assert redactor.hold_ms is None
    # nothing follows that belongs to it
    redactor = Redactor([SECRET.decode()])
    shown = redactor.feed(first) + redactor.feed(b"hello\nworld\n")
    assert shown == first + b"hello\nworld\n"
    # nothing follows in time: the rest is masked, should it still come
    redactor = Redactor([SECRET.decode()])
    assert redactor.feed(first) + redactor.let_go() == first
    assert redactor.feed(second).count(b"****") == 1


def test_texts_are_masked_one_by_one() -> None:
    mask = text_mask([SECRET.decode()])
    first, second = log_buffer_hex(bytes(10) + SECRET).splitlines()
    assert mask(first) == first
    assert mask(second) == second
    assert given_away(mask(f"{first}\n{second}"), SECRET, 1) == []


@given(st.binary(min_size=4, max_size=40))
def test_marks_are_few(secret: bytes) -> None:
    assert 0 < len(dump_marks(secret)) <= 18


def test_lines_that_come_one_by_one_keep_their_order_and_what_is_with_them() -> None:
    text = log_buffer_hexdump(bytes(10) + SECRET + bytes(40)) + "hello\nlast\n"
    lines = text.splitlines()
    redactor: LineRedactor[int] = LineRedactor([SECRET.decode()])
    shown = [each for number, line in enumerate(lines) for each in redactor.feed(number, line)]
    shown += redactor.finish()
    assert [number for number, _ in shown] == list(range(len(lines)))
    assert [line for _, line in shown][2:] == lines[2:]
    assert given_away("\n".join(line for _, line in shown), SECRET, 1) == []


def xxd_of_bytes(data: bytes) -> str:
    """As `xxd -g1` prints it."""
    return "".join(
        f"{at:08x}: {row.hex(' '):<47}  {visible(row)}\n" for at, row in rows_of(data, 16)
    )


@pytest.mark.parametrize("dump", [xxd, xxd_of_bytes])
@pytest.mark.parametrize("text", [b"|", b"ab|", b"abcd|", b"ab.", b"c0aa/", b"0a 1b/", b"  |"])
def test_a_text_beside_the_digits_may_look_like_more_of_them(
    dump: Callable[[bytes], str], text: bytes
) -> None:
    for before in range(17):
        data = bytes(before) + text + SECRET + text + bytes(20)
        shown = redact([SECRET.decode()], dump(data).encode(), []).decode()
        assert given_away(shown, SECRET, 3) == [], shown
