# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a board's evcfg is written encrypted, with which keys, and what is written with it.

The firmware takes evcfg for encrypted exactly where the partition nvs_keys holds something
(docs/firmware.md). So do we: a board that has keys keeps them; one whose flash is encrypted, or
for which it was asked, gets new ones. The image of evcfg never goes through the flash's own
cipher, nvs_keys always does where there is one (ESP-IDF, "NVS Encryption").

::

    nvs_keys            flash encryption off              flash encryption on
    no such partition   plain                             plain, with a warning
    blank               plain; encrypted where asked      encrypted with the keys kept, or new ones
    keys                encrypted with these              the same; in clear: written as ciphertext
    ciphertext          the keys kept, else refused       what the flash's key makes of it
    anything else       the keys kept, else refused       the keys kept, else refused

Where nobody here knows the flash's key, keys read as ciphertext alone. That they are those kept is
taken for certain where evcfg opens with these: nvs_keys is written first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from evtool.errors import CheckFailed, ConfigError
from evtool.protocol.board_flash import FlashPart
from evtool.protocol.flash_cipher import FlashCipher
from evtool.protocol.nvs import NvsEntry, parse_image
from evtool.protocol.nvs_encryption import (
    NvsKeys,
    decode_keys,
    decrypt_image,
    encode_keys,
    encrypt_image,
)
from evtool.protocol.partition_table import Partition, find_nvs_keys
from evtool.provision.evcfg import evcfg_image, find_evcfg

_SAME_FLASH = (
    "the keys of evcfg lie in the same flash, which is not encrypted: "
    "whoever reads the one reads the other"
)

_IN_CLEAR = "the flash is encrypted, and evcfg in clear in it: there is no partition nvs_keys"


class KeptNvsKeys(Protocol):
    """The NVS keys of boards, sealed, found by MAC."""

    def kept(self, mac: str) -> NvsKeys | None:
        """The keys that were kept last for a board."""

    def keep(self, mac: str, keys: NvsKeys) -> None:
        """Keep keys for a board, durably, before they are written to it; older ones stay."""


@dataclass(frozen=True, slots=True)
class EvcfgBoard:
    """What is known of the board that evcfg is for.

    Attributes:
        partitions: its table.
        flash_encryption: whether its fuses have switched it on.
        nvs_keys: the partition nvs_keys as it stands in flash, whole; None: there is none.
        evcfg: the partition evcfg as it stands in flash, whole; None: it was not read.
        cipher: of the encrypted flash, where its key is known.
    """

    mac: str
    partitions: tuple[Partition, ...]
    flash_encryption: bool
    nvs_keys: bytes | None = field(repr=False)
    evcfg: bytes | None = field(default=None, repr=False)
    cipher: FlashCipher | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class EvcfgWrite:
    """What is to be written for a unit's identity.

    Attributes:
        evcfg: its image, encrypted or plain.
        nvs_keys: the keys, where they are to be written; `encrypt` says through which cipher.
        encrypted: whether evcfg is.
        notes: sentences for people, worth a record.
    """

    evcfg: FlashPart
    nvs_keys: FlashPart | None
    encrypted: bool
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[FlashPart, ...]:
        """In the order in which they must be written: the keys first."""
        return (self.evcfg,) if self.nvs_keys is None else (self.nvs_keys, self.evcfg)


def plan_evcfg(
    entries: Sequence[NvsEntry],
    board: EvcfgBoard,
    kept: KeptNvsKeys,
    generate: Callable[[], NvsKeys],
    *,
    encrypt: bool = False,
    replace_keys: bool = False,
) -> EvcfgWrite:
    """The images for one board; new keys are kept before this returns.

    Args:
        entries: of evcfg, secrets among them.
        kept: the keys of boards.
        generate: makes keys with the operating system's generator.
        encrypt: encrypt on a board without flash encryption too.
        replace_keys: write new keys where those in the board cannot be known.

    Raises:
        ConfigError: the table has no evcfg, the entries do not fit, or encryption was asked for
            and there is no partition for keys.
        CheckFailed: nvs_keys holds what cannot be read, and no keys are kept for this board.
    """
    evcfg = find_evcfg(board.partitions, "the board's partition table")
    image = evcfg_image(list(entries), evcfg)
    place = find_nvs_keys(board.partitions)
    if place is None or board.nvs_keys is None:
        if encrypt:
            raise ConfigError(
                "the board's partition table has no partition nvs_keys for the keys of evcfg",
                fix="flash evtool's firmware with its present partition table: `evtool flash`",
            )
        part = FlashPart(evcfg.name, evcfg.offset, image, secret=True)
        return EvcfgWrite(part, None, False, (_IN_CLEAR,) if board.flash_encryption else ())
    keys, is_there, notes = _keys(board, place, kept, generate, encrypt, replace_keys)
    if keys is None:
        return EvcfgWrite(FlashPart(evcfg.name, evcfg.offset, image, secret=True), None, False)
    if not board.flash_encryption:
        notes = (*notes, _SAME_FLASH)
    sealed = FlashPart(evcfg.name, evcfg.offset, encrypt_image(image, keys), secret=True)
    stored = encode_keys(keys, place.size)
    through_chip = board.flash_encryption
    if board.cipher is not None:
        stored, through_chip = board.cipher.encrypt(place.offset, stored), False
    new = FlashPart(place.name, place.offset, stored, secret=True, encrypt=through_chip)
    return EvcfgWrite(sealed, None if is_there else new, True, notes)


def _keys(
    board: EvcfgBoard,
    place: Partition,
    kept: KeptNvsKeys,
    generate: Callable[[], NvsKeys],
    encrypt: bool,
    replace: bool,
) -> tuple[NvsKeys | None, bool, tuple[str, ...]]:
    """The keys (None: none are wanted), whether the board has them already, and notes."""
    stored = board.nvs_keys or b""
    blank = not stored.strip(b"\xff")
    if blank and not encrypt and not board.flash_encryption:
        return None, False, ()
    ours = kept.kept(board.mac)
    if blank:
        return ours or _new(board.mac, kept, generate), False, ()
    there = decode_keys(stored)
    is_right = not board.flash_encryption
    if board.cipher is not None and not isinstance(there, NvsKeys):
        there = decode_keys(board.cipher.decrypt(place.offset, stored))
        is_right = True
    if isinstance(there, NvsKeys):
        if there != ours:
            # They cannot be read any more once they are encrypted with the flash.
            kept.keep(board.mac, there)
        return there, is_right, ()
    if replace:
        note = "new keys take the place of those in nvs_keys"
        return _new(board.mac, kept, generate), False, (note,)
    if ours is not None:
        if board.flash_encryption and _opens(board.evcfg, ours):
            return ours, True, ()
        return ours, False, ("nvs_keys is written again, with the keys kept for this board",)
    why = "encrypted with the flash" if board.flash_encryption else f"damaged ({there.reason})"
    raise CheckFailed(
        f"the board's nvs_keys is {why}, and no keys are kept for {board.mac}",
        fix="use the ledger of the station that wrote them, or have new ones with "
        "--replace-nvs-keys: what was encrypted with the old ones is lost",
    )


def _opens(evcfg: bytes | None, keys: NvsKeys) -> bool:
    if evcfg is None:
        return False
    content = parse_image(decrypt_image(evcfg, keys))
    return bool(content.entries) and not content.problems


def _new(mac: str, kept: KeptNvsKeys, generate: Callable[[], NvsKeys]) -> NvsKeys:
    keys = generate()
    kept.keep(mac, keys)
    return keys
