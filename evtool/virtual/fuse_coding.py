# SPDX-License-Identifier: GPL-3.0-or-later
"""The codes with which blocks of fuses guard their bits.

3/4 (ESP32): 24 bytes become four groups of 8: six data bytes, their exclusive or, and the sum
of (position from 1) times (number of ones). Reed-Solomon (later chips): 32 data bytes and 12
check bytes, which mend up to six of them. Source: Technical Reference Manuals, "eFuse
Controller".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from operator import xor

from reedsolo import ReedSolomonError, RSCodec

RS_DATA, RS_CHECK = 32, 12
_GROUP, _GROUP_DATA = 8, 6
_CODEC = RSCodec(RS_CHECK)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a block reads as.

    Attributes:
        data: its bytes; as they are where the code cannot mend them.
        errors: bytes that were mended.
        failed: the code is broken beyond mending.
    """

    data: bytes
    errors: int = 0
    failed: bool = False


def _check(data: bytes) -> bytes:
    exclusive = 0
    for byte in data:
        exclusive = xor(exclusive, byte)
    weighted = sum((index + 1) * byte.bit_count() for index, byte in enumerate(data))
    return bytes([exclusive, weighted & 0xFF])


def encode_three_quarters(data: bytes) -> bytes:
    """24 bytes as the 32 of a block.

    Raises:
        ValueError: not 24 bytes.
    """
    if len(data) != 24:
        raise ValueError(f"{len(data)} bytes; the 3/4 code takes 24")
    groups = (data[start : start + _GROUP_DATA] for start in range(0, 24, _GROUP_DATA))
    return b"".join(group + _check(group) for group in groups)


def decode_three_quarters(raw: bytes) -> Decoded:
    """The 24 bytes in a block's 32; each group that does not match counts as an error."""
    groups = [raw[start : start + _GROUP] for start in range(0, len(raw), _GROUP)]
    wrong = sum(_check(group[:_GROUP_DATA]) != group[_GROUP_DATA:] for group in groups)
    return Decoded(b"".join(group[:_GROUP_DATA] for group in groups), wrong, failed=wrong > 0)


@lru_cache(maxsize=512)
def encode_reed_solomon(data: bytes) -> bytes:
    """32 bytes and their 12 check bytes.

    Raises:
        ValueError: not 32 bytes.
    """
    if len(data) != RS_DATA:
        raise ValueError(f"{len(data)} bytes; a block holds {RS_DATA}")
    return bytes(_CODEC.encode(data))


def decode_reed_solomon(raw: bytes) -> Decoded:
    """The 32 bytes in a block's 44, mended where that is possible."""
    data = raw[:RS_DATA]
    if encode_reed_solomon(data) == raw:
        return Decoded(data)
    return _mend(raw)


@lru_cache(maxsize=64)
def _mend(raw: bytes) -> Decoded:
    try:
        _, whole, errata = _CODEC.decode(raw)
    except ReedSolomonError:
        return Decoded(raw[:RS_DATA], errors=0, failed=True)
    return Decoded(bytes(whole)[:RS_DATA], errors=len(errata))
