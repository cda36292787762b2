# SPDX-License-Identifier: GPL-3.0-or-later
"""What distinguishes one chip of the ESP32 family from another, as values.

Addresses are the chip's own; block numbers, bits and offsets are those of its Technical
Reference Manual (chapters "eFuse Controller", "SPI Controller", "UART"), which espefuse and
esptool use as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class SpiController:
    """SPI1, through which a host speaks to the flash chip; offsets from `base`.

    Attributes:
        address_msb_aligned: the address stands in the upper bits of its register.
    """

    base: int
    user: int
    user1: int
    user2: int
    mosi_length: int
    miso_length: int
    data: int
    address_msb_aligned: bool


class FuseCoding(Enum):
    """How a block's bits protect themselves."""

    THREE_QUARTERS = "3/4"
    REED_SOLOMON = "reed-solomon"


@dataclass(frozen=True, slots=True)
class FuseBlock:
    """A block of fuses.

    Attributes:
        read: offset of its first read register.
        words: how many there are.
        write: offset of its first write register.
        write_protect, read_protect: the bit of WR_DIS or RD_DIS that covers the whole block.
    """

    read: int
    words: int
    write: int = 0
    write_protect: int | None = None
    read_protect: int | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """Bits of block 0, counted from its first bit."""

    start: int
    length: int = 1

    @property
    def mask(self) -> int:
        """Its bits within the block."""
        return ((1 << self.length) - 1) << self.start

    def of(self, block: int) -> int:
        """Its value in the bits of a block."""
        return (block & self.mask) >> self.start


def bits(*spans: tuple[int, int]) -> int:
    """A mask of (first bit, number of bits) each."""
    return sum(Field(start, length).mask for start, length in spans)


@dataclass(frozen=True, slots=True)
class FuseLayout:
    """The fuses and their controller; offsets from `base`.

    Attributes:
        size: bytes that the controller's registers take.
        protected_fields: (bit of WR_DIS, the bits of block 0 that it keeps).
        hidden_fields: (bit of RD_DIS, the bits of block 0 that it hides).
        wr_dis, rd_dis: where the protections themselves are.
        configuration, command: the registers that start an operation.
        decode_status: 3/4 coding only: the register that tells of broken codes.
        block_errors: Reed-Solomon only: offsets of the two registers that count them.
        fail_shift: by how many bits a block's fail flag stands behind its count.
    """

    base: int
    size: int
    coding: FuseCoding
    blocks: tuple[FuseBlock, ...]
    protected_fields: tuple[tuple[int, int], ...]
    hidden_fields: tuple[tuple[int, int], ...]
    wr_dis: Field
    rd_dis: Field
    configuration: int
    command: int
    decode_status: int | None = None
    block_errors: tuple[int, int] | None = None
    fail_shift: int = 3


@dataclass(frozen=True, slots=True)
class SecurityFields:
    """Fuses of block 0 that decide what the chip still does.

    Attributes:
        flash_encryption: an odd number of its bits switches flash encryption on.
        no_download: there is no serial loader any more.
        loader_stays: one that runs when that is burned answers until the next reset.
        secure_download: the loader knows a few commands only.
        no_manual_encryption: the loader does not encrypt for the host.
        secure_boot: version 2; `secure_boot_v1`: version 1.
        revoked: keys that count no longer.
        key_purposes: of the key blocks, in their order.
        first_key_block: the number of the first of them.
        encryption_config, coding_scheme: ESP32 only.
        flags: (field, bit in the answer to GET_SECURITY_INFO).
    """

    flash_encryption: Field
    no_download: Field
    no_manual_encryption: Field
    secure_boot: Field
    secure_download: Field | None = None
    secure_boot_v1: Field | None = None
    revoked: tuple[Field, ...] = ()
    key_purposes: tuple[Field, ...] = ()
    first_key_block: int = 1
    encryption_config: Field | None = None
    coding_scheme: Field | None = None
    flags: tuple[tuple[Field, int], ...] = ()
    loader_stays: bool = False


@dataclass(frozen=True, slots=True)
class ResetCode:
    """A reset as the ROM prints it."""

    code: int
    name: str


class ResetCause(Enum):
    """Why the chip starts; the value is the firmware's word for it."""

    POWER_ON = "power_on"
    SOFTWARE = "software"
    PANIC = "panic"
    RTC_WATCHDOG = "watchdog"
    ROM_WATCHDOG = "rom_watchdog"
    TIMER_WATCHDOG = "timer_watchdog"
    BROWNOUT = "brownout"
    BOOTLOADER = "bootloader"

    @property
    def reason(self) -> str:
        """The word that the firmware prints for it."""
        same = {"bootloader": "software"} | dict.fromkeys(
            ("timer_watchdog", "rom_watchdog"), "watchdog"
        )
        return same.get(self.value, self.value)


@dataclass(frozen=True, slots=True)
class RomText:
    """What the ROM prints.

    Attributes:
        head: the lines before the reason of the reset.
        flash_boot, download_boot: the strapping pins' word after `boot:`.
        resets: code and name of each cause.
        preamble: between the reason and `load:`, with the SPI mode in place of `{mode}`.
        load: one segment's line, from `address` and `length`.
        complaint: after an image that it does not start.
    """

    head: str
    flash_boot: str
    download_boot: str
    resets: dict[ResetCause, ResetCode]
    preamble: tuple[str, ...]
    load: str
    complaint: str

    def banner(self, cause: ResetCause, *, download: bool) -> str:
        """The first lines."""
        reset = self.resets[cause]
        boot = self.download_boot if download else self.flash_boot
        tail = "waiting for download\r\n" if download else ""
        return f"{self.head}rst:{reset.code:#x} ({reset.name}),boot:{boot}\r\n{tail}"


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip of the family.

    Attributes:
        name: as `--chip` takes it; `title` as people write it.
        image_chip_id: the id in the header of an image for it.
        magic: what stands at `CHIP_MAGIC`; how flashing tools used to tell chips apart.
        tells_security: whether its ROM knows GET_SECURITY_INFO (and takes a fifth word in
            FLASH_BEGIN).
        bootloader_offset: where in flash the ROM looks for the boot loader.
        constants: registers that read the same for ever.
        mirror: the peripherals' second place: where it begins, its size, where they are.
        watchdog: the register with which software has the RTC watchdog bite.
        read_hook: ROM's pointer to its own flash read, which hosts bend to start a stub.
        revision: (major, minor).
        encryption_key_bytes: the key sizes of XTS that it knows; () is the ESP32's own cipher.
        ecdsa: whether secure boot takes ECDSA signatures beside RSA's.
        print_function: the ROM's printf, called by programs in RAM.
        riscv: its processor is a RISC-V, else an Xtensa.
    """

    name: str
    title: str
    image_chip_id: int
    magic: int
    tells_security: bool
    bootloader_offset: int
    revision: tuple[int, int]
    uart_clock_divider: int
    spi: SpiController
    fuses: FuseLayout
    security: SecurityFields
    rom: RomText
    print_function: int
    riscv: bool
    encryption_key_bytes: tuple[int, ...] = ()
    constants: tuple[tuple[int, int], ...] = ()
    mirror: tuple[int, int, int] | None = None
    watchdog: int | None = None
    read_hook: int | None = None
    ecdsa: bool = False


CHIP_MAGIC = 0x40001000
CRYSTAL_HZ = 40_000_000
