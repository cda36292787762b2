# SPDX-License-Identifier: GPL-3.0-or-later
"""A chip's fuses by the names that Espressif gives them, and which of them switch security on.

Source: the chips' Technical Reference Manuals, chapter "eFuse Controller"; the JSON is that of
`espefuse summary --format json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evtool.protocol.board_flash import FLASH_ENCRYPTION, SECURE_BOOT, SECURE_DOWNLOAD
from evtool.protocol.can_frame import Malformed

_WORDS = {"Enable": 1, "Disable": 0}


@dataclass(frozen=True, slots=True)
class Fuse:
    """One field.

    Attributes:
        value: its bits; what is read-protected reads as 0.
        data: of a block, its bytes as they stand in it; else nothing.
        readable, writeable: not protected against it.
    """

    value: int = field(repr=False)
    data: bytes = field(default=b"", repr=False)
    readable: bool = True
    writeable: bool = True


@dataclass(frozen=True, slots=True)
class FuseState:
    """All fields of one chip. Keys that are not read-protected are among them.

    Attributes:
        mac: the factory MAC, lower case with colons.
    """

    chip: str
    mac: str
    fuses: Mapping[str, Fuse]

    def __getitem__(self, name: str) -> Fuse:
        return self.fuses[name]

    def value(self, name: str) -> int:
        """A field's bits."""
        return self.fuses[name].value


@dataclass(frozen=True, slots=True)
class SecurityFuses:
    """The names of what matters on one chip.

    Attributes:
        cipher_count: an odd number of its bits switches flash encryption on.
        secure_boot: any of them switches it on; the last one is version 2.
        secure_download: leaves the loader a few commands.
    """

    cipher_count: str
    secure_boot: tuple[str, ...]
    secure_download: str | None

    @property
    def all(self) -> tuple[str, ...]:
        """All of them."""
        download = () if self.secure_download is None else (self.secure_download,)
        return (self.cipher_count, *self.secure_boot, *download)


_LATER = SecurityFuses("SPI_BOOT_CRYPT_CNT", ("SECURE_BOOT_EN",), "ENABLE_SECURITY_DOWNLOAD")
SECURITY_FUSES = {
    "esp32": SecurityFuses("FLASH_CRYPT_CNT", ("ABS_DONE_0", "ABS_DONE_1"), None),
    "esp32s3": _LATER,
    "esp32c3": _LATER,
}


def parse_secured(text: str, chip: str) -> tuple[str, ...] | Malformed:
    """Which protections are switched on, by `espefuse summary --format json`.

    espefuse before 5.6 gives no bits there, but the words of some fields; those that matter here
    are understood in either form.
    """
    names = SECURITY_FUSES.get(chip)
    if names is None:
        return Malformed(f"evtool does not know the fuses of {chip}")
    try:
        values = json.loads(text)
        bits = {name: _bits(values[name]) for name in names.all}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        return Malformed(f"not a summary of fuses: {type(error).__name__}: {error}")
    return _secured(names, bits)


def _bits(values: Mapping[str, Any]) -> int:
    value = values.get("raw_value", values["value"])
    if isinstance(value, str):
        # The counter's words: odd and even.
        return _WORDS[value] if value in _WORDS else int(value, 16)
    return int(value)


def secured(state: FuseState) -> tuple[str, ...]:
    """Which of the protections are switched on for good, in the words of `board_flash`."""
    names = SECURITY_FUSES[state.chip]
    return _secured(names, {name: state.value(name) for name in names.all})


def _secured(names: SecurityFuses, bits: Mapping[str, int]) -> tuple[str, ...]:
    found = (
        (FLASH_ENCRYPTION, bits[names.cipher_count].bit_count() % 2 == 1),
        (SECURE_BOOT, any(bits[name] for name in names.secure_boot)),
        (SECURE_DOWNLOAD, bool(names.secure_download and bits[names.secure_download])),
    )
    return tuple(name for name, is_on in found if is_on)
