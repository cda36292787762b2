# SPDX-License-Identifier: GPL-3.0-or-later
"""Where `evtool provision nvs` finds an image: a file, or a partition of a board's flash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

if TYPE_CHECKING:
    from evtool.cli.output import Output
    from evtool.link.esptool import Esptool
    from evtool.protocol.nvs_encryption import NvsKeys
    from evtool.protocol.partition_table import Partition

F = TypeVar("F", bound=Callable[..., Any])


def keys_option(function: F) -> F:
    """`--keys FILE` and `--hmac-key FILE`, passed on as `keys`, a KeyFile or None."""
    path = click.Path(dir_okay=False, path_type=Path)
    of_image = click.option(
        "--keys",
        "keys",
        type=path,
        metavar="FILE",
        callback=_key_file,
        help="The image is encrypted; the image of its partition nvs_keys.",
    )
    of_fuse = click.option(
        "--hmac-key",
        type=path,
        metavar="FILE",
        expose_value=False,
        is_eager=True,
        callback=_note_hmac_key,
        help="The image is encrypted; the 32 bytes of the chip's HMAC key (not the first ESP32).",
    )
    decorated: F = of_image(of_fuse(function))
    return decorated


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file with what an image is encrypted with.

    Attributes:
        is_hmac: it is the key in the chip's eFuse, from which the two are worked out.
    """

    path: Path
    is_hmac: bool = False

    def read(self) -> NvsKeys:
        """The keys.

        Raises:
            ConfigError: not such a file, or others than its owner may read it.
        """
        from evtool.link.nvs_files import read_hmac_key, read_keys

        return read_hmac_key(self.path) if self.is_hmac else read_keys(self.path)


_HMAC_KEY = "evtool.hmac_key"


def _note_hmac_key(context: click.Context, _option: object, path: Path | None) -> None:
    context.meta[_HMAC_KEY] = path


def _key_file(context: click.Context, _option: object, path: Path | None) -> KeyFile | None:
    hmac_key = context.meta.get(_HMAC_KEY)
    if path is not None and hmac_key is not None:
        raise click.UsageError("--keys and --hmac-key exclude one another")
    if hmac_key is not None:
        return KeyFile(hmac_key, is_hmac=True)
    return None if path is None else KeyFile(path)


def board_option(function: F) -> F:
    """`--serial-port PORT`: IMAGE is a partition's name."""
    decorated: F = click.option(
        "--serial-port",
        metavar="PORT",
        help="At this board; IMAGE is the name of its partition, such as evcfg.",
    )(function)
    return decorated


def optional_keys(file: KeyFile | None) -> NvsKeys | None:
    """The keys of a file, where one was named."""
    return None if file is None else file.read()


class ImagePlace(Protocol):
    """An image's place."""

    name: str

    def read(self) -> bytes:
        """The image."""

    def write(self, image: bytes) -> None:
        """Put another in its place, and see that it is there."""


@dataclass(slots=True)
class FilePlace:
    """A file; replaced as a whole, mode 0600."""

    name: str

    def read(self) -> bytes:
        from evtool.link.nvs_files import read_whole

        return read_whole(Path(self.name), "the image")

    def write(self, image: bytes) -> None:
        from evtool.link.files import write_atomically

        # A link stays one: what it leads to is replaced.
        write_atomically(Path(self.name).resolve(), image, 0o600)


@dataclass(slots=True)
class BoardPlace:
    """A partition of a board's flash; read back after it was written."""

    name: str
    output: Output
    board: Esptool
    partition: Partition | None = None

    def read(self) -> bytes:
        from evtool.errors import ConfigError
        from evtool.protocol import partition_table
        from evtool.provision.plan import read_partitions

        self.output.say("reading the partition table")
        partitions, _ = read_partitions(self.board)
        found = partition_table.find(partitions, self.name)
        if found is None or found.subtype_name != "nvs":
            names = ", ".join(each.name for each in partitions if each.subtype_name == "nvs")
            raise ConfigError(
                f"the board has no NVS partition {self.name!r} (it has: {names or 'none'})",
                fix="name one of them",
            )
        self.partition = found
        self.output.say(f"reading {self.name}")
        return self.board.read(found.offset, found.size)[0]

    def write(self, image: bytes) -> None:
        from evtool.cli.board_access import Aftermath, telling
        from evtool.protocol.board_flash import FlashPart
        from evtool.provision.plan import compare

        if self.partition is None:
            raise RuntimeError("a partition is read before it is written")
        part = FlashPart(self.name, self.partition.offset, image, secret=True)
        left = f"{self.name} may be half written; run the same command again, or provision"
        with telling(self.output, Aftermath(stopped=left, failed=left)):
            self.output.say(f"writing {self.name}")
            self.board.write([part])
            self.output.say("reading it back")
            compare(part, self.board.read(part.offset, len(image))[0])


def image_place(output: Output, name: str, serial_port: str | None) -> ImagePlace:
    """The file `name`, or the partition of that name at a board.

    Raises:
        DeviceError: there is no such port.
    """
    if serial_port is None:
        return FilePlace(name)
    from evtool.cli.board_access import open_board

    return BoardPlace(name, output, open_board(output, serial_port, "auto", 460_800))
