# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a unit is: from evcfg, plain or encrypted; from secrets.h in the lab alone; or nobody."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nvs.reader import Reader, generated, key_partition

from evtool.protocol.nvs import NvsContent, NvsEntry, NvsKind, render_image
from evtool.protocol.partition_table import Partition
from evtool.virtual.board_nvs import factory_data
from evtool.virtual.flash_chip import FlashChip

KEYS = bytes(range(64))
SIZE = 0x6000
BLANK = b"\xff" * SIZE
CERTIFICATE = "-----BEGIN CERTIFICATE-----\n" + "A" * 1900 + "\n-----END CERTIFICATE-----\n"
VALUES: dict[str, tuple[NvsKind, NvsContent]] = {
    "schema": ("u8", 1),
    "sec_profile": ("u8", 2),
    "cp_id": ("str", "CP-0001"),
    "vendor": ("str", "ACME"),
    "model": ("str", "DC-30"),
    "serial": ("str", "SN-1"),
    "csms_url": ("str", "wss://csms.example/ocpp"),
    "auth_key": ("str", "41" * 20),
    "wifi_ssid": ("str", "site"),
    "wifi_pass": ("str", "correct horse"),
    "ca_cert": ("str", CERTIFICATE),
}
MISSING = (
    "incomplete cp_id= cp_id:missing vendor:missing model:missing serial:missing "
    "csms_url:missing wifi_ssid:missing schema:missing sec_profile:missing"
)
UNREADABLE = "incomplete cp_id= evcfg:readable"


def entries(without: str = "") -> list[NvsEntry]:
    return [NvsEntry("evcfg", key, *value) for key, value in VALUES.items() if key != without]


@cache
def plain(without: str = "") -> bytes:
    return render_image(entries(without), SIZE)


@cache
def encrypted() -> bytes:
    image = generated(entries(), SIZE, keys=KEYS)
    assert image is not None
    return image


def test_a_plain_and_an_encrypted_identity_are_read(reader: Reader, lab_reader: Reader) -> None:
    for each in (reader, lab_reader):
        each.load(plain())
        assert each.ask("identity") == "complete cp_id=CP-0001"
        each.load(encrypted(), key_partition(KEYS))
        assert each.ask("identity") == "complete cp_id=CP-0001"


@pytest.mark.parametrize("image", [b"", BLANK], ids=["absent", "blank"])
@pytest.mark.parametrize("keys", [b"", key_partition(KEYS)], ids=["plain", "with_keys"])
def test_an_unprovisioned_release_is_nobody_and_the_lab_says_where_it_has_it(
    reader: Reader, lab_reader: Reader, image: bytes, keys: bytes
) -> None:
    reader.load(image, keys)
    assert reader.ask("identity") == MISSING
    lab_reader.load(image, keys)
    assert lab_reader.ask("identity") == "complete secrets.h tls_unverified cp_id=LAB-1"


def test_a_namespace_of_another_name_is_none_of_ours(reader: Reader) -> None:
    reader.load(render_image([NvsEntry("other", "cp_id", "str", "CP-0001")], SIZE))
    assert reader.ask("identity") == MISSING


@pytest.mark.parametrize("key", [key for key in VALUES if key not in ("auth_key", "ca_cert")])
def test_a_key_that_is_missing_is_named(reader: Reader, lab_reader: Reader, key: str) -> None:
    for each in (reader, lab_reader):
        each.load(plain(without=key))
        answer = each.ask("identity")
        if key == "wifi_pass":
            assert answer == "complete cp_id=CP-0001", "an open network"
        else:
            assert answer.startswith("incomplete")
            assert f" {key}:missing" in answer


def test_only_the_lab_goes_without_a_certificate(reader: Reader, lab_reader: Reader) -> None:
    reader.load(plain(without="ca_cert"))
    answer = reader.ask("identity")
    assert answer == "incomplete tls_unverified cp_id=CP-0001 ca_cert:needed_for_wss://"
    lab_reader.load(plain(without="ca_cert"))
    assert lab_reader.ask("identity") == "complete tls_unverified cp_id=CP-0001"


CLIENT = {
    "client_cert": CERTIFICATE,
    "client_key": "-----BEGIN PRIVATE KEY-----\n" + "B" * 1600 + "\n-----END PRIVATE KEY-----\n",
}


def in_profile_3(without: str = "") -> bytes:
    values = VALUES | {key: ("str", text) for key, text in CLIENT.items()}
    values["sec_profile"] = ("u8", 3)
    made = [NvsEntry("evcfg", key, *value) for key, value in values.items() if key != without]
    return render_image(made, SIZE)


def test_profile_3_is_read_with_its_certificate_and_key(reader: Reader, lab_reader: Reader) -> None:
    for each in (reader, lab_reader):
        for without in ("", "auth_key"):
            each.load(in_profile_3(without))
            assert each.ask("identity") == "complete cp_id=CP-0001"
        for key in CLIENT:
            each.load(in_profile_3(key))
            assert each.ask("identity").startswith(f"incomplete cp_id=CP-0001 {key}:profile_3_")


def test_not_even_the_lab_shows_its_certificate_to_just_anybody(lab_reader: Reader) -> None:
    lab_reader.load(in_profile_3("ca_cert"))
    answer = lab_reader.ask("identity")
    assert answer == "incomplete tls_unverified cp_id=CP-0001 ca_cert:needed_for_wss://"


def _damaged(image: bytes, position: int) -> bytes:
    changed = bytearray(image)
    changed[position] ^= 0x10
    return bytes(changed)


@pytest.mark.parametrize(
    ("image", "keys"),
    [
        (plain(), key_partition(KEYS)),
        (encrypted(), b""),
        (encrypted(), key_partition(KEYS[::-1])),
        (plain(), _damaged(key_partition(KEYS), 3)),
        (BLANK, _damaged(key_partition(KEYS), 3)),
        (_damaged(plain(), 64 + 5 * 32), b""),
        (_damaged(plain(), 8), b""),
        (_damaged(plain(), 0x5000), b""),
        (plain()[:-1], b""),
        (b"garbage" * 4096, b""),
        (plain()[:0x1000] + encrypted()[0x1000:], key_partition(KEYS)),
    ],
    ids=[
        *("plain_with_keys", "encrypted_without", "other_keys", "damaged_keys"),
        *("blank_with_damaged_keys", "damaged_entry", "damaged_page", "damaged_blank_page"),
        *("odd_size", "garbage", "mixed"),
    ],
)
def test_what_cannot_be_read_in_whole_is_nobody_in_the_lab_as_well(
    reader: Reader, lab_reader: Reader, image: bytes, keys: bytes
) -> None:
    for each in (reader, lab_reader):
        each.load(image, keys)
        assert each.ask("identity") == UNREADABLE
    if len(image) == SIZE:
        assert not virtual_board_reads(image, keys)


def virtual_board_reads(image: bytes, keys: bytes) -> bool:
    """Whether the virtual board, too, finds it readable, with this in its flash."""
    storage = bytearray(b"\xff" * 0x10000)
    storage[0x1000 : 0x1000 + len(keys)] = keys
    storage[0x2000 : 0x2000 + len(image)] = image
    flash = FlashChip(memoryview(storage))
    table = (Partition("evcfg", 1, 2, 0x2000, SIZE), Partition("keys", 1, 4, 0x1000, 0x1000))
    return factory_data(flash, flash, table).readable


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # it keeps nothing
@given(
    st.sampled_from([0, 1]),
    st.lists(st.tuples(st.integers(0, 0x1400), st.integers(0, 7)), max_size=2),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 7)), max_size=1),
)
def test_the_virtual_board_reads_what_the_firmware_reads(
    reader: Reader, form: int, flips: list[tuple[int, int]], key_flips: list[tuple[int, int]]
) -> None:
    image, keys = ((plain(), b""), (encrypted(), key_partition(KEYS)))[form]
    changed, changed_keys = bytearray(image), bytearray(keys)
    for at, bit in flips:
        changed[at] ^= 1 << bit
    for at, bit in key_flips:
        if keys:
            changed_keys[at] ^= 1 << bit
    reader.load(bytes(changed), bytes(changed_keys))
    is_readable = reader.ask("identity") != UNREADABLE
    assert virtual_board_reads(bytes(changed), bytes(changed_keys)) is is_readable
