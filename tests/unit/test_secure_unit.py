# SPDX-License-Identifier: GPL-3.0-or-later
"""A unit secured on chips in memory: killed at every step, continued, and then started."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TypeVar

import pytest
from board_images import (
    APP0,
    EVCFG,
    OTADATA,
    PARTITIONS,
    application,
    bootloader,
    flash_image,
    identity,
)
from fuse_model import ModelFuses, blank
from machine_bench import Bench
from signed_images import key_digest, signing_key

from evtool.errors import CheckFailed, ConfigError
from evtool.protocol.board_flash import BoardFacts, ChipInfo, FlashPart
from evtool.protocol.chip_fuses import secured
from evtool.protocol.flash_cipher import host_cipher
from evtool.protocol.nvs_encryption import NvsKeys, decode_keys, encode_keys, encrypt_image
from evtool.protocol.partition_table import TABLE_OFFSET, Partition, encode
from evtool.protocol.secure_boot import signed
from evtool.provision.security.burn import SecurityWish
from evtool.provision.security.key_blocks import SecurityRefused
from evtool.provision.security.plan import CHIPS
from evtool.provision.security.secure_unit import (
    Console,
    Firmware,
    Fuses,
    Secured,
    SecurityOrder,
    secure_unit,
)
from evtool.virtual.board import Mode
from evtool.virtual.chips import CHIPS as VIRTUAL
from evtool.virtual.flash_encryption import flash_cipher

T = TypeVar("T")
MAC = "02:45:56:00:00:01"
NVS_KEYS = 0xF6000
TABLE = (*PARTITIONS, Partition("nvs_keys", 1, 4, NVS_KEYS, 0x1000, 1))
SIGNING = signing_key()
FLASH_KEY = bytes(range(32))
NEW_NVS_KEYS = NvsKeys(b"\x01" * 32, b"\x02" * 32)
RELEASE = SecurityWish(flash_encryption=True, digests=(key_digest(SIGNING),), release=True)
chips = pytest.mark.parametrize("chip", CHIPS)


class KilledError(BaseException):
    """The power of the host went."""


@dataclass
class World:
    """A board and a ledger, which outlive the runs that are killed.

    Attributes:
        lives: how many steps the present run may take yet.
        flash_key, nvs_keys: what the ledger keeps.
        at_burn: what was kept when the first fuse was burned.
    """

    chip: str
    flash: bytearray = field(default_factory=lambda: flash_image({}))
    fuses: ModelFuses = field(init=False)
    lives: int = 1_000
    steps: int = 0
    flash_key: bytes | None = None
    nvs_keys: NvsKeys | None = None
    records: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    at_burn: list[bytes | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fuses = ModelFuses(blank(self.chip, MAC))

    def step(self) -> None:
        self.steps += 1
        self.lives -= 1
        if self.lives < 0:
            raise KilledError

    def record(self, event: str, mac: str, fields: Mapping[str, object]) -> None:
        self.step()
        assert mac == MAC
        self.records.append((event, dict(fields)))

    # --- keys, as the ledger keeps them ---

    def kept(self, mac: str) -> bytes | None:
        assert mac == MAC
        return self.flash_key

    def make(self, mac: str) -> bytes:
        assert mac == MAC
        self.step()
        self.flash_key = self.flash_key or FLASH_KEY
        self.step()
        return self.flash_key

    def started(self) -> Bench:
        bench = Bench(self.flash, VIRTUAL[self.chip], self.fuses.virtual())
        return bench.start()


@dataclass
class KeptNvs:
    world: World

    def kept(self, mac: str) -> NvsKeys | None:
        assert mac == MAC
        return self.world.nvs_keys

    def keep(self, mac: str, keys: NvsKeys) -> None:
        assert mac == MAC
        self.world.step()
        self.world.nvs_keys = keys


class MemoryBoard:
    """A `secure_unit.Board`; a run may end before and after everything that it does."""

    def __init__(self, world: World, mac: str = MAC) -> None:
        self._world = world
        self._mac = mac

    def connect(self, baudrate: int) -> BoardFacts:
        del baudrate
        self._world.step()
        return BoardFacts(ChipInfo(self._world.chip, "a chip", self._mac), 300, 4 << 20)

    def with_fuses(self, work: Callable[[Fuses], T]) -> T:
        world = self._world
        before = world.fuses.state
        world.step()
        done = work(world.fuses)
        if world.fuses.state is not before:
            world.at_burn.append(world.flash_key)
            world.step()
        return done

    def read(self, offset: int, size: int) -> bytes:
        return bytes(self._world.flash[offset : offset + size])

    def holds(self, parts: Sequence[FlashPart]) -> Sequence[bool]:
        return [self.read(part.offset, len(part.data)) == part.data for part in parts]

    def write(self, parts: Sequence[FlashPart], on_bytes: Callable[[int], None]) -> None:
        for part in parts:
            half = len(part.data) // 2
            for begin, end in ((0, half), (half, len(part.data))):
                self._world.step()
                place = slice(part.offset + begin, part.offset + end)
                self._world.flash[place] = part.data[begin:end]
                on_bytes(end - begin)

    def enciphered(self, offset: int, sector: bytes) -> bytes:
        """With the key that is in the chip, whatever is kept."""
        self._world.step()
        cipher = flash_cipher(VIRTUAL[self._world.chip], self._world.fuses.virtual())
        assert cipher is not None
        self._world.flash[offset : offset + len(sector)] = cipher.encrypt(offset, sector)
        self._world.step()
        return self.read(offset, len(sector))

    def restart(self) -> None:
        self._world.step()

    @contextmanager
    def console(self) -> Iterator[Console]:
        self._world.step()
        yield _Mute()

    def close(self) -> None:
        pass


class _Mute:
    def read(self, timeout_s: float) -> bytes:
        del timeout_s
        return b""


def firmware(chip: str) -> Firmware:
    virtual = VIRTUAL[chip]
    parts = (
        FlashPart("bootloader", virtual.bootloader_offset, bootloader(virtual)),
        FlashPart("partition-table", TABLE_OFFSET, encode(TABLE)),
        FlashPart("otadata", OTADATA, b"\xff" * 0x2000),
        FlashPart("app", APP0, application(chip=virtual)),
    )
    return Firmware(parts, TABLE, lambda image: signed(image, SIGNING))


def run(
    world: World, wish: SecurityWish = RELEASE, mac: str = MAC, made: Firmware | None = None
) -> Secured:
    order = SecurityOrder(mac, wish, made or firmware(world.chip), 460_800, lambda _console: {})
    return secure_unit(
        order,
        MemoryBoard(world),
        world,
        KeptNvs(world),
        lambda: NEW_NVS_KEYS,
        world.record,
        lambda *_: None,
    )


def is_right(world: World, reports: str | None = "encrypted") -> None:
    """The board's own boot loaders accept it, and it knows who it is."""
    bench = world.started()
    assert bench.mode() is Mode.APP, bench.console()
    (app,) = bench.apps()
    assert app.identity["cp_id"] == "CP-0001"
    assert bench.reports("app")[-1].get("evcfg") == reports


@chips
def test_a_provisioned_unit_is_secured_and_a_second_run_changes_nothing(chip: str) -> None:
    world = World(chip)
    world.flash[EVCFG : EVCFG + 0x6000] = identity()
    done = run(world)
    assert done.burned
    assert done.written == ("bootloader", "partition-table", "otadata", "app", "nvs_keys", "evcfg")
    is_right(world)
    assert [event for event, _ in world.records] == ["planned", "security_enabled"]
    assert world.records[1][1]["secured"] == ["flash encryption", "secure boot"]
    before = bytes(world.flash), world.fuses.state
    again = run(world)
    assert (again.burned, again.written) == ((), ())
    assert (bytes(world.flash), world.fuses.state) == before
    text = repr(world.records) + repr(done)
    assert FLASH_KEY.hex() not in text
    assert repr(FLASH_KEY)[2:20] not in text


@pytest.mark.slow
@pytest.mark.timeout(600)
@chips
def test_it_may_be_killed_at_every_step_and_goes_on(chip: str) -> None:
    wish = replace(RELEASE, lock_loader=True)
    made = replace(firmware(chip), sign=cache(lambda image: signed(image, SIGNING)))
    whole = World(chip)
    run(whole, wish, made=made)
    assert 30 < whole.steps < 120
    locked = "UART_DOWNLOAD_DIS" if chip == "esp32" else "ENABLE_SECURITY_DOWNLOAD"
    for lives in range(whole.steps):
        world = World(chip, lives=lives)
        world.flash[EVCFG : EVCFG + 0x6000] = identity()
        with pytest.raises(KilledError):
            run(world, wish, made=made)
        # Nothing is burned whose key is not kept.
        assert None not in world.at_burn
        if not world.fuses.state.value(locked):
            world.lives = 1_000
            run(world, wish, made=made)
        # Nobody can ask a chip whose loader is locked; all the rest was done and recorded before.
        is_right(world)
        assert world.fuses.state == whole.fuses.state
        assert world.records[-1][0] == "security_enabled"
        assert world.records[-1][1]["mode"] == "release"


@chips
def test_unsigned_or_clear_images_do_not_start_any_more(chip: str) -> None:
    world = World(chip)
    world.flash[EVCFG : EVCFG + 0x6000] = identity()
    run(world)
    cipher = host_cipher(chip, FLASH_KEY)
    image = application(chip=VIRTUAL[chip])
    unsigned = cipher.encrypt(APP0, image + b"\xff" * (-len(image) % 0x2000))
    for put in (image, unsigned):
        spoiled = World(chip, flash=bytearray(world.flash))
        spoiled.fuses = world.fuses
        spoiled.flash[APP0 : APP0 + 0x4000] = put[:0x4000].ljust(0x4000, b"\xff")
        assert spoiled.started().mode() is Mode.HALTED
    boot = VIRTUAL[chip].bootloader_offset
    world.flash[boot : boot + 0x1000] = bootloader(VIRTUAL[chip]).ljust(0x1000, b"\xff")[:0x1000]
    assert world.started().mode() is Mode.HALTED


@chips
def test_development_mode_and_each_half_alone(chip: str) -> None:
    for wish, reports in (
        (SecurityWish(flash_encryption=True), "encrypted"),
        (SecurityWish(digests=RELEASE.digests, release=True), None),
        (SecurityWish(flash_encryption=True, digests=RELEASE.digests), "encrypted"),
    ):
        world = World(chip)
        world.flash[EVCFG : EVCFG + 0x6000] = identity()
        run(world, wish)
        is_right(world, reports)
        assert run(world, wish).burned == ()


@chips
def test_nvs_keys_that_the_unit_has_stay_its_keys(chip: str) -> None:
    world = World(chip)
    theirs = NvsKeys(b"\x08" * 32, b"\x09" * 32)
    world.flash[NVS_KEYS : NVS_KEYS + 0x1000] = encode_keys(theirs)
    world.flash[EVCFG : EVCFG + 0x6000] = encrypt_image(identity(), theirs)
    run(world)
    assert world.nvs_keys == theirs
    clear = host_cipher(chip, FLASH_KEY).decrypt(NVS_KEYS, bytes(world.flash[NVS_KEYS:][:0x1000]))
    assert decode_keys(clear) == theirs
    is_right(world)


def test_what_is_refused_leaves_chip_flash_and_ledger_as_they_were() -> None:
    def untouched(world: World) -> bool:
        blanks = (world.fuses.state == blank(world.chip, MAC), world.flash_key is None)
        return all(blanks) and not world.records

    world = World("esp32")
    with pytest.raises(ConfigError, match="agreed was 02:45:56:00:00:02"):
        run(world, mac="02:45:56:00:00:02")
    assert untouched(world)
    with pytest.raises(SecurityRefused):
        run(world, SecurityWish(digests=(b"\x01" * 32, b"\x02" * 32)))
    with pytest.raises(ConfigError, match="no key that the chip would trust"):
        run(world, made=replace(firmware("esp32"), sign=None))
    whole = firmware("esp32")
    merged = FlashPart("merged.bin", 0x1000, bytes(0x20000))
    with pytest.raises(ConfigError, match="not within one partition"):
        run(world, made=replace(whole, parts=(*whole.parts[1:], merged)))
    large = replace(whole.parts[3], data=application(b"x" * 0x6F000))
    with pytest.raises(ConfigError, match="with its signature it has"):
        run(world, made=replace(whole, parts=(*whole.parts[:3], large)))
    assert untouched(world)


def test_an_evcfg_that_nobody_can_read_is_not_lost() -> None:
    for spoiled in (b"\x11" * 0x6000, encrypt_image(identity(), NEW_NVS_KEYS)):
        world = World("esp32")
        world.flash[EVCFG : EVCFG + 0x6000] = spoiled
        world.nvs_keys = NvsKeys(b"\x08" * 32, b"\x09" * 32)
        with pytest.raises(CheckFailed, match="evcfg is damaged"):
            run(world)
        assert world.fuses.state == blank("esp32", MAC)
        assert world.flash[EVCFG : EVCFG + 0x6000] == spoiled
    world = World("esp32")
    world.flash[NVS_KEYS : NVS_KEYS + 0x1000] = b"\x11" * 0x1000
    with pytest.raises(CheckFailed, match="nvs_keys holds something"):
        run(world)


@chips
def test_a_key_that_is_not_the_one_kept_is_found_before_the_switch(chip: str) -> None:
    world = World(chip)
    # Kept here, and never burned; then somebody else has burned another one.
    world.flash_key = bytes(range(50, 82))
    block, purpose = ("BLOCK1", None) if chip == "esp32" else ("BLOCK_KEY0", "XTS_AES_128_KEY")
    world.fuses.burn_key(block, FLASH_KEY, purpose)
    with pytest.raises(CheckFailed, match="does not encipher with the key that is kept"):
        run(world)
    assert secured(world.fuses.state) == ()
    assert [event for event, _ in world.records] == ["planned"]


def test_a_fuse_that_does_not_burn_is_found_before_the_switch() -> None:
    world = World("esp32s3")
    world.fuses.burn_key = lambda *_: None  # type: ignore[method-assign]  # a worn chip
    with pytest.raises(CheckFailed, match="BLOCK_KEY0 did not burn"):
        run(world)
    assert world.fuses.state.value("SPI_BOOT_CRYPT_CNT") == 0
    assert world.flash == flash_image({})
