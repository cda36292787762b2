# SPDX-License-Identifier: GPL-3.0-or-later
"""A unit's firmware as its secured flash must hold it: signed, and as ciphertext.

The chip decrypts the boot loader, the partition table, otadata, every application, the keys of
NVS and whatever the table flags `encrypted`. NVS partitions and files stay as they are. Source:
ESP-IDF, "Flash Encryption", encrypted partitions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from evtool.errors import ConfigError
from evtool.protocol import app_image
from evtool.protocol.board_flash import SECTOR, FlashPart
from evtool.protocol.can_frame import Malformed
from evtool.protocol.flash_cipher import FlashCipher
from evtool.protocol.partition_table import (
    APP,
    DATA,
    FLAGS,
    SUBTYPES,
    TABLE_OFFSET,
    Partition,
)
from evtool.protocol.secure_boot import signers

BOOT_LOADER_OFFSET = {"esp32": 0x1000, "esp32s3": 0x0, "esp32c3": 0x0}
_CHIP_IDS = {
    "esp32": app_image.CHIP_ID_ESP32,
    "esp32s3": app_image.CHIP_ID_ESP32S3,
    "esp32c3": app_image.CHIP_ID_ESP32C3,
}
_TABLE_SECTOR = 0x1000
_ENCRYPTED_DATA = {SUBTYPES[DATA]["ota"], SUBTYPES[DATA]["nvs_keys"]}
_ONE_EACH = "give each image on its own, at its own offset, not a merged one"


@dataclasses.dataclass(frozen=True, slots=True)
class _Region:
    """A stretch of flash.

    Attributes:
        code: the boot loader, or an application: what secure boot asks a signature for.
        encrypted: what the chip decrypts.
    """

    name: str
    offset: int
    end: int
    code: bool
    encrypted: bool


def sign_parts(
    parts: Sequence[FlashPart],
    partitions: tuple[Partition, ...],
    chip: str,
    trusted: Sequence[bytes],
    sign: Callable[[bytes], bytes] | None,
    sectors: Callable[[int], Sequence[bytes]],
) -> tuple[FlashPart, ...]:
    """The parts with boot loader and applications signed.

    Args:
        trusted: digests of the keys that the chip trusts.
        sign: adds a signature of one of them; None: they must have theirs.
        sectors: what may be meant by the sector of the board's flash at an offset. A signature has
            chance in it: one that is there already is taken, or nothing would ever be unchanged.

    Raises:
        ConfigError: naming every part that cannot be signed, or does not fit any more.
    """
    problems: list[str] = []
    done = []
    for part, region in _in_regions(parts, partitions, chip, problems):
        if not region.code:
            done.append(part)
            continue
        image = app_image.decode(part.data, offset=part.offset, chip_id=_CHIP_IDS[chip])
        if isinstance(image, Malformed):
            problems.append(f"{part.name}: {image.reason}")
            continue
        length = app_image.encoded_size(image)
        data = part.data
        if not set(signers(data, length)) & set(trusted):
            if sign is None:
                problems.append(f"{part.name}: no key that the chip would trust has signed it")
                continue
            padded = part.data[:length] + b"\xff" * (-length % SECTOR)
            there = (padded + each for each in sectors(part.offset + len(padded)))
            held = (each for each in there if set(signers(each, length)) & set(trusted))
            data = next(held, None) or sign(part.data[:length])
        if part.offset + len(data) > region.end:
            problems.append(
                f"{part.name}: with its signature it has {len(data)} bytes, "
                f"{region.name} {region.end - part.offset}"
            )
        done.append(dataclasses.replace(part, data=data))
    if problems:
        raise ConfigError("\n".join(problems), fix="mend the build, or give --signing-key")
    return tuple(done)


def encrypt_parts(
    parts: Sequence[FlashPart],
    partitions: tuple[Partition, ...],
    chip: str,
    cipher: FlashCipher,
) -> tuple[FlashPart, ...]:
    """The parts as they stand in an encrypted flash.

    Raises:
        ConfigError: naming every part that is not within one region.
    """
    problems: list[str] = []
    done = []
    for part, region in _in_regions(parts, partitions, chip, problems):
        if not region.encrypted:
            done.append(part)
            continue
        data = part.data + b"\xff" * (-len(part.data) % cipher.alignment)
        done.append(dataclasses.replace(part, data=cipher.encrypt(part.offset, data)))
    if problems:
        raise ConfigError("\n".join(problems), fix=_ONE_EACH)
    return tuple(done)


def _in_regions(
    parts: Sequence[FlashPart], partitions: tuple[Partition, ...], chip: str, problems: list[str]
) -> Iterator[tuple[FlashPart, _Region]]:
    regions = list(_regions(partitions, chip))
    for part in parts:
        found = [each for each in regions if each.offset <= part.offset and part.end <= each.end]
        if not found:
            problems.append(
                f"{part.name}: {part.offset:#x} to {part.end:#x} is not within one partition"
            )
        elif found[0].code and part.offset != found[0].offset:
            problems.append(f"{part.name}: does not begin where {found[0].name} does")
        else:
            yield part, found[0]


def _regions(partitions: tuple[Partition, ...], chip: str) -> Iterator[_Region]:
    yield _Region("the boot loader", BOOT_LOADER_OFFSET[chip], TABLE_OFFSET, True, True)
    end = TABLE_OFFSET + _TABLE_SECTOR
    yield _Region("the partition table", TABLE_OFFSET, end, False, True)
    for each in partitions:
        is_app = each.type == APP
        encrypted = (
            is_app
            or (each.type == DATA and each.subtype in _ENCRYPTED_DATA)
            or bool(each.flags & FLAGS["encrypted"])
        )
        yield _Region(each.name, each.offset, each.end, is_app, encrypted)
