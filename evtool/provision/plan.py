# SPDX-License-Identifier: GPL-3.0-or-later
"""Provisioning, planned and then run: an identity into a board, and the proof that it took.

::

    read     partition table (and chip, MAC), and whether the board has keys for its NVS
    write    the NVS image to the partition evcfg found there; new keys before it
    compare  read back what was written; every byte must be equal
    boot     the board starts and says `[event] boot ... charge_point=<identity>`
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from evtool.errors import CheckFailed, ConfigError, DeviceError
from evtool.protocol import partition_table
from evtool.protocol.board_flash import FLASH_ENCRYPTION, ChipInfo, FlashPart, WriteProgress
from evtool.protocol.can_frame import Malformed
from evtool.protocol.flash_cipher import FlashCipher, host_cipher
from evtool.protocol.nvs import NvsEntry
from evtool.protocol.nvs_encryption import NvsKeys
from evtool.protocol.partition_table import Partition, find_nvs_keys
from evtool.provision.boot_proof import BootConsole, wait_for_boot
from evtool.provision.evcfg import evcfg_image, find_evcfg
from evtool.provision.evcfg_encryption import EvcfgBoard, KeptNvsKeys, plan_evcfg

STEPS = ("read", "write", "compare", "boot")
IN_BOARD = "the board's partition table"


class BoardFlash(Protocol):
    """The flash of one board; `evtool.link.esptool.Esptool` is one."""

    def read(self, offset: int, size: int) -> tuple[bytes, ChipInfo]:
        """Bytes of flash, and the chip that gave them."""

    def write(
        self,
        parts: Sequence[FlashPart],
        on_progress: Callable[[WriteProgress], None] | None = None,
        *,
        ciphertext: bool = False,
    ) -> ChipInfo:
        """Write parts; `ciphertext`: they are what an encrypted flash must hold."""

    def read_secured(self) -> tuple[str, ...]:
        """Which of `board_flash.SECURITY` the chip's fuses have switched on."""


class BoardKeys(KeptNvsKeys, Protocol):
    """What is kept of the keys of boards."""

    def flash_key(self, mac: str) -> bytes | None:
        """The key of a board's encrypted flash, where it is known."""


@dataclass(frozen=True, slots=True)
class Encryption:
    """How evcfg may be encrypted; the board says whether it must be.

    Attributes:
        generate: makes NVS keys with the operating system's generator.
        wanted: encrypt it on a board without flash encryption too.
        replace_keys: new keys where those in the board cannot be known.
    """

    keys: BoardKeys
    generate: Callable[[], NvsKeys]
    wanted: bool = False
    replace_keys: bool = False


@dataclass(frozen=True, slots=True)
class ProvisionPlan:
    """What is to be done to one board.

    Attributes:
        identity: what the board must say of itself at the end.
        entries: the keys for its partition.
        boot_timeout_ms: how long it may take to say so; None leaves the proof out.
        encryption: of evcfg, with the keys of boards; None in a plan that is only shown.
    """

    identity: str
    entries: tuple[NvsEntry, ...]
    boot_timeout_ms: int | None
    encryption: Encryption | None = None

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps, in order."""
        return STEPS if self.boot_timeout_ms is not None else STEPS[:-1]


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What was done.

    Attributes:
        image_sha256: of the partition's image before it was encrypted, hex.
        encrypted: whether it was.
        notes: sentences for people, about the keys.
        boot: the fields of the board's boot line; None where no proof was asked for.
        times_ms: how long each step took.
    """

    chip: ChipInfo
    partition: Partition
    image_sha256: str
    boot: dict[str, str] | None
    times_ms: dict[str, int]
    encrypted: bool = False
    notes: tuple[str, ...] = ()


def read_partitions(board: BoardFlash) -> tuple[tuple[Partition, ...], ChipInfo]:
    """The partition table in the board's flash.

    Raises:
        DeviceError: there is none, or it is damaged.
    """
    data, chip = board.read(partition_table.TABLE_OFFSET, partition_table.TABLE_SIZE)
    return decoded_table(data), chip


def decoded_table(data: bytes) -> tuple[Partition, ...]:
    """The partition table in `data`, read at TABLE_OFFSET of a board's flash.

    Raises:
        DeviceError: there is none, or it is damaged.
    """
    table = partition_table.decode(data)
    if isinstance(table, Malformed) or not table:
        reason = table.reason if isinstance(table, Malformed) else "it is empty"
        raise DeviceError(
            f"the board has no partition table at {partition_table.TABLE_OFFSET:#x} ({reason})",
            fix="flash the firmware first: `evtool flash`",
        )
    return table


def run_plan(
    plan: ProvisionPlan,
    board: BoardFlash,
    open_console: Callable[[], BootConsole],
    now_ms: Callable[[], int],
    on_step: Callable[[str], None],
    on_board: Callable[[ChipInfo], None],
    on_written: Callable[[Provisioned], None],
) -> Provisioned:
    """Do what the plan says.

    Args:
        board: its flash.
        open_console: opens the board's console, once its flash is done with.
        now_ms: a clock that only goes forward.
        on_step: told about each step as it begins.
        on_board: told which board it is, before its flash is written; may refuse it.
        on_written: told when the flash holds the identity, before the proof: from here on
            the board is a different one, whatever follows.

    Raises:
        ConfigError: the board's partition table has no place for an identity.
        CheckFailed: what was read back differs, or the board says another identity.
        LinkTimeout: it says none in time.
        DeviceError: cable, port, board.
    """
    times: dict[str, int] = {}
    began = now_ms()

    def finish(step: str) -> None:
        nonlocal began
        times[step] = now_ms() - began
        began = now_ms()

    encryption = plan.encryption
    if encryption is None:
        raise ValueError("this plan was made to be shown")
    on_step("read")
    seen, chip = read_board(board, encryption)
    partition = find_evcfg(seen.partitions, IN_BOARD)
    sha256 = plan_part(plan, partition).sha256
    finish("read")
    on_board(chip)

    on_step("write")
    write = plan_evcfg(
        plan.entries,
        seen,
        encryption.keys,
        encryption.generate,
        encrypt=encryption.wanted,
        replace_keys=encryption.replace_keys,
    )
    board.write(write.parts, ciphertext=seen.flash_encryption)
    finish("write")

    on_step("compare")
    for part in write.parts:
        stored, second_chip = board.read(part.offset, len(part.data))
        compare(part, stored)
        if second_chip.mac != chip.mac:
            raise DeviceError(
                f"the board was changed in between: {chip.mac} is now {second_chip.mac}",
                fix="leave the board connected, and run the command again",
            )
    finish("compare")
    written = Provisioned(chip, partition, sha256, None, dict(times), write.encrypted, write.notes)
    on_written(written)

    if plan.boot_timeout_ms is None:
        return written
    on_step("boot")
    with open_console() as console:
        boot = wait_for_boot(console, plan.identity, plan.boot_timeout_ms, now_ms)
    finish("boot")
    return replace(written, boot=boot, times_ms=times)


def read_board(board: BoardFlash, encryption: Encryption) -> tuple[EvcfgBoard, ChipInfo]:
    """What must be known of a board before its identity can be written.

    A table in clear starts no encrypted board, so the fuses are asked only where it is not.

    Raises:
        DeviceError: the board has no partition table.
        ConfigError: its flash is encrypted with a key that nobody here knows.
    """
    data, chip = board.read(partition_table.TABLE_OFFSET, partition_table.TABLE_SIZE)
    cipher = None
    if isinstance(partition_table.decode(data), Malformed):
        cipher = _cipher(board, chip, encryption)
        if cipher is not None:
            data = cipher.decrypt(partition_table.TABLE_OFFSET, data)
    partitions = decoded_table(data)
    place, evcfg = find_nvs_keys(partitions), find_evcfg(partitions, IN_BOARD)
    stored = None if place is None else board.read(place.offset, place.size)[0]
    held = None if cipher is None else board.read(evcfg.offset, evcfg.size)[0]
    return EvcfgBoard(chip.mac, partitions, cipher is not None, stored, held, cipher), chip


def _cipher(board: BoardFlash, chip: ChipInfo, encryption: Encryption) -> FlashCipher | None:
    """The cipher of the board's flash; None where it has none."""
    if FLASH_ENCRYPTION not in board.read_secured():
        return None
    key = encryption.keys.flash_key(chip.mac)
    if key is None:
        raise ConfigError(
            f"the flash of {chip.mac} is encrypted, and its key is not in the ledger",
            fix="use the ledger of the station that secured it, and its sealing key",
        )
    return host_cipher(chip.chip, key)


def plan_part(plan: ProvisionPlan, partition: Partition) -> FlashPart:
    """The image for `partition`, in clear.

    Raises:
        ConfigError: the identity does not fit.
    """
    image = evcfg_image(list(plan.entries), partition)
    return FlashPart(partition.name, partition.offset, image, secret=True)


def compare(part: FlashPart, stored: bytes) -> None:
    """CheckFailed where `stored` is not what was written; names the place, not the bytes."""
    if stored == part.data:
        return
    pairs = enumerate(zip(part.data, stored, strict=False))
    first = next((at for at, (ours, theirs) in pairs if ours != theirs), len(stored))
    count = sum(ours != theirs for ours, theirs in zip(part.data, stored, strict=False))
    raise CheckFailed(
        f"{part.name}: {count} of {len(part.data)} bytes read back differ, "
        f"the first at {part.offset + first:#x}",
        fix="run the command again; if it stays so, the flash chip is worn or protected",
    )
