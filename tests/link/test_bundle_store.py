# SPDX-License-Identifier: GPL-3.0-or-later
"""Installing a bundle: killed at any file operation, the old one counts or the new one."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bundle_samples import make_bundle, nothing
from stand_in_packages import all_files

from evtool.errors import CheckFailed, EvtoolError
from evtool.link.bundle_archive import BundleArchive
from evtool.link.bundle_store import BundleStore, in_use, verify_installed

# What Python tells an audit hook of before it does it.
_OPERATIONS = {
    *("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.chmod"),
    *("os.listdir", "os.scandir", "shutil.rmtree", "fcntl.flock"),
}


def install(home: Path, bundle: Path) -> Path:
    archive = BundleArchive(bundle)
    return BundleStore(home).install(archive, nothing, lambda stage: None, lambda: None)


def killed_at(operation: int, action: Callable[[], object]) -> bool:
    """Do it in a child that kills itself at the n-th file operation; whether it came so far."""
    child = os.fork()
    if child == 0:
        count = 0

        def hook(event: str, _: object) -> None:
            nonlocal count
            if event in _OPERATIONS:
                count += 1
                if count == operation:
                    os.kill(os.getpid(), signal.SIGKILL)

        code = 1
        try:
            sys.addaudithook(hook)
            action()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the installation itself failed"
    return False


def version(home: Path) -> bytes | None:
    """Which bundle counts; it must be whole."""
    folder = BundleStore(home).current()
    if folder is None:
        return None
    verify_installed(folder, nothing)
    return (folder / "tools/gcc/version").read_bytes()


def leftovers(home: Path) -> list[str]:
    found = [path.name for path in home.iterdir() if path.name not in (".lock", "current")]
    return found + [path.name for path in (home / "versions").iterdir()]


def test_installed_it_is_what_was_packed(tmp_path: Path) -> None:
    files = make_bundle(tmp_path / "a")
    os.umask(previous := os.umask(0o077))
    try:
        os.umask(0o077)
        folder = install(tmp_path / "home", tmp_path / "a")
    finally:
        os.umask(previous)
    found = all_files(folder)
    found.pop("MANIFEST.json")
    assert found == files | {"tools/gcc/bin/g++": b"gcc"}
    assert (folder / "tools/gcc/bin/gcc").stat().st_mode & 0o777 == 0o755
    assert (folder / "tools/gcc/package.json").stat().st_mode & 0o777 == 0o644
    assert (folder / "tools/gcc/empty").is_dir()
    assert version(tmp_path / "home") == b"one"


def test_a_kill_at_every_operation_of_a_first_installation(tmp_path: Path) -> None:
    make_bundle(tmp_path / "a")
    operation = 0
    while True:
        operation += 1
        home = tmp_path / f"home{operation}"
        was_killed = killed_at(operation, lambda home=home: install(home, tmp_path / "a"))  # type: ignore[misc]  # mypy cannot type a lambda's default
        assert version(home) in ((None, b"one") if was_killed else (b"one",))
        install(home, tmp_path / "a")
        assert version(home) == b"one"
        assert leftovers(home) == ["versions", BundleArchive(tmp_path / "a").id]
        shutil.rmtree(home)
        if not was_killed:
            break
    assert operation > 20, "the hook saw the operations"


def test_a_kill_at_every_operation_of_a_replacement(tmp_path: Path) -> None:
    make_bundle(tmp_path / "old", b"old")
    make_bundle(tmp_path / "new", b"new")
    install(tmp_path / "home", tmp_path / "old")
    operation, seen = 0, set()
    while True:
        operation += 1
        home = tmp_path / f"home{operation}"
        shutil.copytree(tmp_path / "home", home, symlinks=True)
        was_killed = killed_at(operation, lambda home=home: install(home, tmp_path / "new"))  # type: ignore[misc]  # mypy cannot type a lambda's default
        state = version(home)
        assert state in ((b"old", b"new") if was_killed else (b"new",))
        seen.add(state)
        install(home, tmp_path / "new")
        assert version(home) == b"new"
        assert leftovers(home) == ["versions", BundleArchive(tmp_path / "new").id]
        shutil.rmtree(home)
        if not was_killed:
            break
    assert seen == {b"old", b"new"}
    assert operation > 30


def test_the_same_one_again_changes_nothing(tmp_path: Path) -> None:
    make_bundle(tmp_path / "a")
    first = install(tmp_path / "home", tmp_path / "a")
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    assert install(tmp_path / "home", tmp_path / "a") == first
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == before


def test_one_that_a_build_uses_stays_until_the_next_installation(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name in ("a", "b", "c"):
        make_bundle(tmp_path / name, name.encode())
    first = install(home, tmp_path / "a")
    with in_use(first):
        second = install(home, tmp_path / "b")
        assert version(home) == b"b"
        verify_installed(first, nothing)
    third = install(home, tmp_path / "c")
    assert (first.exists(), second.exists(), third.exists()) == (False, False, True)
    with pytest.raises(EvtoolError, match="was replaced at this moment"), in_use(first):
        pass


def test_a_damaged_archive_leaves_the_old_one(tmp_path: Path) -> None:
    """Damaged after it was verified: the second reading sees it too."""
    home = tmp_path / "home"
    make_bundle(tmp_path / "a", b"a")
    make_bundle(tmp_path / "b", b"b")
    install(home, tmp_path / "a")
    archive = BundleArchive(tmp_path / "b")
    data = bytearray((tmp_path / "b").read_bytes())
    data[-40] ^= 1
    (tmp_path / "b").write_bytes(data)
    with pytest.raises(CheckFailed):
        BundleStore(home).install(archive, nothing, lambda stage: None, lambda: None)
    assert version(home) == b"a"
    assert leftovers(home) == ["versions", BundleArchive(tmp_path / "a").id]


@pytest.mark.parametrize(
    ("harm", "rule"),
    [
        (lambda f: (f / "tools/gcc/version").write_text("two"), "tools/gcc/version: the content"),
        (lambda f: (f / "tools/gcc/version").unlink(), "tools/gcc/version: missing"),
        (lambda f: (f / "tools/gcc/bin/gcc").chmod(0o644), "its mode is not 755"),
        (lambda f: (f / "tools/gcc/extra").touch(), "tools/gcc/extra: not in the manifest"),
        (lambda f: (f / "tools/gcc/extra").symlink_to("/etc"), "extra: not in the manifest"),
        (lambda f: (f / "tools/gcc/bin/g++").unlink(), r"g\+\+: not a link to gcc"),
        (lambda f: (f / "tools/gcc/empty").rmdir(), "tools/gcc/empty: missing"),
        (lambda f: (f / "MANIFEST.json").write_text("{}"), r"MANIFEST\.json: not a manifest"),
    ],
)
def test_an_installed_bundle_that_was_changed(
    tmp_path: Path, harm: Callable[[Path], object], rule: str
) -> None:
    make_bundle(tmp_path / "a")
    folder = install(tmp_path / "home", tmp_path / "a")
    (folder / "tools/gcc/__pycache__").mkdir()
    (folder / "tools/gcc/__pycache__/x.pyc").touch()
    (folder / "tools.lock").touch()
    verify_installed(folder, nothing)
    harm(folder)
    with pytest.raises(CheckFailed, match=rule):
        verify_installed(folder, nothing)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    make_bundle(tmp_path / "a")
    (tmp_path / "home").write_text("a file")
    with pytest.raises(EvtoolError, match="cannot install into"):
        install(tmp_path / "home", tmp_path / "a")
