# SPDX-License-Identifier: GPL-3.0-or-later
"""A chip's fuses by the names that Espressif gives them, and which of them switch security on.

Source: the chips' Technical Reference Manuals, chapter "eFuse Controller"; the JSON is that of
`espefuse summary --format json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evtool.protocol.board_flash import FLASH_ENCRYPTION, SECURE_BOOT, SECURE_DOWNLOAD
from evtool.protocol.can_frame import Malformed

_BYTES = re.compile(r"[0-9a-f]{2}(?: [0-9a-f]{2})*\Z")


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


_LATER = SecurityFuses("SPI_BOOT_CRYPT_CNT", ("SECURE_BOOT_EN",), "ENABLE_SECURITY_DOWNLOAD")
SECURITY_FUSES = {
    "esp32": SecurityFuses("FLASH_CRYPT_CNT", ("ABS_DONE_0", "ABS_DONE_1"), None),
    "esp32s3": _LATER,
    "esp32c3": _LATER,
}


def parse_summary(text: str, chip: str) -> FuseState | Malformed:
    """What `espefuse summary --format json` wrote, or what is wrong with it."""
    try:
        values = json.loads(text)
        fuses = {name: _fuse(each) for name, each in values.items()}
        mac = str(values["MAC"]["value"])[:17].lower()
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        return Malformed(f"not a summary of fuses: {type(error).__name__}")
    names = SECURITY_FUSES.get(chip)
    wanted = () if names is None else ("MAC", names.cipher_count, *names.secure_boot)
    missing = [name for name in wanted if name not in fuses]
    if missing:
        return Malformed(f"the summary has no {', '.join(missing)}")
    return FuseState(chip, mac, fuses)


def _fuse(values: Mapping[str, Any]) -> Fuse:
    text = str(values["value"]).replace("?", "0")
    is_block = str(values["efuse_type"]).startswith("bytes") and _BYTES.match(text)
    return Fuse(
        int(values["raw_value"], 16),
        bytes.fromhex(text) if is_block else b"",
        bool(values["readable"]),
        bool(values["writeable"]),
    )


def secured(state: FuseState) -> tuple[str, ...]:
    """Which of the protections are switched on for good, in the words of `board_flash`."""
    names = SECURITY_FUSES[state.chip]
    found = (
        (FLASH_ENCRYPTION, state.value(names.cipher_count).bit_count() % 2 == 1),
        (SECURE_BOOT, any(state.value(name) for name in names.secure_boot)),
        (
            SECURE_DOWNLOAD,
            names.secure_download is not None and bool(state.value(names.secure_download)),
        ),
    )
    return tuple(name for name, is_on in found if is_on)
