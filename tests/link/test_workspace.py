# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of a build, the removal of its folders, and whether a server can be reached."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evtool.errors import EvtoolError
from evtool.link.reachable import any_reachable
from evtool.link.workspace import Workspace

_HOLDER = """\
import sys
from pathlib import Path
from evtool.link.workspace import Workspace
with Workspace(lambda: None).lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_waits_for_its_holder_and_survives_its_death(tmp_path: Path) -> None:
    lock = tmp_path / "deep/folder/lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    waited = []

    def on_wait() -> None:
        waited.append(True)
        os.kill(holder.pid, signal.SIGKILL)

    with Workspace(on_wait).lock(lock):
        assert waited == [True]
    holder.communicate()
    with Workspace(on_wait).lock(lock):
        assert waited == [True]


def test_a_lock_that_is_kept_for_too_long_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    waited = []
    with Workspace(lambda: None).lock(lock):
        late = Workspace(lambda: waited.append(True)).lock(lock, 0.3)
        with pytest.raises(EvtoolError, match=f"{lock} is still held .* after 0.3 s"), late:
            pass
    assert waited == [True]
    with Workspace(lambda: None).lock(lock, 0.3):
        pass


def test_remove_takes_files_folders_and_nothing(tmp_path: Path) -> None:
    workspace = Workspace(lambda: None)
    workspace.write(tmp_path / "a/b/c", b"x")
    kept = tmp_path / "kept"
    kept.mkdir()
    (tmp_path / "a/link").symlink_to(kept)
    workspace.remove(tmp_path / "a/link")
    assert kept.is_dir()
    workspace.remove(tmp_path / "a")
    workspace.remove(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_folder_is_copied_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    workspace = Workspace(lambda: None)
    source, target = tmp_path / "source", tmp_path / "deep/target"
    (source / "a").mkdir(parents=True)
    (source / "a/file").write_text("x")
    (source / "link").symlink_to("a/file")
    half = target.with_name(".target.new")  # of a copy that was killed
    half.mkdir(parents=True)
    (half / "half").touch()
    workspace.copy_folder(source, target)
    assert sorted(path.name for path in target.rglob("*")) == ["a", "file", "link"]
    assert (target / "link").is_symlink()
    assert [path.name for path in target.parent.iterdir()] == ["target"]
    (source / "a/file").write_text("y")
    workspace.copy_folder(source, target)
    assert (target / "a/file").read_text() == "x", "one that is there is left alone"
    with pytest.raises(EvtoolError, match="cannot copy"):
        workspace.copy_folder(tmp_path / "nothing", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_new_log_begins_empty(tmp_path: Path) -> None:
    workspace = Workspace(lambda: None)
    for text in ("one", "two"):
        with workspace.new_log(tmp_path / "deep/log") as log:
            log(text)
            log("\udcff is no UTF-8")
        assert (tmp_path / "deep/log").read_text() == f"{text}\n? is no UTF-8\n"


def test_a_lock_that_cannot_be_made_is_an_error_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(EvtoolError, match="cannot write"),
        Workspace(lambda: None).lock(tmp_path / "file/lock"),
    ):
        pass


@contextmanager
def _server(answer: bytes | None) -> Iterator[int]:
    """A server that takes connections; None says nothing until the client goes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            line, _ = listener.accept()
            with line:
                if answer is not None:
                    line.recv(1000)
                    line.sendall(answer)
                while line.recv(1000):
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(timeout=10)


def test_a_server_that_listens_is_reached() -> None:
    with _server(None) as port:
        assert any_reachable(["127.0.0.1"], port=port, timeout_s=60, proxies={})


def test_a_closed_port_is_not(closed_port: int) -> None:
    assert not any_reachable(["127.0.0.1"] * 2, port=closed_port, timeout_s=60, proxies={})
    assert not any_reachable([], timeout_s=60, proxies={})


@pytest.mark.parametrize(
    ("answer", "reached"),
    [
        (b"HTTP/1.1 200 Connection established\r\n\r\n", True),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", False),
        (b"220 mail.example ESMTP\r\n", False),
    ],
)
def test_a_proxy_is_asked_for_the_host(answer: bytes, reached: bool) -> None:
    with _server(answer) as port:
        proxies = {"https": f"http://127.0.0.1:{port}"}
        assert any_reachable(["registry.invalid"], timeout_s=60, proxies=proxies) is reached


def test_a_proxy_that_says_nothing_is_given_up() -> None:
    with _server(None) as port:
        proxies = {"https": f"127.0.0.1:{port}"}
        assert not any_reachable(["registry.invalid"], timeout_s=0.2, proxies=proxies)
