# SPDX-License-Identifier: GPL-3.0-or-later
"""A project with a finished build for the virtual board, without a compiler."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from evtool.protocol import app_image, host_image, partition_table
from evtool.resources import firmware_dir
from evtool.virtual.chips import CHIPS

KEY = "kEy-for-tests-0001zZ"
PASSPHRASE = "correct horse battery"

# Says the identity that its NVS holds, as the firmware does.
PROGRAM = b"""#!/bin/sh
hex=
while read -r line <&3; do
  case "$line" in
    "nvs evcfg cp_id str "*) hex="${line##* }" ;;
    boot*) break ;;
  esac
done
name=
while [ -n "$hex" ]; do
  rest="${hex#??}"
  name="$name$(printf '%b' "\\\\0$(printf '%03o' "0x${hex%"$rest"}")")"
  hex="$rest"
done
echo "runs -" >&3
printf '[event] boot version=1.2.3 build=cafe charge_point=%s reset=power_on\\r\\n' "${name:--}"
cat >/dev/null
"""


def make_project(root: Path, **changes: str) -> Path:
    """evtool.toml with an identity; `changes` replace values by key."""
    values = {
        "identity": "CP-0001",
        "vendor": "Example",
        "model": "EV-CAN-1",
        "serial_number": "SN-0001",
        "ssid": "bench",
        "url": "ws://127.0.0.1:9000/ocpp",
    } | changes
    secrets = root / "secrets"
    secrets.mkdir(parents=True)
    for name, text in (("key", KEY), ("passphrase", PASSPHRASE)):
        (secrets / name).write_text(text + "\n")
        (secrets / name).chmod(0o600)
    path = root / "evtool.toml"
    path.write_text(
        f"""
[charge_point]
identity = {json.dumps(values["identity"])}
vendor = {json.dumps(values["vendor"])}
model = {json.dumps(values["model"])}
serial_number = {json.dumps(values["serial_number"])}
[wifi]
ssid = {json.dumps(values["ssid"])}
passphrase = {{ file = "secrets/passphrase" }}
[csms]
url = {json.dumps(values["url"])}
authorization_key = {{ file = "secrets/key" }}
[build]
environment = "host"
"""
    )
    return path


def make_build(folder: Path, chip: str = "esp32") -> Path:
    """A build folder as `evtool build --env host` leaves it; returns its manifest."""
    number, place = CHIPS[chip].image_chip_id, CHIPS[chip].bootloader_offset
    table = partition_table.parse((firmware_dir() / "partitions.csv").read_text())
    application = host_image.host_image(
        PROGRAM, version="1.2.3", project_name="test", chip_id=number
    )
    files = {
        "bootloader": app_image.encode(host_image.virtual_bootloader(number)),
        "partition-table": partition_table.encode(table),
        "firmware": app_image.encode(application),
    }
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / f"{name}.bin").write_bytes(data)
    sha256 = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = {
        "schema": 1,
        "chip": chip,
        "env": "host",
        "flash_size": "4MB",
        "flash_mode": "dio",
        "flash_freq": "40m",
        "build_id": "cafe",
        "version": "1.2.3",
        "images": [
            {"name": "bootloader", "offset": place, "file": "bootloader.bin"},
            {"name": "partition-table", "offset": 0x8000, "file": "partition-table.bin"},
            {"name": "app", "partition": "app0", "file": "firmware.bin"},
        ],
    }
    for image, name in zip(manifest["images"], files, strict=True):  # type: ignore[call-overload]  # a list of dicts
        image["sha256"] = sha256[name]
    path = folder / "manifest.json"
    path.write_text(json.dumps(manifest))
    return path
