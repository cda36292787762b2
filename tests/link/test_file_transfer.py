# SPDX-License-Identifier: GPL-3.0-or-later
"""Transfers against real HTTP and FTP servers on loopback."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import http.server
import io
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import Authority
from ftp_server import ftp_server

from evtool.errors import DeviceError, EvtoolError, LinkTimeout
from evtool.link.file_transfer import (
    Bounds,
    Redirects,
    TransferRefused,
    download,
    shown_url,
    upload,
    upload_url,
)

CONTENT = bytes(range(256)) * 1000
DIGEST = hashlib.sha256(CONTENT).digest()
USER, PASSWORD = "user", "p@ss/word"


@dataclass
class Server:
    """Where a server is, and what it has seen."""

    base: str
    folder: Path
    authorizations: list[str | None] = field(default_factory=list)
    stall: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def ftp(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "ftp"
    with ftp_server(folder, USER, PASSWORD) as address:
        yield Server(address, folder)


class Dripping(http.server.BaseHTTPRequestHandler):
    """Can send a byte now and then, and never comes to an end."""

    def drip(self, until: threading.Event) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 20))
        self.end_headers()
        with contextlib.suppress(OSError):  # whoever reads has gone
            while not until.wait(0.01):
                self.wfile.write(b"x")


def handler_of(server: Server) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(Dripping):
        def do_GET(self) -> None:
            server.authorizations.append(self.headers.get("Authorization"))
            path = server.folder / self.path.strip("/")
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/image.bin")
                self.end_headers()
            elif self.path == "/away":
                self.send_response(302)
                self.send_header("Location", "file:///etc/passwd")
                self.end_headers()
            elif self.path == "/secret":
                self.send_error(401)
            elif self.path in ("/cut", "/stall"):
                self.send_response(200)
                self.send_header("Content-Length", "100")
                self.end_headers()
                self.wfile.write(b"half")
                self.wfile.flush()
                if self.path == "/stall":
                    server.stall.wait(30)
            elif self.path == "/drip":
                self.drip(server.stall)
            elif path.is_file():
                self.send_response(200)
                self.end_headers()
                self.wfile.write(path.read_bytes())
            else:
                self.send_error(404)

        def do_PUT(self) -> None:
            server.authorizations.append(self.headers.get("Authorization"))
            content = self.rfile.read(int(self.headers["Content-Length"]))
            (server.folder / self.path.strip("/")).write_bytes(content)
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler


def serve_http(folder: Path, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    folder.mkdir()
    state = Server("", folder)
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler_of(state))
    if context is not None:
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    state.base = f"127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    state.stall.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Server]:
    yield from serve_http(tmp_path / "web")


def test_ftp(ftp: Server, tmp_path: Path) -> None:
    url = f"ftp://{USER}:p%40ss%2Fword@{ftp.base}"
    upload(upload_url(url, "log.txt"), CONTENT, Bounds())
    assert (ftp.folder / "log.txt").read_bytes() == CONTENT
    target = tmp_path / "image"
    assert download(f"{url}/log.txt", target, Bounds()) == DIGEST
    assert target.read_bytes() == CONTENT
    assert target.stat().st_mode & 0o777 == 0o600


def test_http(web: Server, tmp_path: Path) -> None:
    (web.folder / "image.bin").write_bytes(CONTENT)
    target = tmp_path / "image"
    for path in ("image.bin", "moved"):
        url = f"http://{USER}:p%40ss%2Fword@{web.base}/{path}"
        assert download(url, target, Bounds()) == DIGEST
    assert web.authorizations[0] == "Basic dXNlcjpwQHNzL3dvcmQ="
    assert web.authorizations[2] is None, "credentials do not follow a redirect"
    upload(f"http://{web.base}/put.txt", CONTENT, Bounds())
    assert (web.folder / "put.txt").read_bytes() == CONTENT


def test_https_trusts_the_given_root_only(tmp_path: Path) -> None:
    begin = datetime.now(UTC) - timedelta(days=1)
    root, other = (Authority(begin, days=9, name=name) for name in ("one", "two"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(root.issue("localhost", begin, days=9).write(tmp_path / "server.pem"))
    for server in serve_http(tmp_path / "web", context):
        (server.folder / "image.bin").write_bytes(CONTENT)
        url = f"https://localhost:{server.base.rpartition(':')[2]}/image.bin"
        target = tmp_path / "image"
        bounds = Bounds(ca_pem=root.root.pem().decode())
        assert download(url, target, bounds) == DIGEST
        with pytest.raises(DeviceError, match=r"localhost:\d+/image.bin: "):
            download(url, tmp_path / "other", Bounds(ca_pem=other.root.pem().decode()))
        assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("file:///etc/passwd", "unsupported"),
        ("no url", "unsupported"),
        ("http://", "bad"),
        ("http://x:99999/", "bad"),
        ("ftp://x/%0d%0aDELE y", "bad"),
    ],
)
def test_urls_that_cannot_be_used(url: str, kind: str, tmp_path: Path) -> None:
    with pytest.raises(TransferRefused) as error:
        download(url, tmp_path / "image", Bounds())
    assert error.value.kind == kind


def test_failures_leave_the_old_file_and_name_no_password(web: Server, tmp_path: Path) -> None:
    (web.folder / "image.bin").write_bytes(CONTENT)
    target = tmp_path / "image"
    target.write_text("old")
    for path, bounds in (
        ("nothing", Bounds()),
        ("secret", Bounds()),
        ("away", Bounds()),
        ("cut", Bounds()),
        ("stall", Bounds(idle_s=0.2)),
        ("image.bin", Bounds(max_bytes=1000)),
        ("image.bin", Bounds(total_s=-1)),
        ("drip", Bounds(total_s=0.2)),
    ):
        with pytest.raises(DeviceError) as error:
            download(f"http://{USER}:{PASSWORD[:4]}@{web.base}/{path}?x=y", target, bounds)
        assert PASSWORD[:4] not in str(error.value), path
        assert target.read_text() == "old"
    with pytest.raises(TransferRefused, match="401"):
        download(f"http://{web.base}/secret", target, Bounds())


def test_ftp_failures(ftp: Server, tmp_path: Path) -> None:
    with pytest.raises(TransferRefused, match="530"):
        upload(f"ftp://{USER}:wrong@{ftp.base}/x", b"x", Bounds())
    with pytest.raises(DeviceError, match="550"):
        download(f"ftp://{USER}:p%40ss%2Fword@{ftp.base}/none", tmp_path / "image", Bounds())
    with pytest.raises(DeviceError, match="refused"):
        download("ftp://127.0.0.1:1/none", tmp_path / "image", Bounds())
    with pytest.raises(DeviceError, match="longer"):
        upload(f"ftp://{USER}:p%40ss%2Fword@{ftp.base}/x", CONTENT, Bounds(max_bytes=9))


def test_a_transfer_can_be_given_up(web: Server, tmp_path: Path) -> None:
    (web.folder / "image.bin").write_bytes(CONTENT)
    bounds = Bounds()
    bounds.cancelled.set()
    with pytest.raises(DeviceError, match="given up"):
        download(f"http://{web.base}/image.bin", tmp_path / "image", bounds)


@contextlib.contextmanager
def dripping(begin: bytes, drop: bytes) -> Iterator[str]:
    """A server that says `begin` and then `drop` now and then, for 20 s at most."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                line, _ = listening.accept()
                with line:
                    line.sendall(begin)
                    for _ in range(400):
                        if over.wait(0.05):
                            return
                        line.sendall(drop)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        over.set()
        thread.join()


TLS_RECORD = b"\x16\x03\x03\x40\x00"


@pytest.mark.parametrize(
    ("scheme", "begin", "drop"),
    [
        ("http", b"", b"H"),
        ("http", b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        ("http", b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        ("https", TLS_RECORD, b"\x02"),
        ("ftp", b"220-", b"x"),
        ("ftp", b"", b"220-x\r\n"),
    ],
)
def test_what_drips_ends_with_the_time_altogether(
    scheme: str, begin: bytes, drop: bytes, tmp_path: Path
) -> None:
    with dripping(begin, drop) as base:
        with pytest.raises(LinkTimeout, match=r"took longer than 0\.5 s"):
            download(f"{scheme}://{base}/image", tmp_path / "image", Bounds(total_s=0.5))
    assert not (tmp_path / "image").exists()


def test_an_upload_whose_answer_drips_can_be_given_up() -> None:
    bounds = Bounds()
    with dripping(b"HTTP/1.1 200 OK\r\nX: ", b"x") as base:
        threading.Timer(0.3, bounds.cancelled.set).start()
        with pytest.raises(DeviceError, match="given up"):
            upload(f"http://{base}/log", b"x", bounds)


def test_an_upload_given_up_in_the_middle_of_the_headers_has_failed() -> None:
    bounds = Bounds()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            line, _ = listening.accept()
            with line:
                request = b""
                while not request.endswith(b"\r\n\r\nx"):
                    request += line.recv(1 << 16)
                line.sendall(b"HTTP/1.1 200 OK\r\nX: x")
                bounds.cancelled.set()

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(DeviceError, match="given up"):
            upload(f"http://127.0.0.1:{listening.getsockname()[1]}/log", b"x", bounds)
        thread.join()


def test_a_disk_that_refuses(web: Server, tmp_path: Path) -> None:
    (web.folder / "image.bin").write_bytes(CONTENT)
    (tmp_path / "file").write_text("")
    with pytest.raises(EvtoolError, match="cannot write"):
        download(f"http://{web.base}/image.bin", tmp_path / "file" / "image", Bounds())


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("ftp://h", "ftp://h/a.txt"),
        ("ftp://h/", "ftp://h/a.txt"),
        ("http://h/logs", "http://h/logs/a.txt"),
        ("http://h/logs/", "http://h/logs/a.txt"),
        ("http://h/put.log", "http://h/put.log"),
        ("https://h/put?sig=1", "https://h/put?sig=1"),
    ],
)
def test_where_a_log_goes(location: str, expected: str) -> None:
    assert upload_url(location, "a.txt") == expected


@pytest.mark.parametrize(
    ("old", "new", "follows"),
    [
        ("http", "https", True),
        ("http", "http", True),
        ("https", "https", True),
        ("https", "http", False),
        ("http", "ftp", False),
    ],
)
def test_where_a_redirect_may_lead(old: str, new: str, *, follows: bool) -> None:
    def follow() -> object:
        request = urllib.request.Request(f"{old}://h/x")  # noqa: S310 - nothing is opened
        headers = http.client.HTTPMessage()
        return Redirects().redirect_request(
            request, io.BytesIO(), 302, "", headers, f"{new}://u:p@h/y"
        )

    if follows:
        assert follow() is not None
        return
    with pytest.raises(urllib.error.HTTPError) as refused:
        follow()
    refused.value.close()
    assert "u:p" not in str(refused.value)


def test_shown_urls() -> None:
    assert shown_url("ftp://u:p@[::1]:21/x?token=t#f") in ("ftp://::1:21/x", "ftp://[::1]:21/x")
    assert shown_url("http://[bad") == "(no URL)"
