# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection tried step by step against servers that do each thing wrong, on the loopback."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import Authority

from evtool.errors import ConfigError
from evtool.link.csms_probe import Probe, tls_context, try_connection

NOW = datetime.now(UTC)
DEADLINE_S = 60
Answer = Callable[[bytes], bytes]


class Server:
    """Takes connections until it is closed; `requests` are what clients asked."""

    def __init__(self, answer: Answer, context: ssl.SSLContext | None) -> None:
        self.requests: list[bytes] = []
        self._answer = answer
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(DEADLINE_S)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._socket.accept()
                line.settimeout(DEADLINE_S)
                with line, contextlib.suppress(OSError):
                    self._talk(line)

    def _talk(self, line: socket.socket) -> None:
        if self._context is not None:
            with self._context.wrap_socket(line, server_side=True) as secured:
                self._exchange(secured)
        else:
            self._exchange(line)

    def _exchange(self, line: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            more = line.recv(4096)
            if not more:
                return
            request += more
        self.requests.append(request)
        line.sendall(self._answer(request))
        line.recv(4096)  # until the client goes


@contextmanager
def server(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    running = Server(answer, context)
    try:
        yield running
    finally:
        running.close()


def upgrade(request: bytes, subprotocol: bytes | None = b"ocpp1.6") -> bytes:
    """A good answer, by RFC 6455."""
    key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
    accept = base64.b64encode(
        hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324
    )
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept,
    ]
    if subprotocol is not None:
        lines.append(b"Sec-WebSocket-Protocol: " + subprotocol)
    return b"\r\n".join([*lines, b"", b""])


def status(line: bytes) -> Answer:
    return lambda _: b"HTTP/1.1 " + line + b"\r\nContent-Length: 0\r\n\r\n"


def probe(port: int, *, scheme: str = "ws", host: str = "localhost", **more: object) -> Probe:
    values: dict[str, object] = {
        "url": f"{scheme}://{host}:{port}/ocpp/CP-1",
        "host": host,
        "port": port,
        "subprotocol": "ocpp1.6",
        "authorization": "Basic SECRET",
        "ca": None,
        "client_certificate": None,
        "client_key": None,
        "timeout_s": DEADLINE_S,
    }
    return Probe(**(values | more))  # type: ignore[arg-type]


def tried(wanted: Probe) -> list[tuple[str, str]]:
    context = tls_context(wanted) if wanted.url.startswith("wss:") else None
    return [(step.name, step.outcome) for step in try_connection(wanted, context)]


REACHED = [("dns", "ok"), ("tcp", "ok")]


def test_a_good_central_system() -> None:
    with server(upgrade) as running:
        found = tried(probe(running.port))
        assert found == [*REACHED, ("http", "ok"), ("subprotocol", "ok")]
        (request,) = running.requests
        assert request.startswith(b"GET /ocpp/CP-1 HTTP/1.1\r\n")
        assert b"Authorization: Basic SECRET\r\n" in request
        assert b"Sec-WebSocket-Protocol: ocpp1.6\r\n" in request


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (status(b"401 Unauthorized"), "status"),
        (status(b"404 Not Found"), "status"),
        (status(b"400 Bad Request"), "status"),
        (status(b"200 OK"), "status"),
        (lambda _: b"SSH-2.0-OpenSSH_9.9\r\n", "no_http"),
        (status(b"101 Switching Protocols"), "bad_upgrade"),
    ],
)
def test_refusals(answer: Answer, outcome: str) -> None:
    with server(answer) as running:
        assert tried(probe(running.port)) == [*REACHED, ("http", outcome)]


def test_the_status_is_told() -> None:
    with server(status(b"401 Unauthorized")) as running:
        *_, last = try_connection(probe(running.port), None)
    assert (last.status, last.detail) == (401, "401 Unauthorized")


@pytest.mark.parametrize(("said", "outcome"), [(None, "missing"), (b"ocpp2.0.1", "another")])
def test_subprotocols(said: bytes | None, outcome: str) -> None:
    with server(lambda request: upgrade(request, said)) as running:
        found = tried(probe(running.port))
    assert found == [*REACHED, ("http", "ok"), ("subprotocol", outcome)]


def test_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, nobody answers
        port = silent.getsockname()[1]
        assert tried(probe(port, timeout_s=2)) == [*REACHED, ("http", "timed_out")]
        wanted = probe(port, scheme="wss", timeout_s=2)
        assert tried(wanted) == [*REACHED, ("tls", "timed_out")]


def test_a_port_where_nobody_listens(closed_port: int) -> None:
    assert tried(probe(closed_port)) == [("dns", "ok"), ("tcp", "refused")]


def test_a_host_that_is_none() -> None:
    assert tried(probe(80, host="x" * 64 + ".invalid")) == [("dns", "no_such_host")]


class Tls:
    """Authorities and what they issued, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(NOW - timedelta(days=10), days=100)
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self.authority.root.pem())

    def issued(self, host: str, *, begin: datetime, days: int, of: Authority | None = None) -> Path:
        issued = (of or self.authority).issue(host, begin, days=days)
        return issued.write(self.folder / f"{host}.pem")

    def context(self, host: str = "localhost", **how: object) -> ssl.SSLContext:
        values: dict[str, object] = {"begin": NOW - timedelta(days=5), "days": 50}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.issued(host, **(values | how)))  # type: ignore[arg-type]
        return context


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(tmp_path)


def test_a_good_central_system_with_tls(tls: Tls) -> None:
    with server(upgrade, tls.context()) as running:
        found = tried(probe(running.port, scheme="wss", ca=tls.ca))
    assert found == [*REACHED, ("tls", "ok"), ("http", "ok"), ("subprotocol", "ok")]


@pytest.mark.parametrize(
    ("host", "how", "outcome"),
    [
        ("localhost", {"of": Authority(NOW, days=9, name="Stranger")}, "unknown_authority"),
        ("localhost", {"begin": NOW - timedelta(days=9), "days": 8}, "expired"),
        ("localhost", {"begin": NOW + timedelta(days=9)}, "not_yet_valid"),
        ("other.example.com", {}, "wrong_host"),
    ],
)
def test_certificates_that_are_not_taken(
    tls: Tls, host: str, how: dict[str, object], outcome: str
) -> None:
    with server(upgrade, tls.context(host, **how)) as running:
        assert tried(probe(running.port, scheme="wss", ca=tls.ca)) == [*REACHED, ("tls", outcome)]


def test_no_tls_at_that_port(tls: Tls) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        thread = threading.Thread(target=_refuse, args=(plain,))
        thread.start()
        found = tried(probe(plain.getsockname()[1], scheme="wss", ca=tls.ca))
        thread.join(DEADLINE_S)
    assert found == [*REACHED, ("tls", "no_tls")]


def _refuse(listening: socket.socket) -> None:
    line, _ = listening.accept()
    with line, contextlib.suppress(OSError):
        line.recv(4096)
        line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        line.recv(4096)


def test_a_client_certificate_is_wanted(tls: Tls) -> None:
    context = tls.context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(tls.ca)
    with server(upgrade, context) as running:
        found = tried(probe(running.port, scheme="wss", ca=tls.ca))
        assert found == [*REACHED, ("tls", "ok"), ("tls", "client_certificate_refused")]
        client = tls.issued("CP-1", begin=NOW - timedelta(days=1), days=9)
        found = tried(probe(running.port, scheme="wss", ca=tls.ca, client_certificate=client))
        assert found[-1] == ("subprotocol", "ok")


def test_files_that_are_no_certificates(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    with pytest.raises(ConfigError, match="cannot be used"):
        tls_context(probe(1, scheme="wss", ca=tmp_path / "ca.pem"))
