# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers of a tar archive that any tar reads, always the same bytes for the same entry.

POSIX.1-1988 (ustar) with GNU's long names. No owner, no time. Python's tarfile writes what a
version of it happens to write; a reader that compares headers needs them fixed.
"""

from __future__ import annotations

BLOCK = 512
END = b"\0" * (2 * BLOCK)
_FILE, _LINK, _FOLDER, _LONG_NAME, _LONG_LINK = b"0", b"2", b"5", b"L", b"K"
_LONG = b"././@LongLink"
_LARGEST = 8**11 - 1


def file_header(name: str, size: int, mode: int) -> bytes:
    """The blocks before a file's content.

    Args:
        size: in bytes, below 8 GiB.
        mode: permission bits.

    Raises:
        ValueError: the size does not fit.
    """
    return _header(name, _FILE, mode, size)


def link_header(name: str, target: str) -> bytes:
    """The blocks of a symbolic link."""
    return _header(name, _LINK, 0o777, 0, target)


def folder_header(name: str) -> bytes:
    """The blocks of a folder."""
    return _header(name + "/", _FOLDER, 0o755, 0)


def padding(size: int) -> bytes:
    """What follows a content of `size` bytes up to the next block."""
    return b"\0" * (-size % BLOCK)


def file_size(header: bytes) -> int | None:
    """The size that a file's block names; None where it is no such block of ours."""
    try:
        size = int(header[124:135], 8)
        name = header[:100].rstrip(b"\0").decode()
        mode = int(header[100:107], 8)
    except ValueError:
        return None
    return size if header == file_header(name, size, mode) else None


def _header(name: str, kind: bytes, mode: int, size: int, target: str = "") -> bytes:
    raw, raw_target = name.encode(), target.encode()
    before = b""
    if len(raw_target) > 100:
        before += _long(_LONG_LINK, raw_target)
    if len(raw) > 100:
        before += _long(_LONG_NAME, raw)
    return before + _block(raw[:100], kind, mode, size, raw_target[:100])


def _long(kind: bytes, text: bytes) -> bytes:
    content = text + b"\0"
    return _block(_LONG, kind, 0, len(content), b"") + content + padding(len(content))


def _block(name: bytes, kind: bytes, mode: int, size: int, target: bytes) -> bytes:
    if not 0 <= size <= _LARGEST:
        raise ValueError(f"{size} bytes do not fit into a tar header")
    fields = [
        name.ljust(100, b"\0"),
        b"%07o\0" % mode,
        b"%07o\0" % 0,  # owner
        b"%07o\0" % 0,  # group
        b"%011o\0" % size,
        b"%011o\0" % 0,  # time
        b" " * 8,  # the checksum, counted as blanks
        kind,
        target.ljust(100, b"\0"),
        b"ustar  \0",
    ]
    block = b"".join(fields).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
