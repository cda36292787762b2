# SPDX-License-Identifier: GPL-3.0-or-later
"""References to secrets: where they come from, what is kept, and what is refused."""

from __future__ import annotations

import os
import shutil
import string
import subprocess
from pathlib import Path

import pytest

from evtool.errors import ConfigError
from evtool.link.secret_source import SecretSource, generate_key
from evtool.project import SecretRef


def test_generated_keys_suit_every_stack() -> None:
    keys = {generate_key() for _ in range(200)}
    assert len(keys) == 200
    for key in keys:
        assert len(key) == 20
        assert set(key) <= set(string.ascii_letters + string.digits)
        assert not set(key) <= set(string.hexdigits)


def test_a_generated_secret_stays_and_is_private(tmp_path: Path) -> None:
    first = SecretSource(tmp_path).resolve(SecretRef("generate"), "CP/1 authorization_key")
    again = SecretSource(tmp_path).resolve(SecretRef("generate"), "CP/1 authorization_key")
    other = SecretSource(tmp_path).resolve(SecretRef("generate"), "CP-2 authorization_key")
    assert first == again != other
    folder = tmp_path / ".evtool" / "secrets"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_git_does_not_see_generated_secrets(tmp_path: Path) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")
    subprocess.run([git, "init", "--quiet", tmp_path], check=True)
    SecretSource(tmp_path).resolve(SecretRef("generate"), "CP-1 authorization_key")
    command = [git, "status", "--porcelain", "--untracked-files=all"]
    listed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert listed.stdout == b""


def test_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_SECRET", "hunter22")
    source = SecretSource(tmp_path)
    assert source.resolve(SecretRef("env", "THE_SECRET"), "x").reveal() == "hunter22"
    monkeypatch.delenv("THE_SECRET")
    with pytest.raises(ConfigError, match="THE_SECRET is not set"):
        source.resolve(SecretRef("env", "THE_SECRET"), "x")
    with pytest.raises(ConfigError) as caught:
        source.resolve(SecretRef("env", "hunter2-hunter2"), "x")  # somebody took it for the place
    assert "hunter2" not in str(caught.value)


def test_a_variable_that_is_no_text_is_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environb, b"THE_SECRET", b"hunter22\xff")
    source = SecretSource(tmp_path)
    for resolve in (source.resolve, source.resolve_text):
        with pytest.raises(ConfigError, match="variable THE_SECRET is not UTF-8 text") as caught:
            resolve(SecretRef("env", "THE_SECRET"), "x")
        assert caught.value.__cause__ is None
        assert "hunter22" not in str(caught.value)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "key"
    source = SecretSource(tmp_path)
    with pytest.raises(ConfigError, match="no such file"):
        source.resolve(SecretRef("file", str(path)), "x")
    path.write_text("hunter22\r\nsecond line\n")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        source.resolve(SecretRef("file", str(path)), "x")
    path.chmod(0o600)
    assert source.resolve(SecretRef("file", str(path)), "x").reveal() == "hunter22"
    path.write_bytes(b"hunter\xff22")
    with pytest.raises(ConfigError) as caught:
        source.resolve(SecretRef("file", str(path)), "x")
    assert "hunter" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_prompt_needs_a_person(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no terminal"):
        SecretSource(tmp_path).resolve(SecretRef("prompt"), "x")
    asked = SecretSource(tmp_path, lambda label: f"told {label}")
    assert asked.resolve(SecretRef("prompt"), "x").reveal() == "told x"


def test_a_look_generates_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not generated yet"):
        SecretSource(tmp_path, create=False).resolve(SecretRef("generate"), "x")
    assert not (tmp_path / ".evtool").exists()
    made = SecretSource(tmp_path).resolve(SecretRef("generate"), "x")
    assert SecretSource(tmp_path, create=False).resolve(SecretRef("generate"), "x") == made


def test_a_file_that_is_no_secrets_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can be read by others"):
        SecretSource(tmp_path).resolve(SecretRef("file", "/dev/zero"), "x")
    large = tmp_path / "large"
    large.write_bytes(b"x" * 70_000)
    large.chmod(0o600)
    with pytest.raises(ConfigError, match="more than 65536 bytes"):
        SecretSource(tmp_path).resolve(SecretRef("file", str(large)), "x")


def test_a_secret_of_several_lines_is_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"-----BEGIN\r\nabc\r\n-----END\r\n")
    path.chmod(0o600)
    source = SecretSource(tmp_path)
    ref = SecretRef("file", str(path))
    assert source.resolve_text(ref, "x").reveal() == "-----BEGIN\nabc\n-----END\n"
    assert source.resolve(ref, "x").reveal() == "-----BEGIN"
