# SPDX-License-Identifier: GPL-3.0-or-later
"""From reset to the application: what the ROM and the second-stage boot loader do and print.

The ROM loads the boot loader from 0x1000 and checks its checksum only. The boot loader reads
the partition table at 0x8000, asks `otadata` which application to start, checks that
application's checksum and SHA-256, and falls back to the others. The lines are those of the
chip and of ESP-IDF's boot loader, so that a program that reads them on a real board reads
them here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from evtool.protocol import app_image, partition_table
from evtool.protocol.app_image import AppImage
from evtool.protocol.can_frame import Malformed
from evtool.protocol.partition_table import APP, DATA, TABLE_OFFSET, TABLE_SIZE, Partition
from evtool.virtual.flash_chip import SECTOR_SIZE, FlashChip

BOOTLOADER_OFFSET = 0x1000

FACTORY, OTA_0, OTA_15 = 0x00, 0x10, 0x1F
OTA_DATA = 0x00
_OTA_ENTRY = struct.Struct("<I20xII")
_OTA_INVALID, _OTA_ABORTED = 3, 4
_HASH_FLAG = 23
_SEGMENT_HEADER = 8
_SPI_MODES = {0: "QIO", 1: "QOUT", 2: "DIO", 3: "DOUT"}
_SPI_SPEEDS = {0: "40MHz", 1: "26.7MHz", 2: "20MHz", 15: "80MHz"}


class ResetCause(Enum):
    """Why the chip starts: the ROM's code, its name, and the firmware's word for it."""

    POWER_ON = (0x1, "POWERON_RESET", "power_on")
    SOFTWARE = (0xC, "SW_CPU_RESET", "software")
    PANIC = (0xC, "SW_CPU_RESET", "panic")
    RTC_WATCHDOG = (0x10, "RTCWDT_RTC_RESET", "watchdog")
    BOOTLOADER = (0x3, "SW_RESET", "software")

    @property
    def reason(self) -> str:
        """The word that the firmware prints for it."""
        return self.value[2]

    def banner(self, *, download: bool) -> str:
        """The ROM's first lines."""
        mode = "0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))"
        boot = mode if download else "0x13 (SPI_FAST_FLASH_BOOT)"
        head = f"ets Jul 29 2019 12:21:46\r\n\r\nrst:{self.value[0]:#x} ({self.value[1]}),"
        tail = "waiting for download\r\n" if download else ""
        return f"{head}boot:{boot}\r\n{tail}"


@dataclass(slots=True)
class BootResult:
    """What was printed and what is to run.

    `application` is None when nothing can run: `failure` says why, and `next_cause` is how
    the chip restarts to try again.
    """

    log: list[str] = field(default_factory=list)
    application: AppImage | None = None
    partition: Partition | None = None
    partitions: tuple[Partition, ...] = ()
    failure: str | None = None
    next_cause: ResetCause = ResetCause.BOOTLOADER

    def text(self) -> bytes:
        """The log as the console shows it."""
        return "".join(line + "\r\n" for line in self.log).encode("ascii", "replace")


class _Console:
    """Lines with the milliseconds since reset that the boot loader's own would carry."""

    def __init__(self, result: BootResult) -> None:
        self._result = result
        self._ms = 29

    def line(self, level: str, tag: str, text: str) -> None:
        self._result.log.append(f"{level} ({self._ms}) {tag}: {text}")
        self._ms += 4

    def info(self, tag: str, text: str) -> None:
        self.line("I", tag, text)

    def error(self, tag: str, text: str) -> None:
        self.line("E", tag, text)


def boot(flash: FlashChip) -> BootResult:
    """Start from flash."""
    result = BootResult()
    loader = _first_stage(flash, result)
    if loader is not None:
        console = _Console(result)
        _second_stage(flash, loader, result, console)
    return result


def _first_stage(flash: FlashChip, result: BootResult) -> AppImage | None:
    raw = bytearray(flash.read(BOOTLOADER_OFFSET, TABLE_OFFSET - BOOTLOADER_OFFSET))
    word = int.from_bytes(raw[:4], "little")
    # The ROM does not look at the hash, only secure boot would: read it as having none.
    raw[_HASH_FLAG] = 0
    image = app_image.decode(bytes(raw), offset=BOOTLOADER_OFFSET)
    if isinstance(image, Malformed):
        result.next_cause = ResetCause.RTC_WATCHDOG
        if raw[0] != app_image.MAGIC:
            result.log += [f"invalid header: {word:#010x}"] * 3
            result.failure = f"no boot loader at {BOOTLOADER_OFFSET:#x}"
        else:
            result.log += [f"boot loader: {image.reason}", "ets_main.c 371 "]
            result.failure = f"boot loader at {BOOTLOADER_OFFSET:#x}: {image.reason}"
        return None
    result.log += [
        "configsip: 0, SPIWP:0xee",
        "clk_drv:0x00,q_drv:0x00,d_drv:0x00,cs0_drv:0x00,hd_drv:0x00,wp_drv:0x00",
        f"mode:{_SPI_MODES.get(image.flash_mode, '?')}, clock div:2",
    ]
    result.log += [f"load:{s.address:#010x},len:{len(s.data)}" for s in image.segments]
    result.log.append(f"entry {image.entry:#010x}")
    return image


def _second_stage(
    flash: FlashChip, loader: AppImage, result: BootResult, console: _Console
) -> None:
    console.info("boot", "evtool virtual board, 2nd stage bootloader")
    console.info("boot", "chip revision: v3.0")
    console.info("boot.esp32", f"SPI Speed      : {_SPI_SPEEDS.get(loader.flash_frequency)}")
    console.info("boot.esp32", f"SPI Mode       : {_SPI_MODES.get(loader.flash_mode)}")
    console.info("boot.esp32", f"SPI Flash Size : {1 << loader.flash_size}MB")
    partitions = _partitions(flash, console)
    if partitions is None:
        console.error("boot", "Failed to verify partition table")
        console.error("boot", "load partition table error!")
        result.failure = "the partition table cannot be read"
        return
    result.partitions = partitions
    for slot in _candidates(flash, partitions, console):
        image = app_image.decode(flash.read(slot.offset, slot.size), offset=slot.offset)
        if isinstance(image, Malformed):
            console.error("esp_image", image.reason)
            name = f"OTA app partition slot {slot.subtype - OTA_0}"
            name = name if slot.subtype >= OTA_0 else "Factory app partition"
            console.error("boot", f"{name} is not bootable")
            result.failure = result.failure or f"partition {slot.name}: {image.reason}"
            continue
        position = slot.offset + app_image.HEADER_SIZE
        for index, segment in enumerate(image.segments):
            position += _SEGMENT_HEADER
            console.info(
                "esp_image",
                f"segment {index}: paddr={position:08x} vaddr={segment.address:08x} "
                f"size={len(segment.data):05x}h ({len(segment.data):6d}) map",
            )
            position += len(segment.data)
        console.info("boot", f"Loaded app from partition at offset {slot.offset:#x}")
        console.info("boot", "Disabling RNG early entropy source...")
        result.application, result.partition, result.failure = image, slot, None
        return
    console.error("boot", "No bootable app partitions in the partition table")
    result.failure = result.failure or "the partition table has no application partition"


def _partitions(flash: FlashChip, console: _Console) -> tuple[Partition, ...] | None:
    raw = flash.read(TABLE_OFFSET, TABLE_SIZE)
    table = partition_table.decode(raw)
    if isinstance(table, Malformed):
        console.error("flash_parts", table.reason)
        return None
    for index, part in enumerate(table):
        if part.offset + part.size > flash.size:
            console.error(
                "flash_parts",
                f"partition {index} invalid - offset {part.offset:#x} size {part.size:#x} "
                f"exceeds flash chip size {flash.size:#x}",
            )
            return None
    console.info("boot", "Partition Table:")
    console.info("boot", "## Label            Usage          Type ST Offset   Length")
    for index, part in enumerate(table):
        console.info(
            "boot",
            f"{index:2d} {part.name:<16} {_usage(part):<16} {part.type:02x} "
            f"{part.subtype:02x} {part.offset:08x} {part.size:08x}",
        )
    console.info("boot", "End of partition table")
    return table


def _usage(part: Partition) -> str:
    if part.type == APP:
        return "factory app" if part.subtype == FACTORY else "OTA app"
    if part.type == DATA:
        names = {0: "OTA data", 1: "RF data", 2: "WiFi data", 3: "Coredump"}
        return names.get(part.subtype, "Unknown data")
    return "unknown"


def _candidates(
    flash: FlashChip, partitions: tuple[Partition, ...], console: _Console
) -> Iterator[Partition]:
    """The applications in the order in which they are tried."""
    apps = [part for part in partitions if part.type == APP]
    factory = [part for part in apps if part.subtype == FACTORY]
    slots = sorted(
        (part for part in apps if OTA_0 <= part.subtype <= OTA_15), key=lambda part: part.subtype
    )
    chosen = _chosen_slot(flash, partitions, len(slots))
    if chosen is None:
        if not factory and slots:
            console.info("boot", "No factory image, trying OTA 0")
        yield from factory
        yield from slots
        return
    # Down from the chosen slot to the factory image, then the slots above it.
    yield from reversed(slots[: chosen + 1])
    yield from factory
    yield from slots[chosen + 1 :]


def _chosen_slot(
    flash: FlashChip, partitions: tuple[Partition, ...], slot_count: int
) -> int | None:
    """The index of the slot that `otadata` names, or None: it names none."""
    data = [part for part in partitions if (part.type, part.subtype) == (DATA, OTA_DATA)]
    if not data or slot_count == 0:
        return None
    sequences = []
    for sector in range(2):
        raw = flash.read(data[0].offset + sector * SECTOR_SIZE, _OTA_ENTRY.size)
        sequence, state, crc = _OTA_ENTRY.unpack(raw)
        if sequence in {0, 0xFFFFFFFF} or state in {_OTA_INVALID, _OTA_ABORTED}:
            continue
        if crc == zlib.crc32(raw[:4], 0xFFFFFFFF):
            sequences.append(sequence)
    return (max(sequences) - 1) % slot_count if sequences else None
