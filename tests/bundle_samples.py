# SPDX-License-Identifier: GPL-3.0-or-later
"""Small bundles for the tests of archives and their installation."""

from __future__ import annotations

import hashlib
from pathlib import Path

from evtool.link.bundle_archive import write_archive
from evtool.protocol.bundle_manifest import BundledPackage, Entry, Manifest

FILES = {
    "libraries/lib/a.h": b"#pragma once\n",
    "tools/gcc/bin/gcc": b"\x7fELF" + bytes(range(256)) * 3,
    "tools/gcc/package.json": b"{}",
    "tools/gcc/zero": b"",
}


def nothing(path: str, size: int) -> None:
    """A progress that nobody watches."""


def make_bundle(path: Path, text: bytes = b"one") -> dict[str, bytes]:
    """Write a bundle; returns its files. `text` tells one from another."""
    files = FILES | {"tools/gcc/version": text}
    folder = path.parent / f"{path.name}.sources"
    sources: dict[str, Path] = {}
    entries = [
        Entry("tools/gcc/bin/g++", link="gcc"),
        Entry("tools/gcc/empty", is_folder=True),
    ]
    for name, data in files.items():
        sources[name] = folder / name
        sources[name].parent.mkdir(parents=True, exist_ok=True)
        sources[name].write_bytes(data)
        mode = 0o755 if "/bin/" in name else 0o644
        entries.append(Entry(name, len(data), mode, hashlib.sha256(data).hexdigest()))
    manifest = Manifest(
        evtool="0.1.0",
        platformio="6.2.0",
        environment="esp32dev",
        system=None,
        python=None,
        needs=(),
        packages=(
            BundledPackage("library", "lib", "me", "1.0.0", "MIT", "libraries/lib"),
            BundledPackage("tool", "gcc", "me", "1.0.0", "GPL-2.0", "tools/gcc"),
        ),
        entries=tuple(sorted(entries, key=lambda entry: entry.path)),
    )
    write_archive(path, manifest, sources, nothing)
    return files
