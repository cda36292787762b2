# SPDX-License-Identifier: GPL-3.0-or-later
"""NVS images: Espressif's layout byte for byte, and a reader that never raises."""

from __future__ import annotations

import hashlib
import importlib
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.protocol.nvs import INTEGER_CODES, NvsEntry, parse_image, render_image
from evtool.protocol.nvs_page import INTEGERS, PAGE_SIZE

_NAMES = st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=15)
_INTEGERS = st.sampled_from(sorted(INTEGER_CODES)).flatmap(
    lambda kind: st.tuples(st.just(kind), _integers_of(kind))
)
_STRINGS = st.tuples(
    st.just("str"),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=900),
)
_BLOBS = st.tuples(st.just("blob"), st.binary(max_size=9000))


def _integers_of(kind: str) -> st.SearchStrategy[int]:
    size, signed = INTEGERS[INTEGER_CODES[kind]]
    low = -(1 << size * 8 - 1) if signed else 0
    return st.integers(low, low + (1 << size * 8) - 1)


def _entries(values: st.SearchStrategy[Any], max_size: int) -> st.SearchStrategy[list[NvsEntry]]:
    names = st.tuples(st.sampled_from(["evcfg", "wifi", "a"]), _NAMES)
    keyed = st.lists(st.tuples(names, values), max_size=max_size, unique_by=lambda pair: pair[0])
    return keyed.map(lambda pairs: [NvsEntry(*name, *value) for name, value in pairs])


_ANY_ENTRIES = _entries(st.one_of(_INTEGERS, _STRINGS, _BLOBS), 12)

# What esp-idf-nvs-partition-gen 0.3.0 made of the same entries (measured with its library).
IDENTITY = [
    NvsEntry("evcfg", "schema", "u8", 1),
    NvsEntry("evcfg", "cp_id", "str", "CP-0001"),
    NvsEntry("evcfg", "csms_url", "str", "ws://127.0.0.1:9000/ocpp"),
    NvsEntry("evcfg", "ca_cert", "str", "x" * 1500),
    NvsEntry("evstate", "energy_mwh", "u64", 123456789012),
    NvsEntry("evstate", "offset", "i16", -5),
]
BLOB = [
    NvsEntry("evcfg", "schema", "u8", 1),
    NvsEntry("evcfg", "blob", "blob", bytes(range(256)) * 40),
]
GOLDEN = {
    "identity": "1a8e4fc019bf943d6e9865a59e6ff2bf7054ae8addbf0619bf4ed7662521cd80",
    "blob": "7f55c03842206c24957f92d23db95df5914d59d2c5b1f7062e752aaca281c71a",
}


def _sha256(image: bytes) -> str:
    return hashlib.sha256(image).hexdigest()


def test_images_are_the_ones_that_espressifs_generator_makes() -> None:
    assert _sha256(render_image(IDENTITY, 0x6000)) == GOLDEN["identity"]
    assert _sha256(render_image(BLOB, 0x6000)) == GOLDEN["blob"]


@settings(max_examples=150, deadline=None)
@given(_ANY_ENTRIES)
def test_images_equal_espressifs_where_its_generator_is_installed(entries: list[NvsEntry]) -> None:
    try:
        generator = importlib.import_module("esp_idf_nvs_partition_gen.nvs_partition_gen")
    except ImportError:
        pytest.skip("needs esp-idf-nvs-partition-gen (pip install it)")
    theirs = _generated(generator, entries, 0x20000)
    if theirs is not None:
        assert render_image(entries, 0x20000) == theirs


def _generated(generator: Any, entries: list[NvsEntry], size: int) -> bytes | None:
    """The generator's image; None where it fails (a string that needs a whole page)."""
    stream = io.BytesIO()
    numbers: dict[str, int] = {}
    try:
        with generator.nvs_open(stream, size - PAGE_SIZE, generator.Page.VERSION2) as nvs:
            for entry in entries:
                if entry.namespace not in numbers:
                    numbers[entry.namespace] = len(numbers) + 1
                    nvs.write_namespace(entry.namespace)
                encoding = {"str": "string", "blob": "binary"}.get(entry.kind, entry.kind)
                nvs.write_entry(entry.key, entry.value, encoding, numbers[entry.namespace])
    except generator.PageFullError:
        return None
    return stream.getvalue()


@settings(max_examples=200, deadline=None)
@given(_ANY_ENTRIES)
def test_parse_gives_back_what_was_rendered(entries: list[NvsEntry]) -> None:
    image = parse_image(render_image(entries, 0x20000))
    assert image.problems == ()
    assert set(image.entries) == set(entries)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=2 * PAGE_SIZE + 40))
def test_parse_never_raises_on_noise(noise: bytes) -> None:
    parse_image(noise)


@settings(max_examples=300, deadline=None)
@given(_ANY_ENTRIES, st.lists(st.tuples(st.integers(0, 0x7FFF), st.integers(0, 255)), max_size=20))
def test_parse_never_raises_on_a_damaged_image(
    entries: list[NvsEntry], damage: list[tuple[int, int]]
) -> None:
    image = bytearray(render_image(entries, 0x20000))
    for position, byte in damage:
        image[position] = byte
    parse_image(bytes(image))


@given(st.integers(0, 8 * 700 - 1))
@settings(max_examples=300, deadline=None)
def test_no_flipped_bit_changes_a_value(bit: int) -> None:
    image = bytearray(render_image(IDENTITY[:3], 0x3000))
    image[bit // 8] ^= 1 << bit % 8
    found = parse_image(bytes(image))
    assert set(found.entries) <= set(IDENTITY[:3])


def test_a_string_may_fill_a_whole_page() -> None:
    entries = [NvsEntry("n", "long", "str", "y" * 3999)]
    image = parse_image(render_image(entries, 0x3000))
    assert image.get("n", "long") == "y" * 3999
    assert image.problems == ()


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (NvsEntry("n", "k" * 16, "u8", 1), "key must be 1 to 15 ASCII characters"),
        (NvsEntry("n", "é", "u8", 1), "key must be 1 to 15 ASCII characters"),
        (NvsEntry("n", "", "u8", 1), "key must be 1 to 15 ASCII characters"),
        (NvsEntry("", "k", "u8", 1), "namespace must be 1 to 15 ASCII characters"),
        (NvsEntry("n", "k", "u8", 300), "u8 holds an integer from 0 to 255"),
        (NvsEntry("n", "k", "i8", -129), "i8 holds an integer from -128 to 127"),
        (NvsEntry("n", "k", "u8", "1"), "u8 holds an integer"),
        (NvsEntry("n", "k", "str", "a\0b"), "str holds a text without NUL"),
        (NvsEntry("n", "k", "str", "a" * 4000), "at most 3999 bytes"),
        (NvsEntry("n", "k", "blob", b"a" * 508_001), "at most 508000 bytes"),
        (NvsEntry("n", "k", "STRING", "a"), "unknown kind STRING"),  # type: ignore[arg-type]  # bad on purpose
    ],
)
def test_what_espressifs_generator_accepts_in_silence_is_refused(
    entry: NvsEntry, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        render_image([entry], 0x3000)


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"n\.k: given twice"):
        render_image([NvsEntry("n", "k", "u8", 1), NvsEntry("n", "k", "u8", 2)], 0x3000)


def test_a_namespace_may_be_returned_to() -> None:
    entries = [
        NvsEntry("a", "x", "u8", 1),
        NvsEntry("b", "x", "u8", 2),
        NvsEntry("a", "y", "u8", 3),
    ]
    assert set(parse_image(render_image(entries, 0x3000)).entries) == set(entries)


@pytest.mark.parametrize("size", [0, 0x1000, 0x2000, 0x3001, 5000])
def test_a_bad_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="multiple of 4096"):
        render_image([], size)


def test_too_much_is_refused_and_a_read_only_partition_holds_one_page_more() -> None:
    entries = [NvsEntry("n", f"k{number}", "u8", 1) for number in range(260)]
    with pytest.raises(ValueError, match="do not fit"):
        render_image(entries, 0x3000)
    assert len(parse_image(render_image(entries, 0x3000, read_only=True)).entries) == 260


def test_an_entry_does_not_show_its_value() -> None:
    assert "hunter22" not in repr(NvsEntry("evcfg", "wifi_pass", "str", "hunter22"))
