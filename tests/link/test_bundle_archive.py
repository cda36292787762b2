# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle that is damaged, cut off or made by somebody else is refused, by file and rule."""

from __future__ import annotations

import hashlib
import lzma
import shutil
import subprocess
import tarfile
import tracemalloc
import zlib
from pathlib import Path

import pytest
from bundle_samples import make_bundle, nothing

from evtool.errors import CheckFailed, EvtoolError
from evtool.link.bundle_archive import BundleArchive, hash_files, write_archive
from evtool.link.bundle_store import BundleStore
from evtool.protocol.bundle_manifest import BundledPackage, Entry, Manifest
from evtool.protocol.tar_block import BLOCK, END, file_header, padding


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "a.bundle"
    make_bundle(path)
    return path


def verify(path: Path) -> None:
    BundleArchive(path).verify(nothing)


def test_the_same_content_gives_the_same_bytes(tmp_path: Path, bundle: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    make_bundle(tmp_path / "elsewhere/b.bundle")
    assert (tmp_path / "elsewhere/b.bundle").read_bytes() == bundle.read_bytes()
    assert not list(tmp_path.glob(".*")), "nothing is left of writing it"


def test_any_tar_reads_it(tmp_path: Path, bundle: Path) -> None:
    with tarfile.open(bundle, "r:xz") as tar:
        tar.extractall(tmp_path / "python", filter="data")
    assert (tmp_path / "python/tools/gcc/bin/g++").read_bytes()[:4] == b"\x7fELF"
    tar_program = shutil.which("tar")
    if tar_program is not None:
        done = subprocess.run([tar_program, "-tf", bundle], capture_output=True, check=False)
        assert done.stdout.splitlines()[0] == b"MANIFEST.json"


def test_every_byte_counts(tmp_path: Path, bundle: Path) -> None:
    """Each byte of the compressed file in turn; the check of xz or one of ours sees it."""
    whole, damaged = bundle.read_bytes(), tmp_path / "damaged"
    verify(bundle)
    for at in range(len(whole)):
        damaged.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises(CheckFailed):
            verify(damaged)


def test_every_byte_of_the_tar_counts(tmp_path: Path, bundle: Path) -> None:
    """The same where xz cannot tell: the tar is changed before it is compressed."""
    tar, damaged = lzma.decompress(bundle.read_bytes()), tmp_path / "damaged"
    archive = BundleArchive(bundle)
    manifest = range(BLOCK, BLOCK + len(archive.manifest_bytes))
    for at in range(0, len(tar), 7):
        changed = tar[:at] + bytes([tar[at] ^ 1]) + tar[at + 1 :]
        damaged.write_bytes(lzma.compress(changed, preset=0))
        try:
            verify(damaged)
        except CheckFailed:
            continue
        assert at in manifest, at
        assert BundleArchive(damaged).id != archive.id, "another text is another bundle"


def test_cut_off_anywhere(tmp_path: Path, bundle: Path) -> None:
    whole, damaged = bundle.read_bytes(), tmp_path / "damaged"
    for length in range(len(whole)):
        damaged.write_bytes(whole[:length])
        with pytest.raises(CheckFailed):
            verify(damaged)
    tar = lzma.decompress(whole)
    for length in range(0, len(tar), BLOCK // 2):
        damaged.write_bytes(lzma.compress(tar[:length], preset=0))
        with pytest.raises(CheckFailed):
            verify(damaged)


@pytest.mark.parametrize("more", [b"x", lzma.compress(b"more"), b"\0" * 4])
def test_nothing_may_follow(tmp_path: Path, bundle: Path, more: bytes) -> None:
    damaged = tmp_path / "damaged"
    damaged.write_bytes(bundle.read_bytes() + more)
    with pytest.raises(CheckFailed, match="follows the compressed archive"):
        verify(damaged)
    tar = lzma.decompress(bundle.read_bytes())
    extra = file_header("tools/gcc/extra", 1, 0o644) + b"x" + padding(1)
    for changed in (tar + b"\0", tar[: -len(END)] + extra + END):
        damaged.write_bytes(lzma.compress(changed, preset=0))
        with pytest.raises(CheckFailed, match="goes on after its last entry"):
            verify(damaged)


def test_a_changed_content_is_named(tmp_path: Path, bundle: Path) -> None:
    tar, damaged = lzma.decompress(bundle.read_bytes()), tmp_path / "damaged"
    damaged.write_bytes(lzma.compress(tar.replace(b"#pragma once", b"#pragma twic")))
    with pytest.raises(CheckFailed, match=r"libraries/lib/a\.h: the content is not the one"):
        verify(damaged)
    damaged.write_bytes(lzma.compress(tar.replace(b"tools/gcc/zero\0", b"tools/gcc/evil\0")))
    with pytest.raises(CheckFailed, match=r"tools/gcc/zero: not what the manifest says"):
        verify(damaged)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive at all",
        lzma.compress(b""),
        lzma.compress(b"\0" * 2000),
        lzma.compress(file_header("MANIFEST.json", 1 << 30, 0o644)),
        lzma.compress(file_header("other", 2, 0o644) + b"{}" + padding(2) + END),
        lzma.compress(file_header("MANIFEST.json", 2, 0o644) + b"{}" + padding(2) + END),
        lzma.compress(b"x", format=lzma.FORMAT_ALONE),
    ],
)
def test_what_is_no_bundle(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(CheckFailed) as caught:
        verify(tmp_path / "x")
    assert str(tmp_path / "x") in str(caught.value)
    assert "evtool bundle create" in str(caught.value.fix)


def test_what_would_take_too_much_memory_to_unpack(tmp_path: Path) -> None:
    data = bytearray(lzma.compress(b"x"))
    # The .xz format, 3.1 and 5.3.1: the block's header asks for a dictionary of 1 GiB.
    end = 12 + 4 * (data[12] + 1)
    assert data[14:16] == b"\x21\x01"
    data[16] = 36
    data[end - 4 : end] = zlib.crc32(data[12 : end - 4]).to_bytes(4, "little")
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(CheckFailed, match="Memory usage limit exceeded"):
        verify(tmp_path / "x")


def test_a_file_that_changes_while_it_is_packed(tmp_path: Path) -> None:
    source = tmp_path / "file"
    entry = Entry("tools/t/file", 3, 0o644, hashlib.sha256(b"abc").hexdigest())
    package = BundledPackage("tool", "t", "o", "1", "x", "tools/t")
    manifest = Manifest("1", "6", "esp32dev", None, None, (), (package,), (entry,))
    for now in (b"abd", b"ab", b"abcd" * 100_000):
        source.write_bytes(now)
        with pytest.raises(EvtoolError, match="changed while it was read"):
            write_archive(tmp_path / "b", manifest, {"tools/t/file": source}, nothing)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def _peak_memory(folder: Path, size: int) -> int:
    """Bytes at most, of packing and installing one file of `size` bytes."""
    folder.mkdir()
    source = folder / "large"
    with source.open("wb") as stream:
        stream.truncate(size)
    package = BundledPackage("tool", "t", "o", "1", "x", "tools/t")
    tracemalloc.start()
    try:
        (entry,) = hash_files((Entry("tools/t/large"),), {"tools/t/large": source}, nothing)
        manifest = Manifest("1", "6", "esp32dev", None, None, (), (package,), (entry,))
        write_archive(folder / "b", manifest, {"tools/t/large": source}, nothing)
        archive = BundleArchive(folder / "b")
        archive.verify(nothing)
        BundleStore(folder / "home").install(archive, nothing, lambda s: None, lambda: None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (folder / "home/current/tools/t/large").stat().st_size == size
    return peak


def test_memory_does_not_grow_with_the_bundle(tmp_path: Path) -> None:
    small, large = (_peak_memory(tmp_path / str(mb), mb << 20) for mb in (8, 80))
    assert large < small + (2 << 20)
