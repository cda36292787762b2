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
BOOTLOADER_TEXT = b"evtool virtual bootloader"


def host_image(program: bytes, *, version: str, project_name: str) -> AppImage:
    """Wrap `program` (an executable file) as an application.

    Raises:
        ValueError: `version` or `project_name` is longer than 31 bytes or not ASCII.
    """
    description = AppDescription(
        version=version,
        project_name=project_name,
        idf_version="evtool host",
        elf_sha256=hashlib.sha256(program).digest(),
    )
    return AppImage(
        entry=PROGRAM_ADDRESS,
        segments=(
            Segment(DESCRIPTION_ADDRESS, encode_description(description)),
            Segment(PROGRAM_ADDRESS, _padded(program)),
        ),
    )


def payload(image: AppImage) -> bytes | None:
    """The program in `image`, byte for byte, or None: it is not one for the computer."""
    description = decode_description(image)
    if description is None or len(image.segments[0].data) != DESCRIPTION_SIZE:
        return None
    for segment in image.segments[1:]:
        if segment.address != PROGRAM_ADDRESS:
            continue
        for padding in range(4):
            program = segment.data[: len(segment.data) - padding]
            if hashlib.sha256(program).digest() == description.elf_sha256:
                return program
    return None


def virtual_bootloader() -> AppImage:
    """What stands at 0x1000 of a virtual board: a valid image that holds a text."""
    return AppImage(
        entry=BOOTLOADER_ADDRESS,
        segments=(Segment(BOOTLOADER_ADDRESS, _padded(BOOTLOADER_TEXT)),),
    )


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
