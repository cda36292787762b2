# SPDX-License-Identifier: GPL-3.0-or-later
"""The board's NVS partitions: what the application reads at its start and stores later.

On a real board the application reads flash itself. Here it is a program of the computer, so
the board reads for it (`nvs` lines, docs/host-program.md) and writes for it (`store` lines),
with the same operations on the flash as ESP-IDF's NVS: after each of them, and after none, a
reader finds the old value or the new one.
"""

from __future__ import annotations

from collections.abc import Sequence

from evtool.protocol import partition_table
from evtool.protocol.nvs import INTEGER_CODES, NvsEntry, parse_image
from evtool.protocol.nvs_page import INTEGERS, PAGE_SIZE
from evtool.protocol.nvs_store import FlashErase, NvsStore
from evtool.protocol.partition_table import Partition
from evtool.virtual.flash_chip import FlashChip

# Later ones win: what the firmware stored itself is newer than what the factory wrote.
PARTITIONS = ("evcfg", "nvs")
STATE_PARTITION = "nvs"
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
