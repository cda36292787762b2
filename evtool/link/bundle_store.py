# SPDX-License-Identifier: GPL-3.0-or-later
"""Installed bundles: `current` is a link to one of `versions`, which are whole or not there.

Everything is unpacked under a name that begins with a dot and renamed when it is whole; the
link is made under such a name too. Whatever is killed when, `current` leads to the old bundle
or to the new one, and the next installation clears what was left.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from evtool.errors import CheckFailed, EvtoolError
from evtool.link.bundle_archive import PIECE, BundleArchive, OnBytes
from evtool.link.files import sync_folder
from evtool.link.workspace import Workspace
from evtool.protocol import bundle_manifest as manifests
from evtool.protocol.bundle_manifest import BundleRule, Entry, Manifest

_CURRENT = "current"
_VERSIONS = "versions"
# What PlatformIO and Python leave beside packages that they use.
_FOREIGN = ("__pycache__",)
_LOCKS = (".lock",)


class BundleStore:
    """The folder that bundles are installed in.

    Args:
        home: made when the first one is installed.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._versions = home / _VERSIONS

    def current(self) -> Path | None:
        """The folder of the bundle that counts; None where none is installed."""
        link = self.home / _CURRENT
        try:
            name = os.readlink(link)  # noqa: PTH115 - its text is wanted, not a path
        except OSError:
            return None
        folder = self.home / name
        return folder if (folder / manifests.NAME).is_file() else None

    def folder(self, identifier: str) -> Path:
        """Where a bundle stands when it is installed."""
        return self._versions / identifier

    def install(
        self,
        archive: BundleArchive,
        on_bytes: OnBytes,
        on_stage: Callable[[str], None],
        on_wait: Callable[[], None],
    ) -> Path:
        """Unpack an archive that was verified, and make it the one that counts.

        Args:
            on_stage: called with unpack, switch, clean as each begins.
            on_wait: called once when another installation runs.

        Raises:
            CheckFailed: the archive is not what its manifest says; nothing has changed.
            EvtoolError: the file system refused; nothing has changed.
        """
        try:
            self._versions.mkdir(parents=True, exist_ok=True)
            with Workspace(on_wait).lock(self.home / ".lock"):
                self._sweep()
                folder = self.folder(archive.id)
                if not folder.is_dir():
                    on_stage("unpack")
                    self._unpack(archive, folder, on_bytes)
                on_stage("switch")
                self._switch(folder)
                on_stage("clean")
                self._retire(folder)
        except OSError as error:
            raise EvtoolError(
                f"cannot install into {self.home}: {error.strerror or error}"
                + (f" ({os.fsdecode(error.filename)})" if error.filename else ""),
                fix="check free space and permissions of the folder; the bundle that was there "
                "is untouched",
            ) from error
        return folder

    def _sweep(self) -> None:
        """Clear what an installation that was killed has left."""
        for path in (*self._versions.glob(".*"), *self.home.glob(f".{_CURRENT}*")):
            _remove(path)

    def _unpack(self, archive: BundleArchive, folder: Path, on_bytes: OnBytes) -> None:
        half = folder.with_name(f".{folder.name}.new")
        try:
            for entry, pieces in archive.entries():
                _make(half / entry.path, entry, pieces, on_bytes)
            (half / manifests.NAME).write_bytes(archive.manifest_bytes)
            # One flush for 20,000 files, and before the name by which they are found.
            os.sync()
            half.rename(folder)
            sync_folder(self._versions)
        except BaseException:
            shutil.rmtree(half, ignore_errors=True)
            raise

    def _switch(self, folder: Path) -> None:
        target = f"{_VERSIONS}/{folder.name}"
        link = self.home / _CURRENT
        if link.is_symlink() and os.readlink(link) == target:  # noqa: PTH115 - see above
            return
        new = self.home / f".{_CURRENT}.new"
        new.symlink_to(target)
        new.replace(link)
        sync_folder(self.home)

    def _retire(self, kept: Path) -> None:
        """Remove the other versions, except one that a build uses at this moment."""
        for folder in self._versions.iterdir():
            if folder == kept:
                continue
            try:
                lock = _lock(folder, fcntl.LOCK_EX)
            except (BlockingIOError, FileNotFoundError):
                continue
            try:
                old = folder.with_name(f".{folder.name}.old")
                folder.rename(old)
                _remove(old)
            finally:
                os.close(lock)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an installed bundle.

    Raises:
        CheckFailed: it breaks a rule.
        OSError: it cannot be read.
    """
    try:
        return manifests.decode((folder / manifests.NAME).read_bytes())
    except BundleRule as rule:
        raise _refuse(folder, rule.entry, rule.rule) from rule


@contextlib.contextmanager
def in_use(folder: Path) -> Iterator[int]:
    """Keep an installed bundle from being removed; yields the descriptor that says so.

    Raises:
        EvtoolError: it was replaced at this moment.
    """
    try:
        lock = _lock(folder, fcntl.LOCK_SH)
    except (FileNotFoundError, BlockingIOError) as error:
        raise _replaced(folder) from error
    try:
        if not (folder / manifests.NAME).is_file():
            raise _replaced(folder)
        yield lock
    finally:
        os.close(lock)


def _replaced(folder: Path) -> EvtoolError:
    return EvtoolError(
        f"the bundle in {folder} was replaced at this moment", fix="run the command again"
    )


def verify_installed(folder: Path, on_bytes: OnBytes) -> Manifest:
    """Hold every file of an installed bundle against its manifest.

    Raises:
        CheckFailed: one is missing, changed or too many; names it and the rule.
    """
    manifest = read_manifest(folder)
    expected = {entry.path: entry for entry in manifest.entries}
    for entry in manifest.entries:
        _verify(folder, entry, on_bytes)
    for path in _files(folder):
        if path not in expected and path != manifests.NAME:
            raise _refuse(folder, path, "not in the manifest")
    return manifest


def _verify(folder: Path, entry: Entry, on_bytes: OnBytes) -> None:
    path = folder / entry.path
    if entry.link is not None:
        if not path.is_symlink() or os.readlink(path) != entry.link:  # noqa: PTH115 - its text
            raise _refuse(folder, entry.path, f"not a link to {entry.link}")
        return
    if path.is_symlink() or (path.is_dir() != entry.is_folder):
        raise _refuse(folder, entry.path, "missing, or something else")
    if entry.is_folder:
        return
    if not path.is_file():
        raise _refuse(folder, entry.path, "missing")
    if path.stat().st_mode & 0o100 != entry.mode & 0o100:
        raise _refuse(folder, entry.path, f"its mode is not {entry.mode:o}")
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
            on_bytes(entry.path, len(piece))
    if digest.hexdigest() != entry.sha256:
        raise _refuse(folder, entry.path, "the content is not the one of the manifest (SHA-256)")


def _files(folder: Path) -> Iterator[str]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _FOREIGN]
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        for name in (*names, *links):
            if not name.endswith(_LOCKS) or Path(root) != folder:
                yield (Path(root) / name).relative_to(folder).as_posix()


def _refuse(folder: Path, entry: str, rule: str) -> CheckFailed:
    return CheckFailed(
        f"{folder}: {entry}: {rule}",
        fix=f"remove {folder} and install the bundle again: evtool bundle install FILE",
    )


def _make(path: Path, entry: Entry, pieces: Iterator[bytes], on_bytes: OnBytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if entry.link is not None:
        path.symlink_to(entry.link)
    elif entry.is_folder:
        path.mkdir()
    else:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, entry.mode)
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, entry.mode)  # whatever the umask says
            for piece in pieces:
                stream.write(piece)
                on_bytes(entry.path, len(piece))
        return
    for _ in pieces:
        pass


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _lock(folder: Path, how: int) -> int:
    """Take the lock of a version: its manifest, which nobody writes."""
    descriptor = os.open(folder / manifests.NAME, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
