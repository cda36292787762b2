# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of `evtool flash` to what is done to each board."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evtool.errors import ConfigError

if TYPE_CHECKING:
    from evtool.cli.flash_options import StationOptions
    from evtool.flash.station.boot import BootProof
    from evtool.flash.station.gates import Gates
    from evtool.flash.station.order import Order
    from evtool.protocol.board_flash import FlashPart

FLASHER_ARGS = "flasher_args.json"
# What the longest addresses of esptool's commands reach; a file beyond that is none of ours.
_LARGEST_FLASH = 128 << 20


def image_order(options: StationOptions) -> Order:
    """The images that `--image` names.

    Raises:
        ConfigError: naming what is wrong with them.
    """
    from evtool.flash.station.order import CHIPS, order_of_images

    if options.chip is not None and options.chip not in CHIPS:
        raise ConfigError(f"--chip {options.chip}: must be one of {', '.join(CHIPS)}", fix=None)
    return order_of_images(read_images(options.image), options.chip, options.build_id or "")


def read_images(texts: Sequence[str], *, encrypting: bool = False) -> list[tuple[str, int, bytes]]:
    """Name, offset in flash and contents of each FILE@OFFSET, or of all in a flasher_args.json.

    Args:
        encrypting: they will be encrypted; else a build that asks for it is refused.

    Raises:
        ConfigError: there is no such file, or one that is not merged has no offset.
    """
    from evtool.flash.station.order import is_merged

    images = []
    for text in texts:
        path, offset = _place(text)
        data = _read(path)
        if offset is None and path.name == FLASHER_ARGS:
            images += _build_images(path, data, encrypting=encrypting)
            continue
        # An empty one is refused with the others.
        if offset is None and data and not is_merged(data):
            raise ConfigError(
                f"{path}: holds no boot loader where a chip looks for it, so it is no merged image",
                fix=f"say where in the flash it belongs: --image {path}@OFFSET",
            )
        images.append((path.name, offset or 0, data))
    return images


def _build_images(path: Path, data: bytes, *, encrypting: bool) -> list[tuple[str, int, bytes]]:
    """What an ESP-IDF build (PlatformIO's too) lists in the file at `path`."""
    from evtool.flash.station.flasher_args import parse_flasher_args
    from evtool.flash.station.order import boot_loader_chip
    from evtool.protocol.board_flash import FlashPart

    build = parse_flasher_args(data.decode("utf-8", "replace"), path)
    if build.encrypted and not encrypting:
        raise ConfigError(
            f"{path}: {', '.join(build.encrypted)}: to be encrypted, which is not done here",
            fix="`evtool provision security apply` encrypts a build and writes it",
        )
    images = [(file.name, offset, _read(file)) for offset, file in build.files]
    found = boot_loader_chip([FlashPart(*image) for image in images])
    if build.chip is not None and found not in {None, build.chip}:
        raise ConfigError(
            f"{path}: the build is for {build.chip}, its boot loader for {found}",
            fix="build again, from a clean folder",
        )
    return images


def known_parts(options: StationOptions) -> tuple[FlashPart, ...] | None:
    """What the boards hold by the user's word; None where nothing is said.

    Raises:
        ConfigError: a file is missing, or a manifest that is none.
    """
    from evtool.flash.image_plan import parse_manifest, plan_flash
    from evtool.protocol.board_flash import FlashPart

    if not options.known:
        return None
    parts: list[FlashPart] = []
    for text in options.known:
        path, offset = _place(text)
        data = _read(path)
        if offset is None and path.name == FLASHER_ARGS:
            parts += [FlashPart(*image) for image in _build_images(path, data, encrypting=True)]
        elif path.suffix == ".json":
            manifest = parse_manifest(data.decode("utf-8", "replace"), path)
            parts += plan_flash(manifest, _read).parts
        else:
            parts.append(FlashPart(path.name, offset or 0, data))
    return tuple(parts)


def gates_of(options: StationOptions) -> Gates:
    """Which boards may be written to.

    Raises:
        ConfigError: a value or a line of the list that is none.
    """
    from evtool.flash.station.gates import Gates, parse_mac_list, parse_revision
    from evtool.protocol.board_flash import parse_flash_size

    revisions: list[int | None] = []
    for name, text in (
        ("--min-revision", options.min_revision),
        ("--max-revision", options.max_revision),
    ):
        revision = None if text is None else parse_revision(text)
        if text is not None and revision is None:
            raise ConfigError(f"{name} {text}: must be a revision such as 3.1", fix=None)
        revisions.append(revision)
    size = None if options.flash_size is None else parse_flash_size(options.flash_size)
    if options.flash_size is not None and size is None:
        raise ConfigError(
            f"--flash-size {options.flash_size}: must be a size such as 4MB", fix=None
        )
    macs = None
    if options.mac_list is not None:
        text = _read(options.mac_list).decode("utf-8", "replace")
        macs = parse_mac_list(text, options.mac_list)
    return Gates(revisions[0], revisions[1], size, macs, options.allow_secured)


def boot_proof_of(options: StationOptions, order: Order) -> BootProof | None:
    """What each board must say at its start.

    Raises:
        ConfigError: nobody knows what that would be.
    """
    from evtool.flash.station.boot import BootProof

    if not options.boot_proof:
        return None
    if not order.build_id:
        raise ConfigError(
            "--boot-proof: the images do not say which build they are",
            fix="name it with --build-id, or flash a build's manifest",
        )
    return BootProof(order.build_id, round(options.boot_timeout * 1000))


def _place(text: str) -> tuple[Path, int | None]:
    """`FILE@0x10000`, or a file without an offset; the name of a file may hold an @ itself."""
    file, at, offset = text.rpartition("@")
    try:
        return (Path(file), int(offset, 0)) if at and file else (Path(text), None)
    except ValueError:
        return Path(text), None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:  # a pipe tells no size, a device may have no end
            data = stream.read(_LARGEST_FLASH + 1)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file", fix="check the name") from error
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror or error}",
            fix="name a file, and check its permissions",
        ) from error
    if len(data) > _LARGEST_FLASH:
        raise ConfigError(
            f"{path}: no board has more flash than {_LARGEST_FLASH:,} bytes, and this file has",
            fix="check that it is an image",
        )
    return data
