# SPDX-License-Identifier: GPL-3.0-or-later
"""Our tar headers, read by Python's tarfile and by the system's tar."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.protocol.tar_block import (
    BLOCK,
    END,
    file_header,
    file_size,
    folder_header,
    link_header,
    padding,
)

NAME = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/"), min_size=1
).map(lambda text: "d/" + text)


@given(st.lists(st.tuples(NAME, st.binary(max_size=1100)), unique_by=lambda row: row[0]))
def test_python_reads_what_we_write(files: list[tuple[str, bytes]]) -> None:
    archive = b"".join(
        file_header(name, len(data), 0o755) + data + padding(len(data)) for name, data in files
    )
    with tarfile.open(fileobj=io.BytesIO(archive + END)) as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == [name for name, _ in files]
        for member, (_, data) in zip(members, files, strict=True):
            assert (member.mode, member.mtime, member.uid) == (0o755, 0, 0)
            stream = tar.extractfile(member)
            assert stream is not None
            assert stream.read() == data


@pytest.mark.parametrize("length", [1, 99, 100, 101, 300])
def test_the_systems_tar_unpacks_it(tmp_path: Path, length: int) -> None:
    tar = shutil.which("tar")
    if tar is None:
        pytest.skip("needs tar")
    deep = "/".join(["n" * min(length, 90)] * (1 + length // 90))
    archive = folder_header("empty") + file_header(f"d/{deep}", 3, 0o644) + b"abc" + padding(3)
    archive += link_header("d/link", deep)
    (tmp_path / "a.tar").write_bytes(archive + END)
    done = subprocess.run(
        [tar, "-xf", "a.tar"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "d/link").read_bytes() == b"abc"
    assert (tmp_path / "empty").is_dir()


def test_the_first_header_is_ours_or_nothing() -> None:
    header = file_header("MANIFEST.json", 1234, 0o644)
    assert len(header) == BLOCK
    assert file_size(header) == 1234
    for at in range(BLOCK):
        changed = bytearray(header)
        changed[at] ^= 1
        assert file_size(bytes(changed)) is None, at
    assert file_size(b"") is None


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        file_header("a", 8**11, 0o644)
