# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said about a board's flash: the chip in front of it, and the parts written to it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

ANY_CHIP = "auto"
"""esptool's word for whichever family answers."""
SECTOR = 0x1000
FLASH_ENCRYPTION, SECURE_BOOT = "flash encryption", "secure boot"
SECURE_DOWNLOAD = "secure download mode"
SECURITY = (FLASH_ENCRYPTION, SECURE_BOOT, SECURE_DOWNLOAD)
_SIZE = re.compile(r"([0-9]+)(KB|MB)\Z")


@dataclass(frozen=True, slots=True)
class ChipInfo:
    """The chip that answered.

    Attributes:
        chip: the family as Espressif's tools write it in lower case without its dash: esp32.
        description: its type and revision, for people.
        mac: six octets in lower-case hex with colons; "" where it was not said.
    """

    chip: str
    description: str
    mac: str


@dataclass(frozen=True, slots=True)
class BoardFacts:
    """What a board says of itself before anything is written to it.

    Attributes:
        revision: 100 times the major number plus the minor one; None where it was not said.
        flash_size: in bytes; None where the flash's identification is not known.
        secured: which of `SECURITY` are switched on for good.
        security_known: False where nobody could ask.
    """

    chip: ChipInfo
    revision: int | None
    flash_size: int | None
    secured: tuple[str, ...] = ()
    security_known: bool = True


@dataclass(frozen=True, slots=True)
class FlashPart:
    """Bytes for one place in flash.

    Attributes:
        name: what it is, for people.
        offset: in bytes, a multiple of a sector.
        secret: it holds keys or passphrases.
        encrypt: the chip is to put it through its own cipher; only with flash encryption on.
    """

    name: str
    offset: int
    data: bytes
    secret: bool = False
    encrypt: bool = False

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + len(self.data)

    @property
    def sha256(self) -> str:
        """Hex."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class WriteProgress:
    """How far a write is: the part's place in the list, and its percent (0 to 100)."""

    part: int
    percent: int


def parse_flash_size(text: str) -> int | None:
    """`4MB` or `512KB` in bytes; None for anything else."""
    found = _SIZE.match(text)
    return None if found is None else int(found[1]) * (1024 if found[2] == "KB" else 1024 * 1024)
