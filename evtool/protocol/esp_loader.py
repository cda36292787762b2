# SPDX-License-Identifier: GPL-3.0-or-later
"""The ESP32's serial loader protocol: requests and responses inside SLIP frames.

A request is ``00 op length16 checksum32 data``, a response ``01 op length16 value32 data
status``, little-endian. The ROM's status has four bytes, the stub's two; a first byte other
than zero means failure. Source: Espressif's "Serial Protocol" page.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from evtool.protocol.can_frame import Malformed

HEADER = struct.Struct("<BBHI")
BLOCK_HEADER = struct.Struct("<IIII")
CHECKSUM_SEED = 0xEF
SYNC_WORD = 0x20120707
SYNC_DATA = struct.pack("<I", SYNC_WORD) + b"\x55" * 32


class Op(IntEnum):
    """Command codes. From 0xD0 on they are the stub's alone."""

    FLASH_BEGIN = 0x02
    FLASH_DATA = 0x03
    FLASH_END = 0x04
    MEM_BEGIN = 0x05
    MEM_END = 0x06
    MEM_DATA = 0x07
    SYNC = 0x08
    WRITE_REG = 0x09
    READ_REG = 0x0A
    SPI_SET_PARAMS = 0x0B
    SPI_ATTACH = 0x0D
    READ_FLASH_SLOW = 0x0E
    CHANGE_BAUDRATE = 0x0F
    FLASH_DEFL_BEGIN = 0x10
    FLASH_DEFL_DATA = 0x11
    FLASH_DEFL_END = 0x12
    SPI_FLASH_MD5 = 0x13
    GET_SECURITY_INFO = 0x14
    ERASE_FLASH = 0xD0
    ERASE_REGION = 0xD1
    READ_FLASH = 0xD2
    RUN_USER_CODE = 0xD3
    FLASH_ENCRYPT_DATA = 0xD4


class Failure(IntEnum):
    """Second status byte of a failure; the stub's own codes start at 0xC0."""

    INVALID_MESSAGE = 0x05
    FAILED = 0x06
    BAD_CHECKSUM = 0x07
    FLASH_WRITE = 0x08
    FLASH_READ = 0x09
    READ_LENGTH = 0x0A
    DEFLATE = 0x0B
    STUB_BAD_LENGTH = 0xC0
    STUB_BAD_CHECKSUM = 0xC1
    STUB_NOT_IN_FLASH_MODE = 0xC6
    STUB_INFLATE = 0xC7
    STUB_NOT_ENOUGH_DATA = 0xC8
    STUB_TOO_MUCH_DATA = 0xC9
    STUB_UNKNOWN = 0xFF


@dataclass(frozen=True, slots=True)
class Request:
    """One command from the host; `op` may be a code that `Op` does not know."""

    op: int
    data: bytes
    checksum: int = 0

    def words(self, count: int) -> tuple[int, ...] | None:
        """The first `count` 32-bit words of the data, or None where there are fewer."""
        if len(self.data) < 4 * count:
            return None
        return struct.unpack_from(f"<{count}I", self.data)


def decode_request(frame: bytes) -> Request | Malformed:
    """The request in one SLIP frame's payload."""
    if len(frame) < HEADER.size:
        return Malformed(f"{len(frame)} bytes are too few for a request")
    direction, op, length, checksum = HEADER.unpack_from(frame)
    data = frame[HEADER.size :]
    if direction != 0:
        return Malformed(f"direction {direction:#04x} is not a request's")
    if length != len(data):
        return Malformed(f"length says {length}, the frame holds {len(data)}")
    return Request(op, data, checksum)


def encode_response(op: int, *, value: int = 0, data: bytes = b"", status: bytes) -> bytes:
    """The payload of a response frame: `data`, then the status bytes."""
    body = data + status
    return HEADER.pack(1, op, len(body), value & 0xFFFFFFFF) + body


def is_sync(frame: bytes) -> bool:
    """Whether this frame is the SYNC with which a host looks for a loader."""
    request = decode_request(frame)
    return isinstance(request, Request) and request.op == Op.SYNC and request.data == SYNC_DATA


def block_checksum(data: bytes) -> int:
    """XOR of all bytes with the seed, as the ``*_DATA`` commands carry it."""
    # Folded in halves: a big-integer XOR is far quicker than a loop over bytes.
    width = 1 << max(len(data) - 1, 0).bit_length()
    folded = int.from_bytes(data, "big")
    while width > 1:
        width //= 2
        folded = (folded >> (8 * width)) ^ (folded & ((1 << (8 * width)) - 1))
    return folded ^ CHECKSUM_SEED
