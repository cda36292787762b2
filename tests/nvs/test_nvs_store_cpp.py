# SPDX-License-Identifier: GPL-3.0-or-later
"""What the firmware remembers: kept when ESP-IDF refuses its partition, and the keys of evcfg."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from nvs.reader import FIRMWARE, HERE, SANITIZED, Reader, compile_driver, generated, key_partition
from once import Once

from evtool.protocol.nvs import NvsEntry, render_image
from evtool.protocol.nvs_page import PAGE_SIZE
from evtool.protocol.partition_table import DATA, SUBTYPES

NVS, NVS_KEYS = str(SUBTYPES[DATA]["nvs"]), str(SUBTYPES[DATA]["nvs_keys"])
KEYS = bytes(range(64))
PROVISIONED, CHANGED = "41" * 20, "42" * 20
EVCFG = [
    NvsEntry("evcfg", "schema", "u8", 1),
    NvsEntry("evcfg", "sec_profile", "u8", 1),
    *(
        NvsEntry("evcfg", key, "str", value)
        for key, value in {
            "cp_id": "CP-0001",
            "vendor": "ACME",
            "model": "DC-30",
            "serial": "SN-1",
            "csms_url": "ws://csms.example/ocpp",
            "auth_key": PROVISIONED,
            "wifi_ssid": "site",
        }.items()
    ),
]
REMEMBERED = [
    NvsEntry("evstate", "energy_mwh", "u64", 123_456_789_012),
    NvsEntry("evstate", "auth_key", "str", CHANGED),
    NvsEntry("evstate", "auth_from", "str", f"CP-0001:{PROVISIONED}"),
    NvsEntry("evstate", "panics", "u32", 3),
    NvsEntry("evstate", "crash_row", "u32", 2),
    NvsEntry("evstate", "formats", "u32", 1),
]


@pytest.fixture(scope="module")
def program(session_gxx: str, once: Once) -> Path:
    """The release's sources over a flash in memory."""
    sources = ("nvs_store", "factory_flash", "factory_identity")
    flags = (f"-I{HERE / 'idf'}", *SANITIZED)

    def make(folder: Path) -> None:
        compile_driver(session_gxx, folder / "store_driver", *flags, firmware=sources)

    return once("nvs-store", make) / "store_driver"


@pytest.fixture
def store(program: Path) -> Iterator[Reader]:
    """A unit that was provisioned in clear; its table has no place for keys."""
    running = Reader(program)
    running.ask("partition", "evcfg", NVS, render_image(EVCFG, 0x6000).hex())
    yield running
    running.close()


def _nvs(store: Reader, image: bytes) -> None:
    store.ask("partition", "nvs", NVS, image.hex())


def test_a_refused_partition_is_erased_and_what_it_held_written_again(store: Reader) -> None:
    _nvs(store, render_image(REMEMBERED, 0x5000))
    store.ask("refuse", "full")
    assert store.ask("open") == "kept"
    assert store.ask("load_energy") == "123456789012"
    assert store.ask("resets") == "3 0 0 2"
    assert store.ask("identity") == f"complete CP-0001 {CHANGED}"
    assert store.ask("format") == "2"


@pytest.mark.parametrize(
    "image",
    [
        b"\xff" * 0x5000,
        b"\x00" * 0x5000,
        render_image(REMEMBERED[1:], 0x5000),
        b"".join((render_image(REMEMBERED, 0x5000)[:8], b"\xfd", b"\xff" * (0x5000 - 9))),
    ],
    ids=["blank", "zeros", "no_register", "newer_page"],
)
def test_without_a_register_it_is_lost_and_the_unit_starts(store: Reader, image: bytes) -> None:
    _nvs(store, image)
    store.ask("refuse", "newer")
    assert store.ask("open") == "erased"
    assert store.ask("load_energy") == "0"
    assert store.ask("keep_energy", "5") == "5"


def test_a_register_that_cannot_be_written_again_counts_as_lost(store: Reader) -> None:
    _nvs(store, render_image(REMEMBERED, 0x5000))
    store.ask("refuse", "full")
    store.ask("fail_after", "0")
    assert store.ask("open") == "erased"


def test_other_refusals_erase_nothing_and_nothing_is_told_as_stored(store: Reader) -> None:
    _nvs(store, render_image(REMEMBERED, 0x5000))
    store.ask("refuse", "otherwise")
    assert store.ask("open") == "failed"
    assert store.ask("load_energy") == "0"
    assert store.ask("keep_energy", "5") == "0"
    assert store.ask("resets") == "0 0 0 0"
    assert store.ask("keep_resets", "1", "1") == "0 writes=0"


def test_a_missing_partition_is_a_failed_one(store: Reader) -> None:
    assert store.ask("open") == "failed"


def test_a_lost_page_is_said(store: Reader) -> None:
    image = bytearray(render_image(REMEMBERED, 0x5000))
    _nvs(store, bytes(image))
    assert store.ask("open") == "sound"
    image[5] ^= 1
    _nvs(store, bytes(image))
    assert store.ask("open") == "damaged"


def test_a_start_with_a_crash_costs_the_writes_of_what_changed(store: Reader) -> None:
    _nvs(store, b"\xff" * 0x5000)
    store.ask("open")
    store.ask("keep_resets", "1", "1")
    assert store.ask("keep_resets", "2", "2") == "1 writes=2"
    assert store.ask("keep_resets", "2", "2") == "1 writes=0"
    assert store.ask("resets") == "2 0 0 2"


def test_a_changed_key_counts_until_the_unit_is_provisioned_anew(store: Reader) -> None:
    _nvs(store, b"\xff" * 0x5000)
    store.ask("open")
    assert store.ask("identity") == f"complete CP-0001 {PROVISIONED}"
    assert store.ask("put_key", CHANGED) == "1"
    assert store.ask("identity") == f"complete CP-0001 {CHANGED}"
    anew = [
        NvsEntry("evcfg", e.key, e.kind, "43" * 20 if e.key == "auth_key" else e.value)
        for e in EVCFG
    ]
    store.ask("partition", "evcfg", NVS, render_image(anew, 0x6000).hex())
    assert store.ask("identity") == f"complete CP-0001 {'43' * 20}"


def _encrypted() -> bytes:
    image = generated(EVCFG, 0x6000, keys=KEYS)
    assert image is not None
    return image


def test_evcfg_is_decrypted_with_the_keys_as_the_cache_shows_them(store: Reader) -> None:
    """Without flash encryption they stand in flash in clear; with it only the cache knows them."""
    store.ask("partition", "evcfg", NVS, _encrypted().hex())
    assert store.ask("identity") == "incomplete   evcfg", "no keys"
    clear = key_partition(KEYS).hex()
    store.ask("partition", "nvs_keys", NVS_KEYS, clear)
    assert store.ask("identity") == f"complete CP-0001 {PROVISIONED}"
    scrambled = bytes(byte ^ 0x5A for byte in key_partition(KEYS)).hex()
    store.ask("partition", "nvs_keys", NVS_KEYS, scrambled, clear)
    assert store.ask("identity") == f"complete CP-0001 {PROVISIONED}"


def test_a_blank_key_partition_means_plain_whatever_the_cache_makes_of_it(store: Reader) -> None:
    blank = (b"\xff" * PAGE_SIZE).hex()
    store.ask("partition", "nvs_keys", NVS_KEYS, blank)
    assert store.ask("identity") == f"complete CP-0001 {PROVISIONED}"
    store.ask("partition", "nvs_keys", NVS_KEYS, blank, bytes(range(256)).hex() * 16)
    assert store.ask("identity") == f"complete CP-0001 {PROVISIONED}"


@pytest.mark.parametrize("cache", [bytes(PAGE_SIZE), b"\xff" * PAGE_SIZE, b""])
def test_keys_that_are_neither_there_nor_absent_make_evcfg_unreadable(
    store: Reader, cache: bytes
) -> None:
    raw = key_partition(KEYS).hex()
    for image in (render_image(EVCFG, 0x6000), _encrypted()):
        store.ask("partition", "evcfg", NVS, image.hex())
        store.ask("partition", "nvs_keys", NVS_KEYS, raw, *([cache.hex()] if cache else ["00"]))
        assert store.ask("identity") == "incomplete   evcfg"


def test_arduinos_hook_is_taken_once() -> None:
    """Two definitions do not link, and the one must open the partition."""
    sources = [path.read_text(encoding="utf-8") for path in (FIRMWARE / "src").glob("*.cpp")]
    bodies = [
        text.split("bool verifyRollbackLater() {")[1].split("}")[0]
        for text in sources
        if "bool verifyRollbackLater()" in text
    ]
    assert len(bodies) == 1
    assert "nvs_store::open_before_arduino();" in bodies[0]
