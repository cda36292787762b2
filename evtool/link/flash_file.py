# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual board's memory that outlives it: flash, fuses and MAC address in a folder.

The flash is a shared mapping of `flash.bin`: each write is in the kernel's hands as soon as
it is made, so a board that is killed leaves what it had written so far, like one whose power
was cut. The files hold the unit's secrets and are readable by their owner only.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import secrets
import shutil
from pathlib import Path

from evtool.errors import ConfigError, DeviceError
from evtool.link.files import make_private_folder, write_atomically

FLASH_FILE = "flash.bin"
MAC_FILE = "mac"
FILES_FOLDER = "files"
EXTERNAL_FILE = "external.bin"
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_LOCALLY_ADMINISTERED, _MULTICAST = 0x02, 0x01


class MappedFlash:
    """A file that is a flash chip's array, for as long as a board runs; close it.

    Args:
        path: made, erased, if it is missing.
        size: the chip's size in bytes; a file that is there already must have it.

    Attributes:
        storage: the array.

    Raises:
        ConfigError: the flash there has another size.
        DeviceError: another board uses it.
        EvtoolError: the file cannot be written.
    """

    def __init__(self, path: Path, size: int) -> None:
        if not path.exists():
            write_atomically(path, b"\xff" * size, 0o600)
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise DeviceError(
                f"cannot open {path}: {error.strerror or error}", fix="check its permissions"
            ) from error
        try:
            self._lock(path)
            _check_size(path, os.fstat(self._descriptor).st_size, size)
            self._map = mmap.mmap(self._descriptor, size)
        except BaseException:
            os.close(self._descriptor)
            raise
        self.storage = memoryview(self._map)

    def close(self) -> None:
        """Let go of the flash; whoever holds a slice of `storage` must have let go before."""
        self.storage.release()
        self._map.close()
        os.close(self._descriptor)

    def _lock(self, path: Path) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DeviceError(
                f"{path}: another virtual board uses this flash",
                fix="stop that one, or give this one a folder of its own with --state-dir",
            ) from error


class FlashFile:
    """The folder of one board, for as long as the board runs; close it.

    Args:
        folder: made if it is missing.
        size: the chip's size in bytes; a chip that is there already must have it.
        mac: the board's MAC address from now on; None keeps the one it has, or makes one up.

    Raises:
        ConfigError: the flash there has another size, or the MAC there is none.
        DeviceError: another board runs in this folder.
        EvtoolError: the folder cannot be written.
    """

    def __init__(self, folder: Path, size: int, mac: bytes | None = None) -> None:
        self._folder = folder
        make_private_folder(folder)
        self._flash = MappedFlash(folder / FLASH_FILE, size)
        try:
            self.mac = _mac(folder / MAC_FILE, mac)
        except BaseException:
            self._flash.close()
            raise
        self.storage = self._flash.storage

    def external_flash(self, size: int) -> MappedFlash:
        """A second chip of this board; close it as well.

        Raises:
            EvtoolError: as for the first one.
        """
        return MappedFlash(self._folder / EXTERNAL_FILE, size)

    def fuses(self, chip: str, factory: bytes) -> bytes:
        """The bits that are burned into a chip; what the factory burned, at first.

        Raises:
            ConfigError: the file there holds something else.
            EvtoolError: it cannot be read or written.
        """
        path = self._fuse_path(chip)
        if not path.exists():
            self.write_fuses(chip, factory)
            return factory
        try:
            bits = path.read_bytes()
        except OSError as error:
            raise DeviceError(
                f"cannot read {path}: {error.strerror or error}", fix="check its permissions"
            ) from error
        if len(bits) != len(factory):
            raise ConfigError(
                f"{path}: {len(bits)} bytes are not the fuses of this chip ({len(factory)})",
                fix="delete the file: the chip gets the fuses of a new one",
            )
        return bits

    def write_fuses(self, chip: str, bits: bytes) -> None:
        """Keep what was burned; it holds keys.

        Raises:
            EvtoolError: the file system refused.
        """
        write_atomically(self._fuse_path(chip), bits, 0o600)

    def _fuse_path(self, chip: str) -> Path:
        return self._folder / f"fuses-{chip}.bin"

    def files_folder(self, name: str | None) -> Path | None:
        """Where the firmware's files called `name` are; what other names had is deleted."""
        if name is None:
            return None
        root = self._folder / FILES_FOLDER
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for other in root.iterdir():
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        return folder.absolute()

    def close(self) -> None:
        """Let go of the flash; whoever holds a slice of `storage` must have let go before."""
        self._flash.close()


def parse_mac(text: str) -> bytes:
    """The six bytes of a MAC address such as 02:45:56:00:00:01.

    Raises:
        ConfigError: not of that form, or a multicast address.
    """
    if not _MAC.fullmatch(text.lower()):
        raise ConfigError(
            f"MAC address {text!r}: expected six pairs of hex digits",
            fix="write for example --mac 02:45:56:00:00:01",
        )
    mac = bytes.fromhex(text.replace(":", ""))
    if mac[0] & _MULTICAST:
        raise ConfigError(
            f"MAC address {text}: the first byte must be even (this one is a multicast address)",
            fix=f"write for example --mac {bytes([mac[0] & 0xFE, *mac[1:]]).hex(':')}",
        )
    return mac


def _check_size(path: Path, found: int, size: int) -> None:
    if found != size:
        raise ConfigError(
            f"{path}: the flash there has {found} bytes, not {size}",
            fix="give its size with --flash-size, or another folder with --state-dir",
        )


def _mac(path: Path, wanted: bytes | None) -> bytes:
    if wanted is None and path.exists():
        try:
            return parse_mac(path.read_text("ascii").strip())
        except (ConfigError, UnicodeDecodeError, OSError) as error:
            raise ConfigError(
                f"{path}: this should hold the board's MAC address: {error}",
                fix="delete the file, or say --mac",
            ) from error
    mac = wanted
    if mac is None:
        random = secrets.token_bytes(6)
        mac = bytes([random[0] & ~_MULTICAST & 0xFF | _LOCALLY_ADMINISTERED, *random[1:]])
    write_atomically(path, mac.hex(":") + "\n", 0o600)
    return mac
