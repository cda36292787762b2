# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundle archives: a tar, compressed with xz, written and read a piece at a time.

The manifest comes first and is the only thing that is parsed. Every other header is compared
with the one that the manifest's entry must have, so an archive can hold nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import lzma
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from evtool.errors import CheckFailed, EvtoolError
from evtool.link.files import replacing
from evtool.protocol import bundle_manifest as manifests
from evtool.protocol.bundle_manifest import BundleRule, Entry, Manifest
from evtool.protocol.tar_block import (
    BLOCK,
    END,
    file_header,
    file_size,
    folder_header,
    link_header,
    padding,
)

PIECE = 1 << 18
# Four times as fast as xz's own default, and a tenth larger on compilers and headers.
_PRESET = 1
# What decompression may take; xz -9 takes 65 MiB.
_MEMORY = 100 << 20

OnBytes = Callable[[str, int], None]
"""Called with the entry's path and the bytes of it that were just dealt with."""


def hash_files(
    entries: tuple[Entry, ...], sources: Mapping[str, Path], on_bytes: OnBytes
) -> tuple[Entry, ...]:
    """The entries with size and SHA-256 of the files that they stand for."""
    return tuple(
        entry
        if entry.link is not None or entry.is_folder
        else _hashed(entry, sources[entry.path], on_bytes)
        for entry in entries
    )


def _hashed(entry: Entry, source: Path, on_bytes: OnBytes) -> Entry:
    digest = hashlib.sha256()
    size = 0
    with source.open("rb") as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
            size += len(piece)
            on_bytes(entry.path, len(piece))
    return replace(entry, size=size, sha256=digest.hexdigest())


def write_archive(
    path: Path, manifest: Manifest, sources: Mapping[str, Path], on_bytes: OnBytes
) -> bytes:
    """Write the archive under another name, flush it, and rename it.

    Args:
        sources: the file behind each entry that is one.

    Returns:
        The manifest as written.

    Raises:
        BundleRule: the manifest breaks a rule.
        EvtoolError: a file changed meanwhile, or the file system refused.
    """
    text = manifests.encode(manifest)
    try:
        with (
            replacing(path, 0o644) as stream,
            lzma.open(stream, "wb", preset=_PRESET) as packed,
        ):
            packed.write(file_header(manifests.NAME, len(text), 0o644))
            packed.write(text + padding(len(text)))
            for entry in manifest.entries:
                _write_entry(packed, entry, sources, on_bytes)
            packed.write(END)
    except OSError as error:
        raise EvtoolError(
            f"cannot write {path}: {error.strerror or error}"
            + (f" ({error.filename})" if error.filename else ""),
            fix="check free space and permissions of the folder",
        ) from error
    return text


def _write_entry(
    packed: lzma.LZMAFile, entry: Entry, sources: Mapping[str, Path], on_bytes: OnBytes
) -> None:
    packed.write(_header(entry))
    if entry.link is not None or entry.is_folder:
        return
    digest = hashlib.sha256()
    left = entry.size
    with sources[entry.path].open("rb") as stream:
        while piece := stream.read(min(PIECE, left + 1)):
            digest.update(piece)
            left -= len(piece)
            if left < 0:
                break
            packed.write(piece)
            on_bytes(entry.path, len(piece))
    if left or digest.hexdigest() != entry.sha256:
        raise EvtoolError(
            f"{sources[entry.path]} changed while it was read",
            fix="wait until nothing installs or builds any more, and create the bundle again",
        )
    packed.write(padding(entry.size))


def _header(entry: Entry) -> bytes:
    if entry.link is not None:
        return link_header(entry.path, entry.link)
    if entry.is_folder:
        return folder_header(entry.path)
    return file_header(entry.path, entry.size, entry.mode)


class BundleArchive:
    """An archive that is read from its beginning to its end.

    Attributes:
        manifest, manifest_bytes: its first file, which kept every rule.

    Raises:
        CheckFailed: it is no bundle; names the file in it and the rule.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as stream:
            self.manifest_bytes = self._first(stream)
        try:
            self.manifest = manifests.decode(self.manifest_bytes)
        except BundleRule as rule:
            raise self._refuse(rule.entry, rule.rule) from rule
        self.id = manifests.bundle_id(self.manifest_bytes)

    def entries(self) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        """Every entry with its content in pieces, which must be taken before the next entry.

        A content is known to be right only when its iterator has ended.

        Raises:
            CheckFailed: the archive is not what its manifest says, or is cut off or damaged.
        """
        with self._open() as stream:
            if self._first(stream) != self.manifest_bytes:
                raise self._refuse(manifests.NAME, "the archive changed while it was read")
            for entry in self.manifest.entries:
                expected = _header(entry)
                if stream.read(len(expected), entry.path) != expected:
                    raise self._refuse(entry.path, "not what the manifest says")
                yield entry, self._content(stream, entry)
            if stream.read(len(END), "end") != END or stream.read(1, "end"):
                raise self._refuse("end", "the archive goes on after its last entry")

    def verify(self, on_bytes: OnBytes) -> None:
        """Read everything and hold it against the manifest.

        Raises:
            CheckFailed: it differs; names the entry and the rule.
        """
        for entry, pieces in self.entries():
            for piece in pieces:
                on_bytes(entry.path, len(piece))

    @contextlib.contextmanager
    def _open(self) -> Iterator[_XzStream]:
        with self.path.open("rb") as file:
            yield _XzStream(file, self._refuse)

    def _first(self, stream: _XzStream) -> bytes:
        size = file_size(stream.read(BLOCK, manifests.NAME))
        if size is None or size > manifests.LARGEST:
            raise self._refuse(manifests.NAME, "the archive does not begin with a manifest")
        data = stream.read(size, manifests.NAME)
        if stream.read(len(padding(size)), manifests.NAME) != padding(size):
            raise self._refuse(manifests.NAME, "what follows the manifest is not zero")
        return data

    def _content(self, stream: _XzStream, entry: Entry) -> Iterator[bytes]:
        digest = hashlib.sha256()
        left = entry.size
        while left:
            piece = stream.read(min(PIECE, left), entry.path)
            if not piece:
                raise self._refuse(entry.path, "the archive is cut off here")
            digest.update(piece)
            left -= len(piece)
            yield piece
        if entry.sha256 and digest.hexdigest() != entry.sha256:
            raise self._refuse(entry.path, "the content is not the one of the manifest (SHA-256)")
        if stream.read(len(padding(entry.size)), entry.path) != padding(entry.size):
            raise self._refuse(entry.path, "what follows the content is not zero")

    def _refuse(self, entry: str, rule: str) -> CheckFailed:
        return CheckFailed(
            f"{self.path}: {entry}: {rule}",
            fix="copy the bundle again from where it was made, or make it again: "
            "evtool bundle create",
        )


class _XzStream:
    """One xz stream and nothing behind it; `lzma.LZMAFile` would pass over what follows."""

    def __init__(self, file: BinaryIO, refuse: Callable[[str, str], CheckFailed]) -> None:
        self._file = file
        self._refuse = refuse
        self._unpack = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_MEMORY)
        self._is_empty = False

    def read(self, size: int, entry: str) -> bytes:
        """`size` bytes, or as many as there are."""
        pieces = []
        while size > 0:
            piece = self._some(size, entry)
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _some(self, size: int, entry: str) -> bytes:
        while not self._unpack.eof:
            data = b""
            if self._unpack.needs_input:
                data = self._file.read(PIECE)
                if not data:
                    raise self._refuse(entry, "the archive is cut off here")
            try:
                piece = self._unpack.decompress(data, size)
            except lzma.LZMAError as error:
                raise self._refuse(entry, f"the archive is damaged here: {error}") from error
            if piece:
                return piece
        if self._unpack.unused_data or self._file.read(1):
            raise self._refuse("end", "something follows the compressed archive")
        return b""
