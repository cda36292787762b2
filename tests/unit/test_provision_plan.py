# SPDX-License-Identifier: GPL-3.0-or-later
"""Provisioning against a board in memory: the right place, the comparison, the boot proof."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType

import pytest

from evtool.errors import CheckFailed, ConfigError, DeviceError, LinkTimeout
from evtool.protocol import partition_table
from evtool.protocol.board_flash import FLASH_ENCRYPTION, ChipInfo, FlashPart, WriteProgress
from evtool.protocol.console import boot_fields
from evtool.protocol.flash_cipher import host_cipher
from evtool.protocol.nvs import NvsEntry, parse_image
from evtool.protocol.nvs_encryption import NvsKeys, decrypt_image, encode_keys
from evtool.protocol.partition_table import Partition
from evtool.provision.boot_proof import wait_for_boot
from evtool.provision.plan import Encryption, Provisioned, ProvisionPlan, run_plan

EVCFG = Partition("evcfg", 1, 2, 0x10000, 0x4000)
TABLE = (Partition("nvs", 1, 2, 0x9000, 0x5000), EVCFG)
CHIP = ChipInfo("esp32", "ESP32 (revision v3.1)", "24:0a:c4:00:00:01")
PLAN = ProvisionPlan("CP-0001", (NvsEntry("evcfg", "cp_id", "str", "CP-0001"),), 5000)
NVS_KEYS = Partition("nvs_keys", 1, 4, 0x14000, 0x1000, 1)
NEW_KEYS = NvsKeys(b"\x01" * 32, b"\x02" * 32)
FLASH_KEY = bytes(range(32))
BOOT = b"[event] boot version=1.0 build=cafe charge_point=CP-0001 reset=power_on\r\n"


class FakeBoard:
    """Flash in memory; `flip` spoils a byte after each write."""

    def __init__(self, table: tuple[Partition, ...] = TABLE, flip: int | None = None) -> None:
        self.flash = bytearray(b"\xff" * 0x20000)
        if table:
            start = partition_table.TABLE_OFFSET
            self.flash[start : start + partition_table.TABLE_SIZE] = partition_table.encode(table)
        self.flip = flip
        self.macs = [CHIP.mac] * 9
        self.encrypted = False
        self.written: list[FlashPart] = []

    def read(self, offset: int, size: int) -> tuple[bytes, ChipInfo]:
        chip = ChipInfo(CHIP.chip, CHIP.description, self.macs.pop(0))
        return bytes(self.flash[offset : offset + size]), chip

    def write(
        self,
        parts: Sequence[FlashPart],
        on_progress: Callable[[WriteProgress], None] | None = None,
        *,
        ciphertext: bool = False,
    ) -> ChipInfo:
        assert ciphertext is self.encrypted
        for part in parts:
            self.flash[part.offset : part.end] = part.data
            self.written.append(part)
        if self.flip is not None:
            self.flash[self.flip] ^= 1
        return CHIP

    def read_secured(self) -> tuple[str, ...]:
        return (FLASH_ENCRYPTION,) if self.encrypted else ()


class Keys:
    """The keys of boards: none, or those that a test gives."""

    def __init__(self, flash_key: bytes | None = None, nvs: NvsKeys | None = None) -> None:
        self._flash_key = flash_key
        self.nvs = nvs

    def kept(self, mac: str) -> NvsKeys | None:
        assert mac == CHIP.mac
        return self.nvs

    def keep(self, mac: str, keys: NvsKeys) -> None:
        assert mac == CHIP.mac
        self.nvs = keys

    def flash_key(self, mac: str) -> bytes | None:
        assert mac == CHIP.mac
        return self._flash_key


class FakeConsole:
    """Gives pieces, one a read; each read takes 100 ms of the fake clock."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.now_ms = 0
        self.closed = False

    def clock(self) -> int:
        return self.now_ms

    def read(self, timeout_s: float) -> bytes:
        assert timeout_s > 0
        self.now_ms += 100
        return self.pieces.pop(0) if self.pieces else b""

    def __enter__(self) -> FakeConsole:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.closed = True


def run(
    board: FakeBoard,
    console: FakeConsole,
    plan: ProvisionPlan = PLAN,
    on_board: Callable[[ChipInfo], None] = lambda _: None,
    encryption: Encryption | None = None,
) -> tuple[Provisioned, list[str], list[Provisioned]]:
    steps: list[str] = []
    written: list[Provisioned] = []
    done = run_plan(
        replace(plan, encryption=encryption or Encryption(Keys(), lambda: NEW_KEYS)),
        board,
        lambda: console,
        console.clock,
        steps.append,
        on_board,
        written.append,
    )
    return done, steps, written


def test_the_identity_goes_where_the_boards_own_table_says() -> None:
    board, console = FakeBoard(), FakeConsole(BOOT)
    done, steps, written = run(board, console)
    assert steps == ["read", "write", "compare", "boot"] == list(PLAN.steps)
    assert [part.offset for part in board.written] == [EVCFG.offset]
    held = parse_image(bytes(board.flash[EVCFG.offset : EVCFG.end]))
    assert held.entries == PLAN.entries
    assert done.chip.mac == CHIP.mac
    assert done.boot == {
        "version": "1.0", "build": "cafe", "charge_point": "CP-0001", "reset": "power_on",
    }  # fmt: skip
    assert set(done.times_ms) == set(steps)
    assert [each.image_sha256 for each in written] == [done.image_sha256]
    assert console.closed


def stored(board: FakeBoard, keys: NvsKeys) -> bool:
    image = decrypt_image(bytes(board.flash[EVCFG.offset : EVCFG.end]), keys)
    return parse_image(image).entries == PLAN.entries


def test_a_board_with_keys_for_its_nvs_gets_it_encrypted_with_these() -> None:
    board = FakeBoard((*TABLE, NVS_KEYS))
    theirs, keys = NvsKeys(b"\x08" * 32, b"\x09" * 32), Keys()
    board.flash[NVS_KEYS.offset : NVS_KEYS.end] = encode_keys(theirs)
    encryption = Encryption(keys, lambda: NEW_KEYS)
    done, _, _ = run(board, FakeConsole(BOOT), encryption=encryption)
    assert done.encrypted
    assert stored(board, theirs)
    assert keys.nvs == theirs
    assert [part.name for part in board.written] == ["evcfg"]
    plain, _, _ = run(FakeBoard(), FakeConsole(BOOT))
    assert done.image_sha256 == plain.image_sha256


def test_encryption_that_was_asked_for_brings_new_keys() -> None:
    board, keys = FakeBoard((*TABLE, NVS_KEYS)), Keys()
    encryption = Encryption(keys, lambda: NEW_KEYS, wanted=True)
    done, _, _ = run(board, FakeConsole(BOOT), encryption=encryption)
    assert stored(board, NEW_KEYS)
    assert keys.nvs == NEW_KEYS
    assert board.flash[NVS_KEYS.offset : NVS_KEYS.end] == encode_keys(NEW_KEYS)
    assert "same flash" in done.notes[0]


def encrypted_board(nvs_keys: bytes) -> FakeBoard:
    """Behind flash encryption: table and NVS keys are ciphertext."""
    board = FakeBoard((*TABLE, NVS_KEYS))
    board.encrypted = True
    cipher = host_cipher("esp32", FLASH_KEY)
    board.flash[0x8000:0x9000] = cipher.encrypt(0x8000, bytes(board.flash[0x8000:0x9000]))
    place = slice(NVS_KEYS.offset, NVS_KEYS.end)
    board.flash[place] = cipher.encrypt(NVS_KEYS.offset, nvs_keys) if nvs_keys else b"\xff" * 0x1000
    return board


def test_a_secured_board_is_read_and_written_with_the_keys_that_are_kept() -> None:
    theirs = NvsKeys(b"\x08" * 32, b"\x09" * 32)
    board = encrypted_board(encode_keys(theirs))
    keys = Keys(FLASH_KEY)
    done, _, _ = run(board, FakeConsole(BOOT), encryption=Encryption(keys, lambda: NEW_KEYS))
    assert (done.encrypted, done.notes) == (True, ())
    assert stored(board, theirs)
    assert [part.name for part in board.written] == ["evcfg"]

    blank_one = encrypted_board(b"")
    run(blank_one, FakeConsole(BOOT), encryption=Encryption(keys, lambda: NEW_KEYS))
    assert stored(blank_one, keys.nvs or NEW_KEYS)
    assert [(part.name, part.encrypt) for part in blank_one.written] == [
        ("nvs_keys", False),
        ("evcfg", False),
    ]


def test_a_secured_board_whose_key_nobody_has_is_left_alone() -> None:
    board = encrypted_board(b"")
    with pytest.raises(ConfigError, match="its key is not in the ledger"):
        run(board, FakeConsole(BOOT))
    assert board.written == []


def test_a_board_that_is_refused_is_not_written() -> None:
    board, console = FakeBoard(), FakeConsole(BOOT)
    seen = []

    def refuse(chip: ChipInfo) -> None:
        seen.append(chip.mac)
        raise ConfigError("another unit's")

    with pytest.raises(ConfigError, match="another unit's"):
        run(board, console, on_board=refuse)
    assert seen == [CHIP.mac]
    assert board.written == []


def test_without_the_proof_the_console_stays_closed() -> None:
    plan = ProvisionPlan("CP-0001", PLAN.entries, None)
    console = FakeConsole()
    done, steps, _ = run(FakeBoard(), console, plan)
    assert steps == ["read", "write", "compare"] == list(plan.steps)
    assert done.boot is None
    assert not console.closed


@pytest.mark.parametrize(
    ("table", "kind", "words"),
    [
        ((), DeviceError, "no partition table at 0x8000"),
        (TABLE[:1], ConfigError, "has no partition 'evcfg'"),
    ],
)
def test_a_board_without_a_place_is_not_written(
    table: tuple[Partition, ...], kind: type[Exception], words: str
) -> None:
    board = FakeBoard(table)
    with pytest.raises(kind, match=words):
        run(board, FakeConsole(BOOT))
    assert board.written == []


def test_a_byte_that_differs_is_named_by_its_place_only() -> None:
    with pytest.raises(
        CheckFailed, match="1 of 16384 bytes read back differ, the first at 0x10007"
    ):
        run(FakeBoard(flip=EVCFG.offset + 7), FakeConsole(BOOT))


def test_a_board_that_is_changed_in_between_is_noticed() -> None:
    board = FakeBoard()
    board.macs[1] = "24:0a:c4:00:00:02"
    with pytest.raises(DeviceError, match="the board was changed in between"):
        run(board, FakeConsole(BOOT))


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_the_boot_line_is_found_in_any_chunking(size: int) -> None:
    stream = b"ets Jun  8 2016\r\n\xff\xfe[wifi] up\r\n" + BOOT
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    console = FakeConsole(*pieces)
    assert wait_for_boot(console, "CP-0001", 60_000, console.clock)["build"] == "cafe"


def test_another_identity_fails_at_once() -> None:
    console = FakeConsole(BOOT.replace(b"CP-0001", b"CP-0002"), BOOT)
    with pytest.raises(CheckFailed, match="started as CP-0002, not as CP-0001"):
        wait_for_boot(console, "CP-0001", 5000, console.clock)


def test_an_identity_that_looks_like_a_number_is_compared_as_text() -> None:
    console = FakeConsole(b"[event] boot charge_point=072V\n")
    assert wait_for_boot(console, "072V", 5000, console.clock) == {"charge_point": "072V"}
    console = FakeConsole(b"[event] boot charge_point=72V\n")
    with pytest.raises(CheckFailed):
        wait_for_boot(console, "072V", 5000, console.clock)


def test_silence_and_noise_end_at_the_limit_and_the_noise_is_shown() -> None:
    console = FakeConsole()
    with pytest.raises(LinkTimeout, match=r"within 2 s; it said nothing"):
        wait_for_boot(console, "CP-0001", 2000, console.clock)
    assert console.now_ms == 2000
    console = FakeConsole(b"invalid header: 0xffffffff\r\n" * 20)
    with pytest.raises(LinkTimeout, match="invalid header: 0xffffffff"):
        wait_for_boot(console, "CP-0001", 2000, console.clock)


def test_only_a_boot_line_is_one() -> None:
    assert boot_fields("[event] plug state=in") is None
    assert boot_fields("[event] boot") is None
    assert boot_fields("x [event] boot charge_point=a") is None
    assert boot_fields("[event] boot charge_point=a odd") == {"charge_point": "a"}
