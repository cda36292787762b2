# SPDX-License-Identifier: GPL-3.0-or-later
"""Flash contents for tests of the virtual board."""

from __future__ import annotations

from evtool.protocol import app_image, host_image, partition_table
from evtool.protocol.nvs import NvsEntry, render_image
from evtool.protocol.partition_table import TABLE_OFFSET, Partition
from evtool.virtual.chips import ESP32, Chip

BOOTLOADER = 0x1000
APP0, APP1, APP_SIZE = 0x10000, 0x80000, 0x70000
NVS, NVS_SIZE = 0x9000, 0x5000
OTADATA = 0xE000
EVCFG, EVCFG_SIZE = 0xF0000, 0x6000
STORAGE, STORAGE_SIZE = 0x100000, 0x10000

PARTITIONS = (
    Partition("nvs", 1, 2, NVS, NVS_SIZE),
    Partition("otadata", 1, 0, OTADATA, 0x2000),
    Partition("app0", 0, 0x10, APP0, APP_SIZE),
    Partition("app1", 0, 0x11, APP1, APP_SIZE),
    Partition("evcfg", 1, 2, EVCFG, EVCFG_SIZE),
    Partition("storage", 1, 0x82, STORAGE, STORAGE_SIZE),
)

# Says who it is after `boot`, then sends every key back; 'q' ends it, 'c' kills it.
SCRIPT = b"""#!/bin/sh
PATH=/usr/bin:/bin
name=-
while read -r line <&3; do
  case "$line" in
    "nvs evcfg cp_id str "*) name="${line##* }" ;;
    boot*) break ;;
  esac
done
echo "runs -" >&3
echo "store energy_mwh 4711" >&3
echo "state plugged=0" >&3
printf '[event] %s charge_point=%s\\r\\n' "$line" "$name"
while key=$(dd bs=1 count=1 2>/dev/null) && [ -n "$key" ]; do
  case "$key" in
    q) exit 0 ;;
    c) kill -SEGV $$ ;;
    *) printf 'key %s\\r\\n' "$key" ;;
  esac
done
"""


def application(payload: bytes = SCRIPT, version: str = "1.2.3", chip: Chip = ESP32) -> bytes:
    """An application image that carries `payload`."""
    image = host_image.host_image(
        payload, version=version, project_name="test", chip_id=chip.image_chip_id
    )
    return app_image.encode(image)


def bootloader(chip: Chip = ESP32) -> bytes:
    """The virtual boot loader."""
    return app_image.encode(host_image.virtual_bootloader(chip.image_chip_id))


def identity(charge_point: str = "CP-0001") -> bytes:
    """An evcfg partition."""
    return render_image(
        [
            NvsEntry("evcfg", "schema", "u8", 1),
            NvsEntry("evcfg", "cp_id", "str", charge_point),
            NvsEntry("evcfg", "auth_key", "str", "0123456789abcdef0123456789abcdef01234567"),
        ],
        EVCFG_SIZE,
    )


def parts(payload: bytes = SCRIPT, chip: Chip = ESP32) -> dict[int, bytes]:
    """Everything that a board needs to start `payload`, by offset."""
    return {
        chip.bootloader_offset: bootloader(chip),
        TABLE_OFFSET: partition_table.encode(PARTITIONS),
        APP0: application(payload, chip=chip),
        EVCFG: identity(),
    }


def flash_image(contents: dict[int, bytes], size: int = 0x200000) -> bytearray:
    """A chip of `size` bytes with `contents`."""
    image = bytearray(b"\xff" * size)
    for offset, data in contents.items():
        image[offset : offset + len(data)] = data
    return image
