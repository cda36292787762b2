# SPDX-License-Identifier: GPL-3.0-or-later
"""What `evtool flash` will write, checked against the partition table before any port opens.

The manifest of a build names its images; the partition table among them says where they may
stand. Added here: blank OTA data, so that the slot just written is the one that boots, and
the unit's identity where there is one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from evtool.errors import ConfigError
from evtool.protocol import app_image, partition_table
from evtool.protocol.board_flash import SECTOR, FlashPart, parse_flash_size
from evtool.protocol.can_frame import Malformed
from evtool.protocol.partition_table import DATA, SUBTYPES, Partition, find

SCHEMA = 1
BOOTLOADER, TABLE, APP = "bootloader", "partition-table", "app"
_REQUIRED = (BOOTLOADER, TABLE, APP)
_REBUILD = "build it again with `evtool build`"
# Where the ROM of an ESP32 looks for the boot loader.
_BOOTLOADER_OFFSETS = {"esp32": 0x1000}


@dataclass(frozen=True, slots=True)
class FlashPlan:
    """Everything that will be written, in the order of offsets.

    Attributes:
        chip: the family that it is for.
        flash_size: of the layout, in bytes.
        partitions: the table that is among the parts.
    """

    chip: str
    environment: str
    version: str
    build_id: str
    flash_size: int
    parts: tuple[FlashPart, ...]
    partitions: tuple[Partition, ...]

    @property
    def total_bytes(self) -> int:
        """How much is written."""
        return sum(len(part.data) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Manifest:
    """manifest.json, each field of the type that it must have."""

    path: Path
    chip: str
    environment: str
    version: str
    build_id: str
    flash_size: int
    images: tuple[Mapping[str, object], ...]


def parse_manifest(text: str, path: Path) -> Manifest:
    """Read manifest.json.

    Raises:
        ConfigError: it is not JSON, or not a manifest of this schema.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid JSON: {error}", fix=_REBUILD) from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise ConfigError(f"{path}: not a manifest of schema {SCHEMA}", fix=_REBUILD)
    problems = [
        f"{path}: {key}: must be a text"
        for key in ("chip", "env", "version", "build_id", "flash_size")
        if not isinstance(values.get(key), str)
    ]
    size = parse_flash_size(str(values.get("flash_size")))
    if size is None:
        problems.append(f"{path}: flash_size: must be a size such as 4MB")
    chip = values.get("chip")
    if isinstance(chip, str) and chip not in _BOOTLOADER_OFFSETS:
        known = ", ".join(_BOOTLOADER_OFFSETS)
        problems.append(f"{path}: chip: {chip!r} is not one that evtool flashes ({known})")
    images = values.get("images")
    if not isinstance(images, list) or not all(
        isinstance(image, dict) and isinstance(image.get("name"), str) for image in images
    ):
        problems.append(f"{path}: images: must be a list of objects, each with a name")
        images = []
    names = [image.get("name") for image in images]
    problems += [f"{path}: images: {name} is missing" for name in _REQUIRED if name not in names]
    problems += [
        f"{path}: images: {name} comes {names.count(name)} times"
        for name in sorted({str(name) for name in names if names.count(name) > 1})
    ]
    if problems or size is None:
        raise ConfigError("\n".join(problems), fix=_REBUILD)
    return Manifest(
        path=path,
        chip=values["chip"],
        environment=values["env"],
        version=values["version"],
        build_id=values["build_id"],
        flash_size=size,
        images=tuple(images),
    )


def plan_flash(manifest: Manifest, read: Callable[[Path], bytes | None]) -> FlashPlan:
    """The build's images as parts, and blank OTA data with them.

    Args:
        manifest: of the build.
        read: gives a file's bytes, None where it cannot be read.

    Raises:
        ConfigError: naming every image that is missing, changed, misplaced or too large.
    """
    problems: list[str] = []
    files = {
        str(image["name"]): _image_data(manifest, image, read, problems)
        for image in manifest.images
    }
    table_data = files[TABLE]
    table = None if table_data is None else partition_table.decode(table_data)
    if isinstance(table, Malformed):
        problems.append(f"partition-table: {table.reason}")
    if table is None or isinstance(table, Malformed):
        raise _broken(manifest, problems)
    problems += [f"partition-table: {text}" for _, text in partition_table.broken_rules(table)]
    parts = []
    for image in manifest.images:
        name, data = str(image["name"]), files[str(image["name"])]
        offset = _offset(manifest, image, table, problems)
        if data is not None and offset is not None:
            parts.append(FlashPart(name, offset, data))
    parts += _blank_ota_data(table, parts)
    plan = FlashPlan(
        chip=manifest.chip,
        environment=manifest.environment,
        version=manifest.version,
        build_id=manifest.build_id,
        flash_size=manifest.flash_size,
        parts=tuple(sorted(parts, key=lambda part: part.offset)),
        partitions=table,
    )
    problems += _broken_layout(plan)
    if problems:
        raise _broken(manifest, problems)
    return plan


def with_part(plan: FlashPlan, part: FlashPart) -> FlashPlan:
    """The plan with one part more, such as the identity.

    Raises:
        ConfigError: it does not fit in beside the others.
    """
    parts = tuple(sorted((*plan.parts, part), key=lambda each: each.offset))
    larger = FlashPlan(
        plan.chip,
        plan.environment,
        plan.version,
        plan.build_id,
        plan.flash_size,
        parts,
        plan.partitions,
    )
    problems = _broken_layout(larger)
    if problems:
        raise ConfigError("\n".join(problems), fix="check partitions.csv")
    return larger


def _broken(manifest: Manifest, problems: list[str]) -> ConfigError:
    return ConfigError("\n".join(f"{manifest.path}: {text}" for text in problems), fix=_REBUILD)


def _image_data(
    manifest: Manifest,
    image: Mapping[str, object],
    read: Callable[[Path], bytes | None],
    problems: list[str],
) -> bytes | None:
    name, file, wanted = image.get("name"), image.get("file"), image.get("sha256")
    if not isinstance(file, str) or not file or Path(file).name != file:
        problems.append(f"{name}: file {file!r} must be a name in the manifest's own folder")
        return None
    data = read(manifest.path.parent / file)
    if not data:
        problems.append(f"{name}: {file} is {'missing' if data is None else 'empty'}")
        return None
    found = hashlib.sha256(data).hexdigest()
    if found != wanted:
        problems.append(f"{name}: {file} is not the file that was built (its SHA-256 differs)")
        return None
    if name in (BOOTLOADER, APP):
        decoded = app_image.decode(data)
        if isinstance(decoded, Malformed):
            problems.append(f"{name}: {file} is no image: {decoded.reason}")
    return data


def _offset(
    manifest: Manifest,
    image: Mapping[str, object],
    table: tuple[Partition, ...],
    problems: list[str],
) -> int | None:
    name, label = image.get("name"), image.get("partition")
    if label is not None:
        partition = find(table, str(label))
        if partition is None:
            problems.append(f"{name}: the table has no partition {label!r}")
            return None
        if image.get("offset", partition.offset) != partition.offset:
            problems.append(
                f"{name}: its offset is not {partition.offset:#x}, where {label!r} stands"
            )
        return partition.offset
    offset = image.get("offset")
    if not isinstance(offset, int) or isinstance(offset, bool) or offset < 0:
        problems.append(f"{name}: needs an offset or a partition")
        return None
    expected = {
        BOOTLOADER: _BOOTLOADER_OFFSETS[manifest.chip],
        TABLE: partition_table.TABLE_OFFSET,
    }.get(str(name))
    if expected is not None and offset != expected:
        problems.append(f"{name}: offset {offset:#x} must be {expected:#x}")
    return offset


def _blank_ota_data(table: tuple[Partition, ...], parts: list[FlashPart]) -> list[FlashPart]:
    """Erased OTA data: the boot loader then takes the first slot, which is being written."""
    return [
        FlashPart(partition.name, partition.offset, b"\xff" * partition.size)
        for partition in table
        if (partition.type, partition.subtype) == (DATA, SUBTYPES[DATA]["ota"])
        and all(part.offset != partition.offset for part in parts)
    ]


def _broken_layout(plan: FlashPlan) -> list[str]:
    """Parts that lie where they may not."""
    found = []
    for part in plan.parts:
        if part.offset % SECTOR:
            found.append(f"{part.name}: offset {part.offset:#x} is not a multiple of {SECTOR:#x}")
        if part.end > plan.flash_size:
            found.append(f"{part.name}: ends at {part.end:#x}, the flash at {plan.flash_size:#x}")
        if part.offset >= partition_table.FIRST_OFFSET:
            found += _broken_place(part, plan.partitions)
    for before, after in pairwise(plan.parts):
        if before.end > after.offset:
            found.append(f"{after.name}: lies over {before.name}, which ends at {before.end:#x}")
    for partition in plan.partitions:
        if partition.end > plan.flash_size:
            found.append(
                f"partition {partition.name!r} ends at {partition.end:#x}, "
                f"the flash at {plan.flash_size:#x}"
            )
    return found


def _broken_place(part: FlashPart, partitions: tuple[Partition, ...]) -> list[str]:
    place = next((each for each in partitions if each.offset <= part.offset < each.end), None)
    if place is None:
        return [f"{part.name}: no partition stands at {part.offset:#x}"]
    if part.end > place.end:
        return [
            f"{part.name}: {len(part.data)} bytes do not fit partition {place.name!r} of "
            f"{place.size}"
        ]
    if part.name == APP and (place.type != partition_table.APP or place.offset != part.offset):
        return [f"{part.name}: {part.offset:#x} is not the start of an app partition"]
    return []
