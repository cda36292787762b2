# SPDX-License-Identifier: GPL-3.0-or-later
"""A program for the computer as an image for the flash of the virtual board.

The first segment is the app description, mapped like any application's. The second one is
the program, at `PROGRAM_ADDRESS`: external RAM, into which no boot loader of an ESP32 loads
anything. So the virtual board knows such an image from one for the chip, and a real board
refuses it ("invalid: bad load address range") instead of running off into an ELF file.

A segment's length is a multiple of 4 and a program's need not be; the description's SHA-256
of the program says where it ends.
"""

from __future__ import annotations

import hashlib

from evtool.protocol.app_image import (
    CHIP_ID_ESP32,
    CHIP_ID_ESP32C3,
    CHIP_ID_ESP32S3,
    DESCRIPTION_SIZE,
    AppDescription,
    AppImage,
    Segment,
    decode_description,
    encode_description,
)

DESCRIPTION_ADDRESS = 0x3F400020
PROGRAM_ADDRESS = 0x3F800000
BOOTLOADER_ADDRESS = 0x3FFF0018
# The same places of the other chips: description, program, boot loader.
_ADDRESSES = {
    CHIP_ID_ESP32: (DESCRIPTION_ADDRESS, PROGRAM_ADDRESS, BOOTLOADER_ADDRESS),
    CHIP_ID_ESP32C3: (0x3C000020, 0x3C800000, 0x3FCD5810),
    CHIP_ID_ESP32S3: (0x3C000020, 0x3D000000, 0x3FCE3810),
}
BOOTLOADER_TEXT = b"evtool virtual bootloader"


def host_image(
    program: bytes, *, version: str, project_name: str, chip_id: int = CHIP_ID_ESP32
) -> AppImage:
    """Wrap `program` (an executable file) as an application for a virtual chip.

    Raises:
        ValueError: `version` or `project_name` is longer than 31 bytes or not ASCII; there is
            no such virtual chip.
    """
    description_address, program_address, _ = _addresses(chip_id)
    description = AppDescription(
        version=version,
        project_name=project_name,
        idf_version="evtool host",
        elf_sha256=hashlib.sha256(program).digest(),
    )
    return AppImage(
        entry=program_address,
        segments=(
            Segment(description_address, encode_description(description)),
            Segment(program_address, _padded(program)),
        ),
        chip_id=chip_id,
    )


def payload(image: AppImage) -> bytes | None:
    """The program in `image`, byte for byte, or None: it is not one for the computer."""
    description = decode_description(image)
    if description is None or len(image.segments[0].data) != DESCRIPTION_SIZE:
        return None
    _, program_address, _ = _ADDRESSES.get(image.chip_id, (0, None, 0))
    for segment in image.segments[1:]:
        if segment.address != program_address:
            continue
        for padding in range(4):
            program = segment.data[: len(segment.data) - padding]
            if hashlib.sha256(program).digest() == description.elf_sha256:
                return program
    return None


def virtual_bootloader(chip_id: int = CHIP_ID_ESP32) -> AppImage:
    """A virtual board's boot loader: a valid image that holds a text.

    Raises:
        ValueError: there is no such virtual chip.
    """
    _, _, address = _addresses(chip_id)
    return AppImage(
        entry=address,
        segments=(Segment(address, _padded(BOOTLOADER_TEXT)),),
        chip_id=chip_id,
    )


def _addresses(chip_id: int) -> tuple[int, int, int]:
    if chip_id not in _ADDRESSES:
        raise ValueError(f"there is no virtual chip with the id {chip_id}")
    return _ADDRESSES[chip_id]


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
