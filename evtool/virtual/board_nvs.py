# SPDX-License-Identifier: GPL-3.0-or-later
"""The board's NVS partitions: what the application reads at its start and stores later.

On a real board the application reads flash itself. Here it is a program of the computer, so
the board reads for it (`nvs` lines, docs/host-program.md) and writes for it (`store` lines),
with the same operations on the flash as ESP-IDF's NVS: after each of them, and after none, a
reader finds the old value or the new one.

The identity is read by the firmware's rules (firmware/src/factory_flash.cpp): encrypted exactly
where the partition nvs_keys holds something, and in whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from evtool.protocol import partition_table
from evtool.protocol.can_frame import Malformed
from evtool.protocol.nvs import INTEGER_CODES, NvsEntry, is_sound, parse_image
from evtool.protocol.nvs_encryption import (
    KEY_RECORD,
    NvsKeys,
    decode_key_record,
    decrypt_image,
)
from evtool.protocol.nvs_page import INTEGERS, PAGE_SIZE
from evtool.protocol.nvs_store import FlashErase, NvsStore
from evtool.protocol.partition_table import Partition
from evtool.virtual.flash_chip import FlashChip

IDENTITY = "evcfg"
STATE_PARTITION = "nvs"
_KINDS = {"u8", "u16", "u32", "u64", "str", "blob"}
STORAGE_PARTITION = "storage"
_STORAGE_MARK = b"evtool storage "
_STORAGE_NAME_BYTES = 8
STATE_NAMESPACE = "evstate"


class ClearFlash(Protocol):
    """Flash as the processor sees it through the cache."""

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, decrypted where flash encryption is on."""


@dataclass(frozen=True, slots=True)
class FactoryData:
    """What the partition evcfg holds.

    Attributes:
        readable: False where it is damaged, or its keys do not open it: then it holds nothing.
        encrypted: whether keys were used.
    """

    entries: tuple[NvsEntry, ...] = field(default=(), repr=False)
    readable: bool = True
    encrypted: bool = False

    @property
    def identity(self) -> dict[str, int | str | bytes]:
        """The unit's identity by key; empty where none was written."""
        return {entry.key: entry.value for entry in self.entries if entry.namespace == IDENTITY}


def factory_data(
    flash: FlashChip, clear: ClearFlash, partitions: Sequence[Partition]
) -> FactoryData:
    """What the firmware reads of evcfg.

    Args:
        flash: as it stands; evcfg never goes through the flash's own cipher.
        clear: the same, as the cache shows it.
        partitions: the table.
    """
    partition = partition_table.find(partitions, IDENTITY)
    if partition is None:
        return FactoryData()
    image = flash.read(partition.offset, partition.size)
    keys = _factory_keys(flash, clear, partitions)
    if isinstance(keys, NvsKeys):
        image = decrypt_image(image, keys)
    if isinstance(keys, Malformed) or not is_sound(image):
        return FactoryData(readable=False, encrypted=keys is not None)
    return FactoryData(parse_image(image).entries, encrypted=keys is not None)


def _factory_keys(
    flash: FlashChip, clear: ClearFlash, partitions: Sequence[Partition]
) -> NvsKeys | Malformed | None:
    place = partition_table.find_nvs_keys(partitions)
    if place is None or not flash.read(place.offset, KEY_RECORD).strip(b"\xff"):
        # Blank as it stands: with flash encryption on, a blank partition does not read as blank.
        return None
    return decode_key_record(clear.read(place.offset, KEY_RECORD))


def application_lines(
    flash: FlashChip,
    partitions: Sequence[Partition],
    factory: Sequence[NvsEntry],
    reset_reason: str,
) -> tuple[str, ...]:
    """What the application is told before it starts: every key, then `boot`.

    Args:
        factory: what evcfg holds. What the firmware stored itself comes after it: it is newer.

    The lines hold the unit's secrets.
    """
    entries = list(factory)
    state = partition_table.find(partitions, STATE_PARTITION)
    if state is not None:
        entries += parse_image(flash.read(state.offset, state.size)).entries
    # Kinds that the program has no word for are not the firmware's.
    lines = [nvs_line(entry) for entry in entries if entry.kind in _KINDS]
    return (*lines, f"boot reset={reset_reason}")


def nvs_line(entry: NvsEntry) -> str:
    """`nvs <namespace> <key> <type> <hex>`; `-` for no bytes at all."""
    if isinstance(entry.value, int):
        size, signed = INTEGERS[INTEGER_CODES[entry.kind]]
        data = entry.value.to_bytes(size, "little", signed=signed)
    else:
        data = entry.value.encode() if isinstance(entry.value, str) else entry.value
    return f"nvs {entry.namespace} {entry.key} {entry.kind} {data.hex() or '-'}"


def store_value(
    flash: FlashChip, partitions: Sequence[Partition], key: str, value: int
) -> str | None:
    """Store a u64 in the application's own namespace; what went wrong, or None."""
    partition = partition_table.find(partitions, STATE_PARTITION)
    if partition is None:
        return f"there is no partition {STATE_PARTITION}"
    try:
        store = NvsStore(flash.read(partition.offset, partition.size))
        operations = store.set(STATE_NAMESPACE, key, "u64", value)
    except ValueError as error:
        return str(error)
    for operation in operations:
        offset = partition.offset + operation.offset
        if isinstance(operation, FlashErase):
            flash.erase(offset, PAGE_SIZE)
        else:
            flash.program(offset, operation.data)
    return None


def storage_name(
    flash: FlashChip, partitions: Sequence[Partition], random_bytes: Callable[[int], bytes]
) -> str | None:
    """The name of the file system in the partition `storage`, or None: no such partition.

    The files themselves are kept outside the flash. A mark in the partition ties them to it:
    whoever erases or overwrites the mark has lost the files.
    """
    partition = partition_table.find(partitions, STORAGE_PARTITION)
    if partition is None:
        return None
    length = len(_STORAGE_MARK) + _STORAGE_NAME_BYTES
    found = flash.read(partition.offset, length)
    if found.startswith(_STORAGE_MARK):
        return found[len(_STORAGE_MARK) :].hex()
    flash.erase(partition.offset, length)
    name = random_bytes(_STORAGE_NAME_BYTES)
    # The name first: cut short before the mark, it counts for nothing.
    flash.program(partition.offset + len(_STORAGE_MARK), name)
    flash.program(partition.offset, _STORAGE_MARK)
    return name.hex()
