# SPDX-License-Identifier: GPL-3.0-or-later
"""The program in an application's image, and what it is told when it starts."""

from __future__ import annotations

from collections.abc import Callable

from evtool.protocol import app_image, host_image
from evtool.virtual.board_nvs import (
    ClearFlash,
    application_lines,
    factory_data,
    storage_name,
)
from evtool.virtual.boot import BootResult
from evtool.virtual.effects import StartApp
from evtool.virtual.flash_chip import FlashChip


def start_of(
    result: BootResult,
    flash: FlashChip,
    clear: ClearFlash,
    reset_reason: str,
    random_bytes: Callable[[int], bytes],
) -> tuple[StartApp, dict[str, object]] | None:
    """How to run what was booted, and what to report of it; None: it is no program of ours.

    Args:
        result: with an application.
        flash: where its NVS and its files are.
        clear: the same flash as the cache shows it.
        reset_reason: as the firmware prints it.
        random_bytes: so many random bytes.

    Raises:
        PowerCutError: the power went away while the file system got its name.
    """
    image, partition = result.application, result.partition
    payload = host_image.payload(image) if image is not None else None
    if image is None or partition is None or payload is None:
        return None
    fields: dict[str, object] = {"partition": partition.name}
    description = app_image.decode_description(image)
    version = ""
    if description is not None:
        version = description.version
        fields |= {"project": description.project_name, "version": version}
    factory = factory_data(flash, clear, result.partitions)
    if not factory.readable:
        fields["evcfg"] = "unreadable"
    elif factory.encrypted:
        fields["evcfg"] = "encrypted"
    start = StartApp(
        payload,
        application_lines(flash, result.partitions, factory.entries, reset_reason),
        factory.identity,
        version,
        storage_name(flash, result.partitions, random_bytes),
    )
    return start, fields
