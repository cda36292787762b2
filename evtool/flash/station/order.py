# SPDX-License-Identifier: GPL-3.0-or-later
"""What every board of a run is to hold: a build's images, or images named one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from evtool.errors import ConfigError
from evtool.flash.image_plan import FlashPlan
from evtool.protocol import app_image
from evtool.protocol.app_image import ChipDemand
from evtool.protocol.board_flash import SECTOR, FlashPart

# Where the ROM looks for the boot loader, and the chip's number in an image's header.
# Source: ESP-IDF, esp_chip_id_t and CONFIG_BOOTLOADER_OFFSET_IN_FLASH.
_CHIPS = {
    "esp32": (0x1000, 0),
    "esp32s2": (0x1000, 2),
    "esp32c3": (0x0, 5),
    "esp32s3": (0x0, 9),
    "esp32c2": (0x0, 12),
    "esp32c6": (0x0, 13),
    "esp32h2": (0x0, 16),
}
CHIPS = tuple(_CHIPS)


@dataclass(frozen=True, slots=True)
class Order:
    """What is written to every board.

    Attributes:
        chip: the family that it is for, as esptool names it; ANY_CHIP for any.
        flash_size: that it needs, in bytes.
        build_id: what the firmware says of itself at boot; "" where nobody knows.
        title: for people.
    """

    chip: str
    flash_size: int
    parts: tuple[FlashPart, ...]
    build_id: str
    title: str

    @property
    def total_bytes(self) -> int:
        """How much a board holds in the end."""
        return sum(len(part.data) for part in self.parts)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over places and contents, hex: two runs with the same one write the same."""
        digest = hashlib.sha256(self.chip.encode())
        for part in self.parts:
            digest.update(f"|{part.offset:x}:{part.sha256}".encode())
        return digest.hexdigest()


def order_of_plan(plan: FlashPlan) -> Order:
    """A build's plan as an order."""
    title = f"version {plan.version} build {plan.build_id} of {plan.environment}"
    return Order(plan.chip, plan.flash_size, plan.parts, plan.build_id, title)


def order_of_images(
    images: Sequence[tuple[str, int, bytes]], chip: str | None, build_id: str = ""
) -> Order:
    """Images as they are named on the command line: merged ones, or any other bytes.

    Args:
        images: name, offset in flash and contents of each.
        chip: the family; None takes it from the boot loader among the images.

    Raises:
        ConfigError: naming each image that is empty, misplaced, or over another, or for lack
            of a chip.
    """
    parts = tuple(sorted((FlashPart(*image) for image in images), key=lambda part: part.offset))
    problems = []
    for part in parts:
        if not part.data:
            problems.append(f"{part.name}: is empty")
        if part.offset < 0 or part.offset % SECTOR:
            problems.append(
                f"{part.name}: offset {part.offset:#x} is not a multiple of {SECTOR:#x}"
            )
    for before, after in pairwise(parts):
        if before.end > after.offset:
            problems.append(f"{after.name}: lies over {before.name}, which ends at {before.end:#x}")
    if problems:
        raise ConfigError("\n".join(problems), fix="give each image as --image FILE@OFFSET")
    found = boot_loader_chip(parts)
    if chip is None and found is None:
        raise ConfigError(
            "none of the images holds a boot loader that says which chip it is for",
            fix="name the chip with --chip",
        )
    if chip is not None and found is not None and chip != found:
        raise ConfigError(
            f"the boot loader among the images is for {found}, not for {chip}",
            fix=f"use --chip {found}, or other images",
        )
    title = ", ".join(f"{part.name} at {part.offset:#x}" for part in parts)
    end = max(part.end for part in parts)
    return Order(chip or found or "", end, parts, build_id, title)


def is_merged(data: bytes) -> bool:
    """Whether an image that begins at 0 holds a boot loader where a chip's ROM looks for it.

    An application looks the same where that place is 0, but for its description.
    """
    chip = boot_loader_chip((FlashPart("", 0, data),))
    if chip is None:
        return False
    start = _CHIPS[chip][0] + app_image.DESCRIPTION_OFFSET
    return data[start : start + 4] != app_image.DESCRIPTION_MAGIC.to_bytes(4, "little")


def boot_loader_chip(parts: Sequence[FlashPart]) -> str | None:
    """The family whose boot loader stands where that family's ROM looks for it."""
    found = _boot_loader(parts)
    return None if found is None else found[0]


def boot_loader_demand(parts: Sequence[FlashPart]) -> ChipDemand | None:
    """Which chips the boot loader among the parts will run on."""
    found = _boot_loader(parts)
    return None if found is None else found[1]


def _boot_loader(parts: Sequence[FlashPart]) -> tuple[str, ChipDemand] | None:
    for chip, (offset, number) in _CHIPS.items():
        for part in parts:
            start = offset - part.offset
            header = part.data[start : start + app_image.HEADER_SIZE] if start >= 0 else b""
            demand = app_image.chip_demand(header)
            if demand is not None and demand.chip_id == number:
                return chip, demand
    return None
