# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from CSV against Espressif's own generator, plain and encrypted; one key changed."""

from __future__ import annotations

import base64
import csv
import importlib
import io
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.errors import CheckFailed, ConfigError
from evtool.protocol.can_frame import Malformed
from evtool.protocol.nvs import NvsEntry, NvsKind, parse_image, render_image
from evtool.protocol.nvs_encryption import (
    NvsKeys,
    decode_keys,
    decrypt_image,
    encode_keys,
    encrypt_image,
)
from evtool.protocol.nvs_page import PAGE_SIZE, PageState, scan_page
from evtool.provision.nvs_build import build_from_csv
from evtool.provision.nvs_inspect import NvsChange, change_image, differences, open_image

KEYS = NvsKeys(bytes(range(32)), bytes(range(100, 132)))
OTHER_KEYS = NvsKeys(bytes(range(32)), bytes(range(101, 133)))
SIZE = 0x8000
ENTRIES = [
    NvsEntry("evcfg", "schema", "u8", 1),
    NvsEntry("evcfg", "cp_id", "str", "CP-0001"),
    NvsEntry("evcfg", "cert", "blob", bytes(range(256)) * 20),
    NvsEntry("evcfg", "ff", "blob", b"\xff" * 64),
    NvsEntry("other", "cp_id", "i32", -5),
]
PLAIN = render_image(ENTRIES, SIZE)

_NAMES = st.text("abcdefghijklmnopqrstuvwxyz_.-0123456789", min_size=1, max_size=15)
_TEXTS = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=300)
_LIMITS = {"u8": (0, 8), "i8": (1, 8), "u16": (0, 16), "i32": (1, 32), "u64": (0, 64)}


def _integers(encoding: str) -> st.SearchStrategy[tuple[str, str]]:
    signed, bits = _LIMITS[encoding]
    low = -(1 << bits - 1) if signed else 0
    values = st.integers(low, low + (1 << bits) - 1)
    return st.tuples(st.just(encoding), values.map(str))


_CELLS = st.one_of(
    st.sampled_from(sorted(_LIMITS)).flatmap(_integers),
    st.tuples(st.just("string"), _TEXTS),
    st.tuples(st.just("hex2bin"), st.binary(min_size=1, max_size=5000).map(bytes.hex)),
    st.tuples(
        st.just("base64"),
        st.binary(min_size=1, max_size=5000).map(lambda data: base64.b64encode(data).decode()),
    ),
    st.tuples(st.just("binary"), st.text("abc xyz", min_size=1, max_size=200)),
    st.tuples(st.just("blob_fill(40;0xAb)"), st.text("abc", max_size=40)),
    st.tuples(st.just("blob_sz_fill(9;0x00)"), st.text("abc", max_size=9)),
)
_KEYED = st.dictionaries(_NAMES, _CELLS, min_size=1, max_size=8)
_CONTENT = st.dictionaries(_NAMES, _KEYED, min_size=1, max_size=3)
Content = dict[str, dict[str, tuple[str, str]]]


def _csv(content: Content) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(("key", "type", "encoding", "value"))
    for namespace, keys in content.items():
        writer.writerow((namespace, "namespace", "", ""))
        for key, (encoding, value) in keys.items():
            writer.writerow((key, "data", encoding, value))
    return stream.getvalue().encode()


def _generator() -> Any:
    try:
        return importlib.import_module("esp_idf_nvs_partition_gen.nvs_partition_gen")
    except ImportError:
        pytest.skip("needs esp-idf-nvs-partition-gen (pip install it)")


def _theirs(folder: Path, data: bytes, keys: NvsKeys | None) -> bytes:
    """The image as the generator's own functions make it from a file."""
    generator = _generator()
    source, target = folder / "in.csv", folder / "out.bin"
    source.write_bytes(data)
    arguments = SimpleNamespace(
        input=[str(source)], output=str(target), size=hex(SIZE), version=2, outdir=str(folder)
    )
    both = None if keys is None else keys.encryption + keys.tweak
    generator.generate(arguments, keys is not None, both)
    return target.read_bytes()


def _no_file(name: str) -> bytes:
    raise FileNotFoundError(name)


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "encrypted"])
def test_any_csv_gives_the_image_that_espressifs_generator_makes(
    tmp_path: Path, keys: NvsKeys | None
) -> None:
    @settings(max_examples=60, deadline=None)
    @given(_CONTENT)
    def same(content: Content) -> None:
        data = _csv(content)
        ours = build_from_csv("in.csv", data, SIZE, read_file=_no_file, keys=keys)
        # It drops lines of a quoted text that begin with #, and adds keys to Wi-Fi's own.
        is_cut = any("\n#" in value for keyed in content.values() for _, value in keyed.values())
        if not is_cut:
            assert ours.image == _theirs(tmp_path, data, keys)
        opened = open_image("image", ours.image, keys)
        assert opened.content.problems == ()
        assert set(opened.content.entries) == set(ours.entries)

    same()


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=9000), st.binary(min_size=64, max_size=64))
def test_blobs_over_pages_are_encrypted_as_espressifs_library_does(
    blob: bytes, both: bytes
) -> None:
    if both[:32] == both[32:]:
        return
    generator = _generator()
    stream = io.BytesIO()
    version = generator.Page.VERSION2
    with generator.nvs_open(stream, SIZE - PAGE_SIZE, version, is_encrypt=True, key=both) as nvs:
        nvs.write_namespace("n")
        nvs.write_entry("b", blob, "binary", 1)
    plain = render_image([NvsEntry("n", "b", "blob", blob)], SIZE)
    keys = NvsKeys(both[:32], both[32:])
    assert encrypt_image(plain, keys) == stream.getvalue()
    assert decrypt_image(stream.getvalue(), keys) == plain


def test_their_keys_are_read_and_ours_are_the_same_file(tmp_path: Path) -> None:
    generator = _generator()
    arguments = SimpleNamespace(keyfile="k.bin", outdir=str(tmp_path), key_protect_hmac=False)
    both = bytes.fromhex(generator.generate_key(arguments))
    data = (tmp_path / "keys" / "k.bin").read_bytes()
    keys = NvsKeys(both[:32], both[32:])
    assert decode_keys(data) == keys
    assert encode_keys(keys) == data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes"),
        (bytes(10), "10 bytes"),
        (bytes(32), "32 bytes"),
        (bytes(64), "64 bytes"),
        (b"\xff" * PAGE_SIZE, "blank"),
        (bytes(PAGE_SIZE), "checksum"),
        (encode_keys(KEYS)[:-1] + b"\0", "behind its keys"),
        (b"\x01" + encode_keys(KEYS)[1:], "checksum"),
        (encode_keys(KEYS) + b"\0", "4097 bytes"),
    ],
)
def test_what_holds_no_keys_is_malformed(data: bytes, reason: str) -> None:
    found = decode_keys(data)
    assert isinstance(found, Malformed)
    assert reason in found.reason


def test_keys_are_two_of_32_bytes_and_say_nothing_of_themselves() -> None:
    for bad in ((bytes(31), bytes(range(32))), (bytes(32), bytes(32))):
        with pytest.raises(ValueError, match=r"keys? "):
            NvsKeys(*bad)
    assert "1" not in repr(KEYS)


# --- open -------------------------------------------------------------------------------


def test_wrong_keys_no_keys_and_needless_keys_are_told_apart() -> None:
    encrypted = encrypt_image(PLAIN, KEYS)
    assert open_image("i", encrypted, KEYS).plain == PLAIN
    with pytest.raises(CheckFailed, match="it is encrypted, or damaged"):
        open_image("i", encrypted, None)
    with pytest.raises(CheckFailed, match="these keys do not open it"):
        open_image("i", encrypted, OTHER_KEYS)
    with pytest.raises(CheckFailed, match="it is not encrypted"):
        open_image("i", PLAIN, KEYS)
    for blank in (b"\xff" * SIZE, b""):
        if blank:
            assert open_image("i", blank, KEYS).content.entries == ()
    with pytest.raises(ConfigError, match="whole number of pages"):
        open_image("i", PLAIN[:-1], None)


@settings(max_examples=150, deadline=None)
@given(
    st.booleans(),
    st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(0, 255)), max_size=20),
)
def test_a_damaged_image_is_told_and_never_raises_anything_else(
    is_encrypted: bool, damage: list[tuple[int, int]]
) -> None:
    keys = KEYS if is_encrypted else None
    image = bytearray(encrypt_image(PLAIN, KEYS) if is_encrypted else PLAIN)
    for position, byte in damage:
        image[position] = byte
    try:
        opened = open_image("i", bytes(image), keys)
    except CheckFailed:
        return
    kept = set(opened.content.entries)
    assert kept <= set(ENTRIES) or opened.content.problems


def test_differences_name_keys_and_kinds() -> None:
    left = parse_image(PLAIN)
    changed = [NvsEntry("evcfg", "schema", "u8", 2), *ENTRIES[2:4]]
    changed += [NvsEntry("other", "cp_id", "str", "x"), NvsEntry("other", "new", "u8", 0)]
    right = parse_image(render_image(changed, SIZE))
    assert [(each.namespace, each.key, each.change) for each in differences(left, right)] == [
        ("evcfg", "cp_id", "removed"),
        ("evcfg", "schema", "value"),
        ("other", "cp_id", "type"),
        ("other", "new", "added"),
    ]
    assert differences(left, left) == []
    moved = parse_image(render_image(reversed(ENTRIES), SIZE))
    assert differences(left, moved) == []


# --- change -----------------------------------------------------------------------------

_NEW: list[tuple[str, str, NvsKind, Any]] = [
    ("evcfg", "schema", "u8", 9),
    ("evcfg", "cp_id", "str", "y" * 3999),
    ("evcfg", "cert", "blob", b"\xff" * 7000),
    ("evcfg", "fresh", "blob", bytes(4000)),
    ("third", "k", "u64", 2**64 - 1),
    ("other", "cp_id", "blob", b""),
]


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "encrypted"])
@pytest.mark.parametrize(("namespace", "key", "kind", "value"), _NEW)
def test_a_change_changes_one_key_and_leaves_the_rest(
    namespace: str, key: str, kind: NvsKind, value: Any, keys: NvsKeys | None
) -> None:
    image = PLAIN if keys is None else encrypt_image(PLAIN, keys)
    change = NvsChange(namespace, key, kind, value, create=True, change_kind=True)
    after = open_image("i", change_image("i", image, keys, change), keys).content
    rest = {each for each in ENTRIES if (each.namespace, each.key) != (namespace, key)}
    assert set(after.entries) == rest | {NvsEntry(namespace, key, kind, value)}
    assert after.problems == ()
    assert change_image("i", image, keys, NvsChange("evcfg", "schema", "u8", 1)) == image


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            st.one_of(
                st.tuples(st.just("u32"), st.integers(0, 2**32 - 1)),
                st.tuples(st.just("str"), st.text("xyz", max_size=900)),
                st.tuples(st.just("blob"), st.binary(max_size=3000)),
            ),
        ),
        max_size=12,
    )
)
def test_any_changes_one_after_the_other_are_all_there(
    changes: list[tuple[str, tuple[NvsKind, Any]]],
) -> None:
    image = encrypt_image(render_image(ENTRIES[:2], 0x5000), KEYS)
    expected = {("evcfg", "schema"): ("u8", 1), ("evcfg", "cp_id"): ("str", "CP-0001")}
    for key, (kind, value) in changes:
        change = NvsChange("n", key, kind, value, create=True, change_kind=True)
        image = change_image("i", image, KEYS, change)
        expected["n", key] = (kind, value)
        found = open_image("i", image, KEYS).content
        assert {(e.namespace, e.key): (e.kind, e.value) for e in found.entries} == expected


def test_the_value_before_does_not_stay_readable() -> None:
    old, blob = b"CP-0001", bytes(range(64, 96))
    assert old in PLAIN
    assert blob in PLAIN
    image = change_image("i", PLAIN, None, NvsChange("evcfg", "cp_id", "str", "CP-0002"))
    assert old not in image
    image = change_image("i", image, None, NvsChange("evcfg", "cert", "blob", b"short"))
    assert blob not in image


def test_a_change_needs_a_word_for_new_keys_and_new_types() -> None:
    with pytest.raises(ConfigError, match=r"no key evcfg\.cp_ID \(evcfg has cert, cp_id,"):
        change_image("i", PLAIN, None, NvsChange("evcfg", "cp_ID", "str", "x"))
    with pytest.raises(ConfigError, match="nor such a namespace"):
        change_image("i", PLAIN, None, NvsChange("evfcg", "cp_id", "str", "x"))
    with pytest.raises(ConfigError, match="is a u8, not a u16"):
        change_image("i", PLAIN, None, NvsChange("evcfg", "schema", "u16", 1))
    with pytest.raises(ConfigError, match=r"cannot be stored: .* from 0 to 255"):
        change_image("i", PLAIN, None, NvsChange("evcfg", "schema", "u8", 256))
    with pytest.raises(ConfigError, match="1 to 15 ASCII"):
        change_image("i", PLAIN, None, NvsChange("n", "k" * 16, "u8", 1, create=True))


def test_no_room_is_said_and_nothing_is_lost() -> None:
    for value in (b"\0" * 30_000, b"\0" * 600_000):
        with pytest.raises(ConfigError, match=r"cannot be stored: .*(full|at most)"):
            change_image("i", PLAIN, None, NvsChange("evcfg", "cert", "blob", value))


def test_a_damaged_image_is_not_written_to() -> None:
    at = 64 + 32 * 2 + 10  # the key's field of evcfg.cp_id
    damaged = bytearray(PLAIN)
    damaged[at] ^= 1
    change = NvsChange("evcfg", "schema", "u8", 2)
    with pytest.raises(CheckFailed, match=r"is damaged.*\n  page 0: entry 2: checksum"):
        change_image("i", bytes(damaged), None, change)
    damaged = bytearray(PLAIN)
    damaged[4] ^= 1  # the header of page 0
    with pytest.raises(CheckFailed, match="page 0: the page header is damaged"):
        change_image("i", bytes(damaged), None, change)


def test_a_blob_without_a_part_is_not_written_to() -> None:
    """Its index is sound, and so is every entry; only together they are wrong."""
    image = bytearray(PLAIN)
    page = scan_page(PLAIN[PAGE_SIZE : 2 * PAGE_SIZE])
    part = next(item for item in page.items if item.key == "cert" and item.payload)
    for index in range(part.index, part.index + part.span):
        image[PAGE_SIZE + 32 + index // 4] &= ~(3 << index % 4 * 2) & 0xFF
    with pytest.raises(CheckFailed, match="without losing something else"):
        change_image("i", bytes(image), None, NvsChange("evcfg", "schema", "u8", 2))


def test_leftovers_of_a_power_cut_are_mended() -> None:
    image = bytearray(PLAIN)
    last = [page for page in range(SIZE // PAGE_SIZE) if PLAIN[page * PAGE_SIZE] != 0xFF][-1]
    free = scan_page(PLAIN[last * PAGE_SIZE : (last + 1) * PAGE_SIZE]).used_until
    at = last * PAGE_SIZE + 64 + free * 32
    image[at : at + 8] = bytes(8)  # an entry that was being written
    struct.pack_into("<I", image, 0, PageState.FULL)
    assert parse_image(bytes(image)).problems
    changed = change_image("i", bytes(image), None, NvsChange("evcfg", "schema", "u8", 2))
    content = parse_image(changed)
    assert content.problems == ()
    assert set(content.entries) == {NvsEntry("evcfg", "schema", "u8", 2), *ENTRIES[1:]}
