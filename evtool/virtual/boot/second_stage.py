# SPDX-License-Identifier: GPL-3.0-or-later
"""The second-stage boot loader: from the partition table to the application.

It reads the partition table at 0x8000, asks `otadata` which application to start, checks that
application's checksum and SHA-256 (and, with secure boot, its signature), and falls back to
the others. The lines are those of ESP-IDF's boot loader, so that a program that reads them on
a real board reads them here.
"""

from __future__ import annotations

from collections.abc import Iterator

from evtool.protocol import app_image, partition_table
from evtool.protocol.app_image import AppImage
from evtool.protocol.can_frame import Malformed
from evtool.protocol.partition_table import APP, DATA, TABLE_OFFSET, TABLE_SIZE, Partition
from evtool.virtual.boot.flash_view import FlashView
from evtool.virtual.boot.otadata import OtaData
from evtool.virtual.boot.result import BootConsole, BootResult
from evtool.virtual.boot.secure_boot import signature_problem
from evtool.virtual.soc import Soc

FACTORY, OTA_0, OTA_15 = 0x00, 0x10, 0x1F
_OTA_DATA = 0x00
_SEGMENT_HEADER = 8
_SPI_MODES = {0: "QIO", 1: "QOUT", 2: "DIO", 3: "DOUT"}
_SPI_SPEEDS = {0: "40MHz", 1: "26.7MHz", 2: "20MHz", 15: "80MHz"}


def load_application(
    soc: Soc, view: FlashView, loader: AppImage, result: BootResult, console: BootConsole
) -> None:
    """Find the application and say what was found on the way.

    Raises:
        PowerCutError: the power went away while `otadata` was written.
    """
    tag = f"boot.{soc.chip.name}"
    major, minor = soc.chip.revision
    console.info("boot", "evtool virtual board, 2nd stage bootloader")
    console.info("boot", f"chip revision: v{major}.{minor}")
    console.info(tag, f"SPI Speed      : {_SPI_SPEEDS.get(loader.flash_frequency)}")
    console.info(tag, f"SPI Mode       : {_SPI_MODES.get(loader.flash_mode)}")
    console.info(tag, f"SPI Flash Size : {1 << loader.flash_size}MB")
    partitions = _partitions(view, console)
    if partitions is None:
        console.error("boot", "Failed to verify partition table")
        console.error("boot", "load partition table error!")
        result.failure = "the partition table cannot be read"
        return
    result.partitions = partitions
    for slot in _candidates(view, partitions, console):
        image = _verified(soc, view, slot, console)
        if isinstance(image, Malformed):
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


def _verified(
    soc: Soc, view: FlashView, slot: Partition, console: BootConsole
) -> AppImage | Malformed:
    """The image in a slot, or why it does not start."""
    data = view.read(slot.offset, slot.size)
    image = app_image.decode(data, offset=slot.offset, chip_id=soc.chip.image_chip_id)
    if isinstance(image, Malformed):
        console.error("esp_image", image.reason)
        return image
    if soc.fuses.field(soc.chip.security.secure_boot):
        length = app_image.encoded_size(image)
        problem = signature_problem(soc, view, slot.offset, length)
        if problem is not None:
            console.error("secure_boot_v2", "Secure boot V2 verification failed.")
            console.error("esp_image", "Secure boot signature verification failed")
            return Malformed(problem)
        console.info("secure_boot_v2", "Signature verified successfully!")
    return image


def _partitions(view: FlashView, console: BootConsole) -> tuple[Partition, ...] | None:
    raw = view.read(TABLE_OFFSET, TABLE_SIZE)
    table = partition_table.decode(raw)
    if isinstance(table, Malformed):
        console.error("flash_parts", table.reason)
        return None
    for index, part in enumerate(table):
        if part.offset + part.size > view.size:
            console.error(
                "flash_parts",
                f"partition {index} invalid - offset {part.offset:#x} size {part.size:#x} "
                f"exceeds flash chip size {view.size:#x}",
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


def ota_data(view: FlashView, partitions: tuple[Partition, ...]) -> OtaData | None:
    """The partition that names the slot, where there is one."""
    found = [part for part in partitions if (part.type, part.subtype) == (DATA, _OTA_DATA)]
    return OtaData(view, found[0].offset) if found else None


def _candidates(
    view: FlashView, partitions: tuple[Partition, ...], console: BootConsole
) -> Iterator[Partition]:
    """The applications in the order in which they are tried."""
    apps = [part for part in partitions if part.type == APP]
    factory = [part for part in apps if part.subtype == FACTORY]
    slots = sorted(
        (part for part in apps if OTA_0 <= part.subtype <= OTA_15), key=lambda part: part.subtype
    )
    data = ota_data(view, partitions)
    entry = data.choose() if data is not None and slots else None
    if entry is None:
        if not factory and slots:
            console.info("boot", "No factory image, trying OTA 0")
        yield from factory
        yield from slots
        return
    # Down from the chosen slot to the factory image, then the slots above it.
    chosen = (entry.sequence - 1) % len(slots)
    yield from reversed(slots[: chosen + 1])
    yield from factory
    yield from slots[chosen + 1 :]
