# SPDX-License-Identifier: GPL-3.0-or-later
"""From what the compiler made to what is flashed: images, table and manifest, as bytes."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evtool.build.plan import BuildPlan
from evtool.build.sizes import SIZES, encode, measure
from evtool.errors import ConfigError, ToolError
from evtool.protocol import app_image, partition_table
from evtool.protocol.can_frame import Malformed
from evtool.protocol.host_image import host_image, virtual_bootloader
from evtool.protocol.partition_table import Partition

MANIFEST = "manifest.json"
BOOTLOADER_OFFSET = 0x1000
_PROJECT_NAME = "evcharger"
_OTA_ENTRY_SIZE = 0x20


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of the output folder."""

    name: str
    data: bytes
    mode: int = 0o644


def collect(plan: BuildPlan) -> tuple[Artifact, ...]:
    """Everything that goes into the output folder, the manifest last.

    Raises:
        ConfigError: partitions.csv breaks a rule, or the program is too large for its slot.
        ToolError: PlatformIO said that it succeeded, and its files say otherwise.
    """
    return _host(plan) if plan.for_host else _esp32(plan)


def first_boot_ota_data(size: int) -> bytes:
    """OTA data that names the first slot: sequence 1 and its CRC, the second sector erased."""
    sequence = (1).to_bytes(4, "little")
    crc = zlib.crc32(sequence, 0xFFFFFFFF).to_bytes(4, "little")
    return (sequence + b"\xff" * (_OTA_ENTRY_SIZE - 8) + crc).ljust(size, b"\xff")


def _host(plan: BuildPlan) -> tuple[Artifact, ...]:
    program = Artifact("program", _read(plan.work_folder / "program"), 0o755)
    if plan.environment == "host_asan":
        # With its checks it is larger than the partition of an image.
        return (program, *_sizes(plan, "program"))
    file = plan.firmware / "partitions.csv"
    partitions = partition_table.parse(_read_partitions(file), file=file)
    image = host_image(
        program.data, version=f"{plan.version}+{plan.build_id}", project_name=_PROJECT_NAME
    )
    images = {
        "bootloader.bin": app_image.encode(virtual_bootloader()),
        "partition-table.bin": partition_table.encode(partitions),
        "firmware.bin": app_image.encode(image),
    }
    files = _with_manifest(plan, images, partitions, {"program": "program"})
    return (program, *_sizes(plan, "program", images, partitions), *files)


def _esp32(plan: BuildPlan) -> tuple[Artifact, ...]:
    images = {
        "bootloader.bin": _read(plan.work_folder / "bootloader.bin"),
        "partition-table.bin": _read(plan.work_folder / "partitions.bin"),
        "firmware.bin": _app_of(plan),
    }
    table = partition_table.decode(images["partition-table.bin"])
    if isinstance(table, Malformed):
        raise ToolError(
            f"partitions.bin of {plan.environment} is no partition table: {table.reason}",
            fix="build again with --clean",
        )
    files = _with_manifest(plan, images, table, {})
    return (*_sizes(plan, "firmware.elf", images, table), *files)


def _app_of(plan: BuildPlan) -> bytes:
    """The application, naming its ELF file: PlatformIO leaves that to others."""
    image = _read(plan.work_folder / "firmware.bin")
    elf = plan.work_folder / "firmware.elf"
    if not elf.is_file():
        return image
    return app_image.with_elf_sha256(image, hashlib.sha256(_read(elf)).digest())


def _with_manifest(
    plan: BuildPlan,
    images: Mapping[str, bytes],
    partitions: tuple[Partition, ...],
    extra: Mapping[str, object],
) -> tuple[Artifact, ...]:
    loader = _checked(plan, "bootloader.bin", images)
    _checked(plan, "firmware.bin", images)
    app = _app_slot(plan, partitions)
    if len(images["firmware.bin"]) > app.size:
        raise ConfigError(
            f"firmware.bin of {plan.environment} has {len(images['firmware.bin'])} bytes; "
            f"partition {app.name} holds {app.size}",
            fix="make the program smaller, or the partition larger in firmware/partitions.csv",
        )
    rows: list[dict[str, object]] = [
        _row("bootloader", BOOTLOADER_OFFSET, "bootloader.bin", images),
        _row("partition-table", partition_table.TABLE_OFFSET, "partition-table.bin", images),
    ]
    ota_data = [p for p in partitions if (p.type, p.subtype) == (partition_table.DATA, 0x00)]
    if ota_data:
        # What an update left there would start the other slot.
        images = {**images, "otadata.bin": first_boot_ota_data(ota_data[0].size)}
        rows.append(
            _row("otadata", ota_data[0].offset, "otadata.bin", images)
            | {"partition": ota_data[0].name}
        )
    rows.append(_row("app", app.offset, "firmware.bin", images) | {"partition": app.name})
    manifest = {
        "schema": 1,
        "chip": "esp32",
        "env": plan.environment,
        "flash_size": _word(loader.flash_size, app_image.FLASH_SIZES),
        "flash_mode": _word(loader.flash_mode, app_image.FLASH_MODES),
        "flash_freq": _word(loader.flash_frequency, app_image.FLASH_FREQUENCIES),
        "build_id": plan.build_id,
        "version": plan.version,
        "images": rows,
        "partitions": [
            {
                "name": p.name,
                "type": p.type_name,
                "subtype": p.subtype_name,
                "offset": p.offset,
                "size": p.size,
                "flags": list(p.flag_names),
            }
            for p in partitions
        ],
        **extra,
    }
    text = json.dumps(manifest, indent=2) + "\n"
    return (
        *(Artifact(name, data) for name, data in images.items()),
        Artifact(MANIFEST, text.encode()),
    )


def _sizes(
    plan: BuildPlan,
    name: str,
    images: Mapping[str, bytes] | None = None,
    partitions: tuple[Partition, ...] = (),
) -> tuple[Artifact, ...]:
    """The sizes, where the linked program is there to be measured."""
    program = plan.work_folder / name
    if not program.is_file():
        return ()
    # Versions of the Arduino core name it after the program or after the project's folder.
    maps = [program.with_suffix(".map"), *sorted(plan.work_folder.glob("*.map"))]
    link_map = next((path for path in maps if path.is_file()), None)
    slot = _app_slot(plan, partitions) if images is not None else None
    sizes = measure(
        plan.environment,
        _read(program),
        None if link_map is None else _read(link_map).decode("utf-8", "replace"),
        image=None if images is None else len(images["firmware.bin"]),
        partition=None if slot is None else (slot.name, slot.size),
    )
    if isinstance(sizes, Malformed):
        raise ToolError(f"{program}: {sizes.reason}", fix="build again with --clean")
    return (Artifact(SIZES, encode(sizes)),)


def _row(name: str, offset: int, file: str, images: Mapping[str, bytes]) -> dict[str, object]:
    digest = hashlib.sha256(images[file]).hexdigest()
    return {"name": name, "offset": offset, "file": file, "sha256": digest}


def _checked(plan: BuildPlan, name: str, images: Mapping[str, bytes]) -> app_image.AppImage:
    image = app_image.decode(images[name])
    if isinstance(image, Malformed):
        raise ToolError(
            f"{name} of {plan.environment} would not start: {image.reason}",
            fix="build again with --clean",
        )
    return image


def _app_slot(plan: BuildPlan, partitions: tuple[Partition, ...]) -> Partition:
    """Where the application goes: the factory partition, else the first OTA slot."""
    apps = [p for p in partitions if p.type == partition_table.APP]
    factory = [p for p in apps if p.subtype == 0x00]
    slots = sorted((p for p in apps if 0x10 <= p.subtype <= 0x1F), key=lambda p: p.subtype)
    if not factory and not slots:
        raise ConfigError(
            f"{plan.firmware / 'partitions.csv'} has no partition for the application",
            fix="add one of type app, subtype ota_0 or factory",
        )
    return (factory or slots)[0]


def _word(code: int, words: Mapping[str, int]) -> str:
    return next((word for word, value in words.items() if value == code), "keep")


def _read_partitions(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror or error}",
            fix="put it back: `evtool init DIR` writes one into DIR/firmware",
        ) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ToolError(
            f"cannot read {path}: {error.strerror or error}", fix="build again with --clean"
        ) from error
