# SPDX-License-Identifier: GPL-3.0-or-later
"""firmware/lib/evnvs against images by Espressif's generator, plain and encrypted, and damage."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from nvs.reader import Reader, generated, key_partition, told

from evtool.protocol.nvs import NvsContent, NvsEntry, NvsKind, parse_image, render_image
from evtool.protocol.nvs_encryption import NvsKeys, encode_keys, encrypt_image
from evtool.protocol.nvs_page import PAGE_SIZE
from evtool.protocol.nvs_store import FlashWrite, NvsStore, apply_operation
from evtool.provision.nvs_inspect import NvsChange, change_image

KEYS = bytes(range(64))
SIZE = 0x20000
SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
_NAMES = st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=15)
_VALUES = st.one_of(
    st.tuples(st.just("u8"), st.integers(0, 2**8 - 1)),
    st.tuples(st.just("u32"), st.integers(0, 2**32 - 1)),
    st.tuples(st.just("u64"), st.integers(0, 2**64 - 1)),
    st.tuples(
        st.just("str"),
        st.text(st.characters(min_codepoint=1, max_codepoint=0x7FF), max_size=900),
    ),
    st.tuples(st.just("blob"), st.binary(max_size=9000)),
)
_ENTRIES = st.lists(
    st.tuples(st.sampled_from(["evcfg", "wifi", "a"]), _NAMES, _VALUES),
    max_size=14,
    unique_by=lambda entry: entry[:2],
).map(lambda entries: [NvsEntry(space, key, *value) for space, key, value in entries])
IDENTITY = [
    NvsEntry("evcfg", "schema", "u8", 1),
    NvsEntry("evcfg", "cp_id", "str", "CP-0001"),
    NvsEntry("evcfg", "csms_url", "str", "ws://127.0.0.1:9000/ocpp"),
    NvsEntry("evcfg", "max_ma", "u32", 100_000),
    NvsEntry("evcfg", "energy", "u64", 123_456_789_012),
    NvsEntry("evcfg", "part", "blob", b"\x00\x01\x02"),
]


def _check(reader: Reader, entries: list[NvsEntry]) -> None:
    assert reader.ask("sound") == "yes"
    assert reader.ask("lost") == "no"
    for entry in entries:
        assert reader.get(entry) == told(entry)
    assert reader.ask("get", "evcfg", "no_such_key_", "u8") == "-"
    assert reader.ask("get", "no_such_space", "schema", "u8") == "-"


@SETTINGS
@given(_ENTRIES)
def test_it_reads_what_espressifs_generator_wrote(reader: Reader, entries: list[NvsEntry]) -> None:
    image = generated(entries, SIZE)
    assume(image is not None)
    assert image is not None
    assert reader.load(image) == "absent"
    _check(reader, entries)


@SETTINGS
@given(_ENTRIES, st.binary(min_size=64, max_size=64))
def test_it_reads_what_espressifs_generator_encrypted(
    reader: Reader, entries: list[NvsEntry], keys: bytes
) -> None:
    assume(keys[:32] != keys[32:])  # which XTS forbids
    image = generated(entries, SIZE, keys=keys)
    assume(image is not None)
    assert image is not None
    assert reader.load(image, key_partition(keys)) == "present"
    _check(reader, entries)


@settings(SETTINGS, max_examples=25)
@given(_ENTRIES, st.lists(_VALUES, min_size=1, max_size=4))
def test_it_reads_what_evtool_encrypted_and_changed(
    reader: Reader, entries: list[NvsEntry], values: list[tuple[NvsKind, NvsContent]]
) -> None:
    keys = NvsKeys(KEYS[:32], KEYS[32:])
    image = encrypt_image(render_image(entries, SIZE), keys)
    kept = [entry for entry in entries if (entry.namespace, entry.key) != ("evcfg", "changed")]
    for kind, value in values:
        change = NvsChange("evcfg", "changed", kind, value, create=True, change_kind=True)
        image = change_image("image", image, keys, change)
        assert reader.load(image, encode_keys(keys)) == "present"
        _check(reader, [*kept, NvsEntry("evcfg", "changed", kind, value)])


@pytest.mark.parametrize("keys", [None, KEYS])
def test_it_reads_pages_of_version_1(reader: Reader, keys: bytes | None) -> None:
    entries = [NvsEntry("evcfg", f"s{number}", "str", "x" * 900) for number in range(12)]
    entries += [NvsEntry("evcfg", "old_blob", "blob", bytes(range(256)) * 5)]
    image = generated(entries, SIZE, keys=keys, version=1)
    assert image is not None
    reader.load(image, b"" if keys is None else key_partition(keys))
    _check(reader, entries)


@pytest.mark.parametrize("keys", [None, KEYS])
def test_long_certificates_and_many_keys_take_their_pages(
    reader: Reader, keys: bytes | None
) -> None:
    entries = [NvsEntry("evcfg", f"cert{number}", "str", "y" * 3900) for number in range(4)]
    entries += [NvsEntry("evcfg", f"key{number}", "u8", number) for number in range(250)]
    entries += [NvsEntry("evcfg", "chain", "blob", bytes(range(251)) * 200)]
    image = generated(entries, SIZE, keys=keys)
    assert image is not None
    reader.load(image, b"" if keys is None else key_partition(keys))
    _check(reader, entries)


def test_a_blob_that_no_heap_of_ours_holds_is_left_alone(reader: Reader) -> None:
    entry = NvsEntry("evcfg", "huge", "blob", bytes(70_000))
    reader.load(render_image([entry], SIZE))
    assert reader.ask("sound") == "yes"
    assert reader.get(entry) == "-"


@settings(SETTINGS, max_examples=40)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("number"), st.just("u64"), st.integers(0, 2**64 - 1)),
            st.tuples(st.just("text"), st.just("str"), st.text("xyz", max_size=1500)),
            st.tuples(st.just("small"), st.just("u8"), st.integers(0, 255)),
        ),
        max_size=25,
    ),
    st.data(),
)
def test_after_changes_and_power_cuts_it_reads_what_evtool_reads(
    reader: Reader, changes: list[tuple[str, str, int | str]], data: st.DataObject
) -> None:
    """Erased and overwritten entries, two values of one key, pages being freed."""
    image = render_image([NvsEntry("n", "name", "str", "x" * 200)], 0x3000)
    for key, kind, value in changes:
        operations = NvsStore(image).set("n", key, kind, value)  # type: ignore[arg-type]
        cut = data.draw(st.integers(0, len(operations)))
        state = bytearray(image)
        for operation in operations[:cut]:
            apply_operation(state, operation)
        if cut < len(operations) and isinstance(operation := operations[cut], FlashWrite):
            half = FlashWrite(operation.offset, operation.data[: len(operation.data) // 2])
            apply_operation(state, half)
        image = bytes(state)
        reader.load(image)
        expected = {entry.key: entry for entry in parse_image(image).entries}
        for name, kind_ in (("name", "str"), ("number", "u64"), ("text", "str"), ("small", "u8")):
            entry = expected.get(name)
            found = reader.ask("get", "n", name, kind_)
            assert found == ("-" if entry is None else told(entry))


def test_of_two_values_the_newer_counts_in_one_page_and_across_two(reader: Reader) -> None:
    """The power is cut between writing the new value and erasing the old one."""
    store = NvsStore(render_image([NvsEntry("n", "name", "str", "x" * 200)], 0x4000))
    pages = set()
    for value in range(300):
        state = bytearray(store.image)
        for operation in store.set("n", "number", "u64", value):
            apply_operation(state, operation)
            if "n.number: stored twice" not in parse_image(bytes(state)).problems:
                continue
            reader.load(bytes(state))
            assert reader.ask("get", "n", "number", "u64") == str(value)
            entry = value.to_bytes(8, "little")
            old = (value - 1).to_bytes(8, "little")
            pages.add(state.rfind(entry) // PAGE_SIZE - state.rfind(old) // PAGE_SIZE)
    assert pages == {0, 1}


def _flip(reader: Reader, entries: list[NvsEntry], first: int, last: int) -> dict[str, int]:
    words = [word for entry in entries for word in (entry.namespace, entry.key, entry.kind)]
    answer = reader.ask("flips", str(first), str(last), *words)
    return dict(
        zip(("refused", "same", "believed", "invented"), map(int, answer.split()), strict=True)
    )


def test_every_flipped_bit_of_a_plain_page_is_refused_or_changes_nothing(reader: Reader) -> None:
    reader.load(render_image(IDENTITY, PAGE_SIZE, read_only=True))
    found = _flip(reader, IDENTITY, 0, PAGE_SIZE)
    assert found["refused"] + found["same"] + found["believed"] == PAGE_SIZE * 8
    assert found["invented"] == 0, "a value that was never written"
    # What no checksum covers: the mark of an entry that stands alone, from written to erased. Its
    # value is missing then. A text or a blob has more entries than one, and is refused.
    assert found["believed"] == 4, "schema, max_ma, energy, and the blob's index"
    # And what has no meaning: ACTIVE read as FULL, the bitmap's last four bits, and what fills up
    # the last entries of two texts and a blob of 8, 25 and 3 bytes.
    assert found["same"] == 1 + 4 + (24 + 7 + 29) * 8


def test_every_flipped_bit_of_an_encrypted_page_is_refused_or_changes_nothing(
    reader: Reader,
) -> None:
    entries = IDENTITY[:4]
    image = generated(entries, 0x3000, keys=KEYS)
    assert image is not None
    reader.load(image[:PAGE_SIZE], key_partition(KEYS))
    used = 64 + 32 * 7
    found = _flip(reader, entries, 0, used)
    assert found["refused"] + found["same"] + found["believed"] == used * 8
    assert found["invented"] == 0
    assert found["believed"] == 2, "schema and max_ma"
    # A flipped bit scrambles its 16 bytes: only those behind the first text hold no more than fill.
    assert found["same"] == 1 + 4 + 16 * 8
    assert _flip(reader, entries, used, used + 64)["refused"] == 64 * 8, "blank is blank in clear"


@SETTINGS
@given(_ENTRIES, st.lists(st.tuples(st.integers(0, SIZE - 1), st.binary(max_size=40)), max_size=12))
def test_a_damaged_image_gives_no_value_that_was_not_written(
    reader: Reader, entries: list[NvsEntry], damage: list[tuple[int, bytes]]
) -> None:
    image = bytearray(render_image(entries, SIZE))
    for position, noise in damage:
        # where the entries are, most of the time
        at = position % (64 + 32 * 40) if position % 3 else position
        image[at : at + len(noise)] = noise
    reader.load(bytes(image[:SIZE]))
    reader.ask("sound")
    reader.ask("lost")
    for entry in entries:
        assert reader.get(entry) in ("-", told(entry))


@SETTINGS
@given(st.binary(max_size=3 * PAGE_SIZE), st.binary(max_size=80))
def test_noise_is_no_partition(reader: Reader, noise: bytes, keys: bytes) -> None:
    reader.load(noise, keys)
    is_blank = set(noise) <= {0xFF} and noise and len(noise) % PAGE_SIZE == 0
    assert reader.ask("sound") == ("yes" if is_blank else "no")
    assert reader.ask("get", "evcfg", "cp_id", "str") == "-"


def test_keys_are_there_absent_or_damaged(reader: Reader) -> None:
    image = render_image(IDENTITY, 0x3000)
    assert reader.load(image, b"") == "absent"
    assert reader.load(image, b"\xff" * PAGE_SIZE) == "absent"
    assert reader.load(image, key_partition(KEYS)) == "present"
    for bit in range(68 * 8):
        record = bytearray(key_partition(KEYS)[:68])
        record[bit // 8] ^= 1 << bit % 8
        assert reader.load(image[:1], bytes(record)) == "damaged"


def test_a_lost_page_is_told_from_a_torn_header(reader: Reader) -> None:
    entries = [NvsEntry("n", f"k{number}", "u8", 1) for number in range(200)]
    image = bytearray(render_image(entries, 0x3000))
    image[PAGE_SIZE + 5] ^= 1
    reader.load(bytes(image))
    assert reader.ask("lost") == "yes"
    torn = bytearray(render_image(entries[:20], 0x3000))
    torn[PAGE_SIZE : PAGE_SIZE + 6] = b"\xfe\xff\xff\xff\x01\x00"
    reader.load(bytes(torn))
    assert reader.ask("lost") == "no"
