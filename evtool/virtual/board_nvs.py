# SPDX-License-Identifier: GPL-3.0-or-later
"""The board's NVS partitions: what the application reads at its start and stores later.

On a real board the application reads flash itself. Here it is a program of the computer, so
the board reads for it (`nvs` lines, docs/host-program.md) and writes for it (`store` lines),
with the same operations on the flash as ESP-IDF's NVS: after each of them, and after none, a
reader finds the old value or the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evtool.protocol import partition_table
from evtool.protocol.nvs import INTEGER_CODES, NvsEntry, parse_image
from evtool.protocol.nvs_page import INTEGERS, PAGE_SIZE
from evtool.protocol.nvs_store import FlashErase, NvsStore
from evtool.protocol.partition_table import Partition
from evtool.virtual.flash_chip import FlashChip

# Later ones win: what the firmware stored itself is newer than what the factory wrote.
IDENTITY = "evcfg"
PARTITIONS = (IDENTITY, "nvs")
STATE_PARTITION = "nvs"
STORAGE_PARTITION = "storage"
_STORAGE_MARK = b"evtool storage "
_STORAGE_NAME_BYTES = 8
STATE_NAMESPACE = "evstate"


def application_lines(
    flash: FlashChip, partitions: Sequence[Partition], reset_reason: str
) -> tuple[str, ...]:
    """What the application is told before it starts: every key, then `boot`.

    The lines hold the unit's secrets.
    """
    lines = []
    for name in PARTITIONS:
        partition = partition_table.find(partitions, name)
        if partition is None:
            continue
        # Kinds that the program has no word for are not the firmware's.
        for entry in parse_image(flash.read(partition.offset, partition.size)).entries:
            if entry.kind in {"u8", "u16", "u32", "u64", "str", "blob"}:
                lines.append(nvs_line(entry))
    lines.append(f"boot reset={reset_reason}")
    return tuple(lines)


def identity(flash: FlashChip, partitions: Sequence[Partition]) -> dict[str, int | str | bytes]:
    """The unit's identity by key; empty where none was written."""
    partition = partition_table.find(partitions, IDENTITY)
    if partition is None:
        return {}
    entries = parse_image(flash.read(partition.offset, partition.size)).entries
    return {entry.key: entry.value for entry in entries if entry.namespace == IDENTITY}


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
