# SPDX-License-Identifier: GPL-3.0-or-later
"""A unit's image as its board must hold it, what the ledger says of it, and its sealed copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from evtool import __version__
from evtool.errors import ConfigError
from evtool.protocol.board_flash import FLASH_ENCRYPTION, BoardFacts, FlashPart
from evtool.protocol.flash_cipher import FlashCipher, host_cipher
from evtool.protocol.nvs import NvsEntry
from evtool.protocol.nvs_encryption import NvsKeys
from evtool.protocol.partition_table import (
    TABLE_OFFSET,
    TABLE_SIZE,
    Partition,
    find_nvs_keys,
)
from evtool.provision.evcfg import evcfg_image, find_evcfg
from evtool.provision.evcfg_encryption import (
    EvcfgBoard,
    EvcfgWrite,
    KeptNvsKeys,
    plan_evcfg,
)
from evtool.provision.fleet.order import UnitOrder
from evtool.provision.identity import Identity
from evtool.provision.plan import decoded_table
from evtool.provision.run.board import Board, Firmware

IN_BOARD = "the board's partition table"


@dataclass(frozen=True, slots=True)
class Encryption:
    """What encrypting an image takes, on a board that has NVS keys or gets them.

    Attributes:
        keys: of boards.
        new_keys: makes some with the operating system's generator.
        flash_key: the key of a board's encrypted flash by its MAC, where it is known.
    """

    keys: KeptNvsKeys
    new_keys: Callable[[], NvsKeys]
    flash_key: Callable[[str], bytes | None] = field(default=lambda _mac: None, repr=False)

    def cipher(self, facts: BoardFacts) -> FlashCipher | None:
        """Of the board's flash; None where it is not encrypted, or nobody knows its key."""
        if FLASH_ENCRYPTION not in facts.secured:
            return None
        key = self.flash_key(facts.chip.mac)
        return None if key is None else host_cipher(facts.chip.chip, key)


def partitions_of(
    board: Board, facts: BoardFacts, firmware: Firmware | None, cipher: FlashCipher | None = None
) -> tuple[Partition, ...]:
    """The table that the board will have: the firmware's, or else its own.

    Args:
        cipher: of the board's encrypted flash, where its key is known.

    Raises:
        ConfigError: its own is encrypted with a key that is not known.
        DeviceError: it has none, and gets none.
    """
    if firmware is not None:
        return firmware.partitions
    if FLASH_ENCRYPTION in facts.secured and cipher is None:
        raise ConfigError(
            f"the flash of {facts.chip.mac} is encrypted, its partition table too",
            fix="name the build that it runs, for its table alone: --with-firmware, --env or "
            "--manifest; on such a board it is not written",
        )
    data = board.read(TABLE_OFFSET, TABLE_SIZE)
    return decoded_table(data if cipher is None else cipher.decrypt(TABLE_OFFSET, data))


def plain_image(entries: Sequence[NvsEntry], partitions: tuple[Partition, ...]) -> FlashPart:
    """The image for the partition evcfg, before it is encrypted.

    Raises:
        ConfigError: the table has no such partition, or the entries do not fit it.
    """
    partition = find_evcfg(partitions, IN_BOARD)
    image = evcfg_image(list(entries), partition)
    return FlashPart(partition.name, partition.offset, image, secret=True)


def encrypted_parts(
    entries: Sequence[NvsEntry],
    plain: FlashPart,
    board: Board,
    facts: BoardFacts,
    partitions: tuple[Partition, ...],
    encryption: Encryption,
) -> EvcfgWrite:
    """What is written for the image: itself, or it encrypted with the board's NVS keys.

    Raises:
        CheckFailed: the board has keys that nobody knows.
        ConfigError: keys would have to go through the cipher of the board's flash.
        DeviceError: the board cannot be read.
    """
    place = find_nvs_keys(partitions)
    is_on = FLASH_ENCRYPTION in facts.secured
    stored = None if place is None else board.read(place.offset, place.size)
    evcfg = board.read(plain.offset, len(plain.data)) if is_on else None
    cipher = encryption.cipher(facts)
    seen = EvcfgBoard(facts.chip.mac, partitions, is_on, stored, evcfg, cipher)
    planned = plan_evcfg(entries, seen, encryption.keys, encryption.new_keys)
    if any(part.encrypt for part in planned.parts):
        # A run proves what it writes, and of ciphertext that nobody else can make it cannot.
        raise ConfigError(
            f"the flash of {facts.chip.mac} is encrypted, and its NVS keys are not in it yet; "
            "a run cannot prove that they arrive",
            fix="`evtool provision security apply` writes them; then run this again",
        )
    # As it was sealed: another version of evtool may lay the same entries out differently.
    return planned if planned.encrypted else EvcfgWrite(plain, None, False, planned.notes)


def sealed_name(image_sha256: str) -> str:
    """The name under which an image is sealed."""
    return f"image/{image_sha256}"


def identity_fields(order: UnitOrder, identity: Identity, plain: FlashPart) -> dict[str, object]:
    """What a record says of the identity and its image; no secret."""
    return {
        "charge_point": order.identity,
        "serial_number": order.charge_point.serial_number,
        "partition_offset": plain.offset,
        "image_sha256": plain.sha256,
        "sealed_image": sealed_name(plain.sha256),
        "csms_url": order.csms_url,
        "security_profile": order.security_profile,
    } | identity.certificate_fields()


def board_fields(
    facts: BoardFacts, firmware: Firmware | None, write: EvcfgWrite
) -> dict[str, object]:
    """What a record says of the board and of what else was written to it."""
    fields: dict[str, object] = {
        "chip": facts.chip.description,
        "evtool": __version__,
        "encrypted": write.encrypted,
    }
    if write.notes:
        fields["notes"] = list(write.notes)
    if firmware is not None:
        fields |= {"build_id": firmware.build_id, "firmware_sha256": firmware.sha256}
    return fields
