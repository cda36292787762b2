# SPDX-License-Identifier: GPL-3.0-or-later
"""What will be flashed is checked before any port is opened."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flash_project import make_build
from hypothesis import example, given
from hypothesis import strategies as st

from evtool.errors import ConfigError
from evtool.flash.image_plan import FlashPlan, parse_manifest, plan_flash, with_part
from evtool.protocol import partition_table
from evtool.protocol.board_flash import FlashPart

Change = Callable[[dict[str, Any], Path], None]


@pytest.fixture
def build(tmp_path: Path) -> Path:
    return make_build(tmp_path / "build")


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _plan(manifest: Path) -> FlashPlan:
    return plan_flash(parse_manifest(manifest.read_text(), manifest), _read)


def test_a_build_becomes_parts_in_the_order_of_their_offsets(build: Path) -> None:
    plan = _plan(build)
    assert [(part.name, part.offset) for part in plan.parts] == [
        ("bootloader", 0x1000),
        ("partition-table", 0x8000),
        ("otadata", 0xE000),
        ("app", 0x10000),
    ]
    assert (plan.chip, plan.environment, plan.build_id) == ("esp32", "host", "cafe")
    assert plan.flash_size == 4 * 1024 * 1024


def test_ota_data_is_blank_so_that_the_new_firmware_boots(build: Path) -> None:
    (blank,) = (part for part in _plan(build).parts if part.name == "otadata")
    assert blank.data == b"\xff" * 0x2000


def test_an_identity_is_put_in_its_place(build: Path) -> None:
    plan = with_part(_plan(build), FlashPart("evcfg", 0x390000, bytes(0x6000), secret=True))
    assert plan.parts[-1].name == "evcfg"
    with pytest.raises(ConfigError, match="do not fit partition 'evcfg'"):
        with_part(_plan(build), FlashPart("evcfg", 0x390000, bytes(0x7000)))


def _image(values: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in values["images"] if each["name"] == name)
    return found


def _set(name: str, **changes: object) -> Change:
    return lambda values, folder: _image(values, name).update(changes)


def _file(name: str, data: bytes | None) -> Change:
    def change(values: dict[str, Any], folder: Path) -> None:
        image = _image(values, name)
        if data is None:
            (folder / image["file"]).unlink()
            return
        (folder / image["file"]).write_bytes(data)
        image["sha256"] = hashlib.sha256(data).hexdigest()

    return change


def _spoil(values: dict[str, Any], folder: Path) -> None:
    (folder / "firmware.bin").write_bytes((folder / "firmware.bin").read_bytes() + b"x")


def _large(values: dict[str, Any], folder: Path) -> None:
    _file("app", (folder / "firmware.bin").read_bytes() + bytes(0x1C0000))(values, folder)


def _table(text: str) -> Change:
    return _file("partition-table", partition_table.encode(partition_table.parse(text)))


BROKEN: list[tuple[Change, str]] = [
    (_file("app", None), "app: firmware.bin is missing"),
    (_file("app", b""), "app: firmware.bin is empty"),
    (_spoil, "app: firmware.bin is not the file that was built"),
    (
        _file("app", b"no image at all, but long enough for a header"),
        "app: firmware.bin is no image",
    ),
    (_file("bootloader", bytes(64)), "bootloader: bootloader.bin is no image"),
    (_file("partition-table", bytes(0xC00)), "partition-table: partition 0 invalid magic"),
    (_large, "bytes do not fit partition 'app0' of 1835008"),
    (_set("app", file="../firmware.bin"), "must be a name in the manifest's own folder"),
    (_set("app", file=None), "must be a name in the manifest's own folder"),
    (_set("app", offset=0x20000), "app: its offset is not 0x10000, where 'app0' stands"),
    (_set("app", partition="app7"), "app: the table has no partition 'app7'"),
    (_set("app", partition=None, offset=0x10001), "offset 0x10001 is not a multiple of 0x1000"),
    (_set("app", partition=None, offset=0x3F0000), "0x3f0000 is not the start of an app"),
    (_set("app", partition=None), "app: needs an offset or a partition"),
    (_set("app", partition=None, offset=True), "app: needs an offset or a partition"),
    (_set("bootloader", offset=0x2000), "bootloader: offset 0x2000 must be 0x1000"),
    (_set("partition-table", offset=0x9000), "offset 0x9000 must be 0x8000"),
    (lambda values, folder: values.update(flash_size="2MB"), "the flash at 0x200000"),
    (lambda values, folder: values.update(flash_size="lots"), "must be a size such as 4MB"),
    (lambda values, folder: values.update(chip="esp8266"), "is not one that evtool flashes"),
    (lambda values, folder: values.update(chip=None), "chip: must be a text"),
    (lambda values, folder: values.update(schema=2), "not a manifest of schema 1"),
    (lambda values, folder: values.update(images="x"), "images: must be a list of objects"),
    (lambda values, folder: values["images"].append({"file": "x"}), "objects, each with a name"),
    (lambda values, folder: values["images"].pop(), "images: app is missing"),
    (lambda values, folder: values["images"].append(values["images"][0]), "comes 2 times"),
    (_table("app0, app, ota_0, 0x20000, 0x10000"), "no partition stands at"),
]


@pytest.mark.parametrize(("change", "sentence"), BROKEN, ids=[words for _, words in BROKEN])
def test_a_broken_build_is_refused(build: Path, change: Change, sentence: str) -> None:
    values = json.loads(build.read_text())
    change(values, build.parent)
    if sentence == "no partition stands at":
        _image(values, "app").update(partition=None, offset=0x10000)
    build.write_text(json.dumps(values))
    with pytest.raises(ConfigError) as caught:
        _plan(build)
    assert sentence in caught.value.message
    assert str(build) in caught.value.message
    assert "evtool build" in str(caught.value.fix)


def test_all_problems_come_at_once(build: Path) -> None:
    (build.parent / "firmware.bin").unlink()
    (build.parent / "bootloader.bin").write_bytes(b"x")
    with pytest.raises(ConfigError) as caught:
        _plan(build)
    assert len(caught.value.message.splitlines()) == 2


@given(st.text())
@example("[" * 100_000)
def test_no_text_does_more_than_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_manifest(text, Path("manifest.json"))
