# SPDX-License-Identifier: GPL-3.0-or-later
"""The partition table: text, bytes, and the rules between them."""

from __future__ import annotations

import contextlib
import hashlib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.errors import ConfigError
from evtool.protocol import partition_table
from evtool.protocol.can_frame import Malformed
from evtool.protocol.partition_table import APP, DATA, Partition
from evtool.resources import firmware_dir

# Espressif's gen_esp32part.py makes this of our partitions.csv.
_REFERENCE_SHA256 = "41b30c4c66d7e7c4da2b82962288a51175f1e18054f99da49e9d6b1ed3abfc42"
# Units are in the field with these where they are: none may ever move.
_FIELDED = ("nvs", "app0", "app1", "evcfg", "storage")
_NAMES = st.text(st.sampled_from("abcdefghijklmnop_0123"), min_size=1, max_size=15)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Partition, ...]:
    """Tables that keep every rule: partitions one behind the other, with gaps."""
    end = partition_table.FIRST_OFFSET
    partitions = []
    for name in draw(st.lists(_NAMES, min_size=1, max_size=12, unique=True)):
        type_ = draw(st.sampled_from((APP, DATA)))
        alignment = 0x10000 if type_ == APP else 0x1000
        subtype = draw(st.sampled_from((0x00, 0x20) if type_ == APP else (0x01, 0x02, 0x82, 0x40)))
        offset = -(-end // alignment) * alignment + alignment * draw(st.integers(0, 3))
        size = 0x1000 * draw(st.integers(3, 40))
        partitions.append(Partition(name, type_, subtype, offset, size, draw(st.integers(0, 3))))
        end = offset + size
    return tuple(partitions)


@given(tables(), st.binary(max_size=64))
def test_what_is_encoded_is_decoded(table: tuple[Partition, ...], rest: bytes) -> None:
    encoded = partition_table.encode(table)
    assert len(encoded) == partition_table.TABLE_SIZE
    assert partition_table.decode(encoded + rest) == table


@given(tables())
def test_what_is_written_as_text_is_read(table: tuple[Partition, ...]) -> None:
    text = "".join(
        f"{p.name}, {p.type_name},{p.subtype_name}, {p.offset:#x}, {p.size // 1024}K,"
        f" {':'.join(p.flag_names)}\n"
        for p in table
    )
    assert partition_table.parse(text) == table


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_are_a_table_or_malformed(data: bytes, is_close: bool) -> None:
    decoded = partition_table.decode((b"\xaa\x50" if is_close else b"") + data)
    assert isinstance(decoded, tuple | Malformed)


@given(tables(), st.data())
def test_no_flipped_bit_goes_unseen(table: tuple[Partition, ...], data: st.DataObject) -> None:
    encoded = bytearray(partition_table.encode(table))
    # The MD5's own entry and what stands before it; the marker's 14 FF mean nothing.
    used = (len(table) + 1) * 32
    index = data.draw(st.integers(0, used - 1).filter(lambda n: not used - 30 <= n < used - 16))
    encoded[index] ^= 1 << data.draw(st.integers(0, 7))
    assert isinstance(partition_table.decode(bytes(encoded)), Malformed)


@given(st.text(max_size=60))
def test_any_text_is_a_table_or_a_config_error(text: str) -> None:
    table: tuple[Partition, ...] | None = None
    with contextlib.suppress(ConfigError):
        table = partition_table.parse(text)
    assert table is None or partition_table.broken_rules(table) == []


def test_our_own_table_is_what_espressifs_tool_makes_of_it() -> None:
    table = partition_table.parse((firmware_dir() / "partitions.csv").read_text())
    assert hashlib.sha256(partition_table.encode(table)).hexdigest() == _REFERENCE_SHA256
    assert [(p.name, p.offset, p.size) for p in table if p.name in _FIELDED] == [
        ("nvs", 0x9000, 0x5000),
        ("app0", 0x10000, 0x1C0000),
        ("app1", 0x1D0000, 0x1C0000),
        ("evcfg", 0x390000, 0x6000),
        ("storage", 0x3A0000, 0x50000),
    ]
    assert all(before.end <= after.offset for before, after in pairwise(table))
    assert table[-1].end == 4 * 1024 * 1024


def test_an_empty_offset_is_the_next_free_place() -> None:
    table = partition_table.parse("nvs,data,nvs,,24K,\napp,app,factory,,1M\nfat,data,fat,,4096")
    assert [p.offset for p in table] == [0x9000, 0x10000, 0x110000]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("x, data, nvs, 0x9000, 24Q", "'24Q' is not a number such as 24K"),
        ("x, data, nvs, 0x9000", "the size is missing"),
        ("x, date, nvs, 0x9000, 24K", "type 'date' is not one of app, data"),
        ("x, data, nsv, 0x9000, 24K", "subtype 'nsv' is not one of ota, phy, nvs"),
        ("x, app,, 0x10000, 1M", "subtype '' is not one of factory"),
        ("x, data, 0x100, 0x9000, 24K", "subtype 0x100 is not between 0 and 0xFE"),
        ("x, data, nvs, 0x9000, 24K, crypted", "flag 'crypted' is not one of encrypted, readonly"),
        ("x, data, nvs, 0x9000, 24K,,,7", "8 fields"),
        (", data, nvs, 0x9000, 24K", "name '': 1 to 15"),
        ("sixteen_letters_, data, nvs, 0x9000, 24K", "1 to 15 printable"),
        ("x, data, nvs, 0x8000, 24K", "offset 0x8000 is below 0x9000"),
        ("x, data, nvs, 0x9100, 24K", "offset 0x9100 is not a multiple of 0x1000"),
        ("x, app, factory, 0x11000, 1M", "offset 0x11000 is not a multiple of 0x10000"),
        ("x, data, fat, 0x9000, 100", "size 0x64 is not a multiple of 0x1000"),
        ("x, data, fat, 0x9000, 0", "size 0x0 is not a multiple"),
        ("x, data, fat, 0x9000, 4096M", "beyond 32 bits"),
        ("x, data, nvs, 0x9000, 8K", "an NVS partition needs at least 0x3000"),
        ("x, data, ota, 0x9000, 4K", "OTA data must have the size 0x2000"),
        ("x, data, fat, 0xd000, 8K", "x: offset 0xd000 lies in first (0xc000 to 0xdfff)"),
        ("first, data, fat, 0xe000, 4K", "a second partition has the name 'first'"),
        ("a,app,ota_0,0x10000,64K\nb,app,ota_1,0x20000,64K", "two OTA slots need a partition"),
    ],
)
def test_a_broken_rule_names_its_line(line: str, problem: str) -> None:
    text = f"# Name, Type\n\nfirst, data, fat, 0xc000, 8K\n{line}\n"
    with pytest.raises(ConfigError) as caught:
        partition_table.parse(text, file=Path("my.csv"))
    assert problem in caught.value.message
    assert any(f"my.csv:{number}: " in caught.value.message for number in (4, 5))


def test_every_wrong_line_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        partition_table.parse("a, data, nvs, 0x9000\nb, data, nope, 0x9000, 4K")
    assert "partitions.csv:1: " in caught.value.message
    assert "partitions.csv:2: " in caught.value.message


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((0, 0x00), "partition 0 invalid magic number 0x5000"),
        ((40, 0xFF), "no match"),
    ],
)
def test_the_reason_is_the_boot_loaders(change: tuple[int, int], reason: str) -> None:
    table = (Partition("a", DATA, 0x82, 0x9000, 0x1000), Partition("b", DATA, 6, 0xA000, 0x1000))
    data = bytearray(partition_table.encode(table))
    data[change[0]] = change[1]
    decoded = partition_table.decode(bytes(data))
    assert isinstance(decoded, Malformed)
    assert reason in decoded.reason


def test_a_table_without_end_is_malformed() -> None:
    entry = partition_table.encode([Partition("a", DATA, 0x82, 0x9000, 0x1000)])[:32]
    assert partition_table.decode(entry * 96) == Malformed("partition table has no end")
    assert partition_table.decode(entry) == Malformed("partition table has no end")


def test_encode_keeps_the_rules() -> None:
    with pytest.raises(ValueError, match="not a multiple"):
        partition_table.encode([Partition("a", DATA, 0x82, 0x9001, 0x1000)])
    with pytest.raises(ValueError, match="holds 95"):
        partition_table.encode(
            Partition(f"p{n}", DATA, 0x82, 0x9000 + 0x1000 * n, 0x1000) for n in range(96)
        )
