# SPDX-License-Identifier: GPL-3.0-or-later
"""The ROM: it loads the boot loader and checks its checksum; with secure boot, who signed it."""

from __future__ import annotations

from evtool.protocol import app_image
from evtool.protocol.app_image import AppImage
from evtool.protocol.can_frame import Malformed
from evtool.protocol.partition_table import TABLE_OFFSET
from evtool.virtual.boot.flash_view import FlashView
from evtool.virtual.boot.result import BootResult
from evtool.virtual.boot.secure_boot import digest_problem, signature_problem
from evtool.virtual.chips.description import ResetCause
from evtool.virtual.soc import Soc

_HASH_FLAG = 23
_SPI_MODES = {0: "QIO", 1: "QOUT", 2: "DIO", 3: "DOUT"}


def load_boot_loader(soc: Soc, view: FlashView, result: BootResult) -> AppImage | None:
    """The boot loader's image, or None and what the ROM says of it."""
    offset = soc.chip.bootloader_offset
    stored = view.read(offset, TABLE_OFFSET - offset)
    raw = bytearray(stored)
    # The ROM does not look at the hash, only secure boot would: read it as having none.
    raw[_HASH_FLAG] = 0
    image = app_image.decode(bytes(raw), offset=offset, chip_id=soc.chip.image_chip_id)
    problem: str | None = None
    if isinstance(image, Malformed):
        result.next_cause = ResetCause.ROM_WATCHDOG
        if raw[0] != app_image.MAGIC:
            word = int.from_bytes(raw[:4], "little")
            result.repeated = (f"invalid header: {word:#010x}",) * 3
            result.log += result.repeated
            result.failure = f"no boot loader at {offset:#x}"
            return None
        result.log += [f"boot loader: {image.reason}", soc.chip.rom.complaint]
        result.failure = f"boot loader at {offset:#x}: {image.reason}"
        return None
    problem = _security_problem(soc, view, image, has_hash=bool(stored[_HASH_FLAG]))
    if problem is not None:
        result.next_cause = ResetCause.ROM_WATCHDOG
        result.log += ["secure boot verification failed", soc.chip.rom.complaint]
        result.failure = f"boot loader at {offset:#x}: {problem}"
        return None
    mode = _SPI_MODES.get(image.flash_mode, "?")
    result.log += [line.format(mode=mode) for line in soc.chip.rom.preamble]
    result.log += [
        soc.chip.rom.load.format(address=each.address, length=len(each.data))
        for each in image.segments
    ]
    result.log.append(f"entry {image.entry:#010x}")
    return image


def _security_problem(soc: Soc, view: FlashView, image: AppImage, *, has_hash: bool) -> str | None:
    offset = soc.chip.bootloader_offset
    body = app_image.encoded_size(image)
    if soc.fuses.field(soc.chip.security.secure_boot_v1):
        problem = digest_problem(soc, view, offset, body)
        if problem is not None:
            return problem
    if soc.fuses.field(soc.chip.security.secure_boot):
        whole = body + (app_image.HASH_SIZE if has_hash else 0)
        return signature_problem(soc, view, offset, whole)
    return None
