# SPDX-License-Identifier: GPL-3.0-or-later
"""The ESP32 image container: what stands at 0x1000 and in an app partition.

::

    header 8      magic E9, segment count, SPI mode, speed | size << 4, entry address
    extended 16   WP pin, drive strengths, chip id, chip revisions, 4 reserved, hash appended
    segments      load address, length, data (a multiple of 4)
    zeros, then one byte of checksum: the image is a multiple of 16 so far
    SHA-256 of all that, if the header says so

An application's first segment begins with the app description, 256 bytes from the magic
0xABCD5432 on. Source: Espressif's "App Image Format"; the reasons of `Malformed` are what
ESP-IDF's boot loader prints.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace
from functools import reduce
from operator import xor

from evtool.protocol.can_frame import Malformed

MAGIC = 0xE9
CHIP_ID_ESP32, CHIP_ID_ESP32C3, CHIP_ID_ESP32S3 = 0, 5, 9
# What each chip's flash cache maps (DROM, IROM), 64 KiB page by page.
_MAPPED = {
    CHIP_ID_ESP32: (range(0x3F400000, 0x3F800000), range(0x400D0000, 0x40400000)),
    CHIP_ID_ESP32C3: (range(0x3C000000, 0x3C800000), range(0x42000000, 0x42800000)),
    CHIP_ID_ESP32S3: (range(0x3C000000, 0x3D000000), range(0x42000000, 0x44000000)),
}
ANY_REVISION = 0xFFFF
MAX_SEGMENTS = 16
HEADER_SIZE = 24
HASH_SIZE = 32
DESCRIPTION_MAGIC = 0xABCD5432
DESCRIPTION_SIZE = 256
DESCRIPTION_OFFSET = 32  # behind the header and that of the first segment

FLASH_MODES = {"qio": 0, "qout": 1, "dio": 2, "dout": 3}
FLASH_FREQUENCIES = {"40m": 0x0, "26m": 0x1, "20m": 0x2, "80m": 0xF}
FLASH_SIZES = {"1MB": 0, "2MB": 1, "4MB": 2, "8MB": 3, "16MB": 4, "32MB": 5}

_HEADER = struct.Struct("<BBBBI")
_EXTENDED = struct.Struct("<B3sHBHH4sB")
_SEGMENT = struct.Struct("<II")
_DESCRIPTION = struct.Struct("<II8x32s32s16s16s32s32s80x")
_ELF_SHA256_AT = 144  # within the description
_SEED = 0xEF
_LENGTH_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Segment:
    """`data` (a multiple of 4 bytes) and the address where it belongs in memory."""

    address: int
    data: bytes


@dataclass(frozen=True, slots=True)
class AppImage:
    """An image; the fields from `wp_pin` on seldom differ from their defaults.

    Attributes:
        entry: address of the first instruction.
        flash_mode, flash_frequency, flash_size: the header's codes (see `FLASH_MODES`...).
        reserved: the four bytes that have no meaning yet.
    """

    entry: int
    segments: tuple[Segment, ...]
    flash_mode: int = FLASH_MODES["dio"]
    flash_frequency: int = FLASH_FREQUENCIES["40m"]
    flash_size: int = FLASH_SIZES["4MB"]
    chip_id: int = CHIP_ID_ESP32
    wp_pin: int = 0xEE
    drive_strengths: bytes = bytes(3)
    min_revision: int = 0
    min_revision_full: int = 0
    max_revision_full: int = 0xFFFF
    reserved: bytes = bytes(4)
    hash_appended: bool = True


@dataclass(frozen=True, slots=True)
class AppDescription:
    """What an application says about itself; texts of at most 31 bytes (15: time, date)."""

    version: str
    project_name: str
    time: str = ""
    date: str = ""
    idf_version: str = ""
    elf_sha256: bytes = bytes(HASH_SIZE)
    secure_version: int = 0


def encode(image: AppImage) -> bytes:
    """The image as it stands in flash, with checksum and hash.

    Raises:
        ValueError: too many segments, or data that is not a multiple of 4 bytes.
    """
    if len(image.segments) > MAX_SEGMENTS:
        raise ValueError(f"{len(image.segments)} segments; an image holds {MAX_SEGMENTS}")
    try:
        parts = [
            _HEADER.pack(
                MAGIC,
                len(image.segments),
                image.flash_mode,
                image.flash_frequency | image.flash_size << 4,
                image.entry,
            ),
            _EXTENDED.pack(
                image.wp_pin,
                image.drive_strengths,
                image.chip_id,
                image.min_revision,
                image.min_revision_full,
                image.max_revision_full,
                image.reserved,
                image.hash_appended,
            ),
        ]
        for segment in image.segments:
            if len(segment.data) % 4 or len(segment.data) >= _LENGTH_LIMIT:
                raise ValueError(
                    f"segment at {segment.address:#x}: {len(segment.data)} bytes; the length "
                    "must be a multiple of 4 below 16 MiB"
                )
            parts += [_SEGMENT.pack(segment.address, len(segment.data)), segment.data]
    except struct.error as error:
        raise ValueError(f"a field of the header does not fit: {error}") from error
    body = b"".join(parts)
    body += bytes(15 - len(body) % 16) + bytes([_checksum(image.segments)])
    return body + hashlib.sha256(body).digest() if image.hash_appended else body


def decode(data: bytes, *, offset: int = 0, chip_id: int = CHIP_ID_ESP32) -> AppImage | Malformed:
    """Read the image that `data` begins with; what stands behind it is left alone.

    Args:
        data: the image, or the whole of the partition that it stands in.
        offset: where in flash `data` begins, for the reasons and the mapped segments.
        chip_id: of the chip that reads it; an image for another one is refused.
    """
    problem = _header_problem(data, offset, chip_id)
    if problem is not None:
        return problem
    _, count, mode, speed_and_size, entry = _HEADER.unpack_from(data)
    pin, drive, _, revision, low, high, reserved, has_hash = _EXTENDED.unpack_from(data, 8)
    found = _decode_segments(data, count, offset, chip_id)
    if isinstance(found, Malformed):
        return found
    segments, position = found
    end = (position | 15) + 1
    whole = end + (HASH_SIZE if has_hash else 0)
    if whole > len(data):
        return _too_long(whole, len(data))
    calculated = _checksum(segments)
    if data[end - 1] != calculated:
        return Malformed(f"Checksum failed. Calculated {calculated:#x} read {data[end - 1]:#x}")
    if has_hash and hashlib.sha256(data[:end]).digest() != data[end:whole]:
        return Malformed("Image hash failed - image is corrupt")
    return AppImage(
        entry=entry,
        segments=segments,
        flash_mode=mode,
        flash_frequency=speed_and_size & 0xF,
        flash_size=speed_and_size >> 4,
        chip_id=chip_id,
        wp_pin=pin,
        drive_strengths=drive,
        min_revision=revision,
        min_revision_full=low,
        max_revision_full=high,
        reserved=reserved,
        hash_appended=bool(has_hash),
    )


def encoded_size(image: AppImage) -> int:
    """How many bytes of flash `image` takes."""
    body = HEADER_SIZE + sum(_SEGMENT.size + len(segment.data) for segment in image.segments)
    return (body | 15) + 1 + (HASH_SIZE if image.hash_appended else 0)


def encode_description(description: AppDescription) -> bytes:
    """The 256 bytes that an application's first segment begins with.

    Raises:
        ValueError: a text is too long for its field (and its NUL), or not ASCII.
    """
    return _DESCRIPTION.pack(
        DESCRIPTION_MAGIC,
        description.secure_version,
        _text(description.version, 32),
        _text(description.project_name, 32),
        _text(description.time, 16),
        _text(description.date, 16),
        _text(description.idf_version, 32),
        description.elf_sha256,
    )


def with_elf_sha256(data: bytes, digest: bytes) -> bytes:
    """An application whose description names the ELF file that it was made from.

    That is what `esptool elf2image --elf-sha256-offset` does, and what a panic and a core dump
    print. As it is where it names one already, has no description, or is no image that `encode`
    would make the same of.

    Args:
        data: the image.
        digest: SHA-256 of the ELF file.
    """
    image = decode(data)
    if isinstance(image, Malformed) or encode(image) != data:
        return data
    description = decode_description(image)
    if description is None or any(description.elf_sha256):
        return data
    first = image.segments[0]
    named = first.data[:_ELF_SHA256_AT] + digest + first.data[_ELF_SHA256_AT + len(digest) :]
    return encode(replace(image, segments=(Segment(first.address, named), *image.segments[1:])))


def decode_description(image: AppImage) -> AppDescription | None:
    """What the application says about itself, or None: it says nothing (a boot loader)."""
    if not image.segments or len(image.segments[0].data) < DESCRIPTION_SIZE:
        return None
    magic, secure_version, *texts, digest = _DESCRIPTION.unpack_from(image.segments[0].data)
    if magic != DESCRIPTION_MAGIC:
        return None
    version, name, time, date, idf_version = (
        text.split(b"\0", 1)[0].decode("ascii", "replace") for text in texts
    )
    return AppDescription(version, name, time, date, idf_version, digest, secure_version)


def _header_problem(data: bytes, offset: int, expected: int) -> Malformed | None:
    if len(data) < HEADER_SIZE or data[0] != MAGIC:
        return Malformed(f"image at {offset:#x} has invalid magic byte (nothing flashed here?)")
    _, _, chip_id, *_ = _EXTENDED.unpack_from(data, 8)
    if chip_id != expected:
        return Malformed(f"mismatch chip ID, expected {expected}, found {chip_id}")
    count = data[1]
    if count > MAX_SEGMENTS:
        return Malformed(f"image at {offset:#x} segment count {count} exceeds max {MAX_SEGMENTS}")
    return None


def _decode_segments(
    data: bytes, count: int, offset: int, chip_id: int
) -> tuple[tuple[Segment, ...], int] | Malformed:
    segments = []
    position = HEADER_SIZE
    for index in range(count):
        start = position + _SEGMENT.size
        if start > len(data):
            return _too_long(start, len(data))
        address, length = _SEGMENT.unpack_from(data, position)
        if length % 4 or length >= _LENGTH_LIMIT:
            return Malformed(f"invalid segment length {length:#x}")
        if _is_mapped(address, chip_id) and (offset + start - address) % 0x10000:
            return Malformed(
                f"Segment {index} load address {address:#010x}, "
                f"doesn't match data {offset + start:#010x}"
            )
        position = start + length
        if position > len(data):
            return _too_long(position, len(data))
        segments.append(Segment(address, data[start:position]))
    return tuple(segments), position


def _too_long(length: int, limit: int) -> Malformed:
    return Malformed(f"Image length {length} doesn't fit in partition length {limit}")


def _is_mapped(address: int, chip_id: int) -> bool:
    return any(address in mapped for mapped in _MAPPED.get(chip_id, ()))


def _checksum(segments: tuple[Segment, ...]) -> int:
    """The exclusive or of all data bytes and 0xEF, folded as wide integers for speed."""
    checksum = _SEED
    for segment in segments:
        width = len(segment.data)
        value = int.from_bytes(segment.data, "little")
        while width > 8:
            half = (width + 1) // 2
            value = (value >> 8 * half) ^ (value & (1 << 8 * half) - 1)
            width = half
        checksum ^= reduce(xor, value.to_bytes(8, "little"))
    return checksum


def _text(value: str, size: int) -> bytes:
    raw = value.encode("ascii")
    if len(raw) >= size:
        raise ValueError(f"{value!r} is longer than {size - 1} bytes")
    return raw


@dataclass(frozen=True, slots=True)
class ChipDemand:
    """Which chips an image is for.

    Attributes:
        chip_id: the family's number.
        min_revision, max_revision: 100 times the major number plus the minor one.
    """

    chip_id: int
    min_revision: int
    max_revision: int


def chip_demand(header: bytes) -> ChipDemand | None:
    """What an image's first `HEADER_SIZE` bytes demand; None where they are no header.

    Images of before ESP-IDF 4.4.4 know only one old number: the major one, but the minor one of
    an ESP32-C3.
    """
    if len(header) < HEADER_SIZE or header[0] != MAGIC or not 0 < header[1] <= MAX_SEGMENTS:
        return None
    _, _, chip_id, old, low, high, _, _ = _EXTENDED.unpack_from(header, _HEADER.size)
    if high == 0 or (high == ANY_REVISION and low == 0):
        low, high = old if chip_id == CHIP_ID_ESP32C3 else old * 100, ANY_REVISION
    return ChipDemand(chip_id, low, high)
