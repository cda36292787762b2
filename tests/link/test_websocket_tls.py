# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSockets under TLS: the server's certificate, the client's, and files that are neither."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from cryptography import x509

from evtool.errors import ConfigError, DeviceError
from evtool.link.tls import client_tls, server_tls
from evtool.link.websocket import WebSocket, WebSocketServer, open_websocket, start_server

WAIT_S = 60
BEGIN = datetime.now(UTC) - timedelta(days=1)


class Files:
    """An authority, what it has issued, and another authority."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(BEGIN, days=30)
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(authority.root.pem())
        self.server = authority.issue("localhost", BEGIN, days=30).write(folder / "server.pem")
        self.client = authority.issue("CP-1", BEGIN, days=30).write(folder / "client.pem")
        self.other_ca = folder / "other.pem"
        other = Authority(BEGIN, days=30, name="Other root")
        self.other_ca.write_bytes(other.root.pem())
        self.other_client = other.issue("CP-1", BEGIN, days=30).write(folder / "other_client.pem")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("certificates"))


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), WAIT_S))


async def serve(files: Files, client_ca: Path | None, seen: list[bytes | None]) -> WebSocketServer:
    async def echo(_: str, socket: WebSocket) -> None:
        seen.append(socket.peer_certificate)
        while True:
            await socket.send(await socket.recv())

    tls = server_tls(files.server, client_ca=client_ca)
    return await start_server("localhost", 0, "ocpp1.6", lambda _, __: None, echo, tls=tls)


async def exchange(server: WebSocketServer, **more: Any) -> bytes | None:
    """The server's certificate, once a long text has come back."""
    client = await open_websocket(f"wss://localhost:{server.port}/CP-1", "ocpp1.6", **more)
    text = "x" * 500_000
    await client.send(text)
    assert await client.recv() == text
    certificate = client.peer_certificate
    await client.close()
    return certificate


def common_name(certificate: bytes | None) -> str:
    assert certificate is not None
    subject = x509.load_der_x509_certificate(certificate).subject
    return str(subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


@pytest.mark.parametrize("lean", [False, True])
def test_the_server_shows_its_certificate_and_the_client_none(files: Files, lean: bool) -> None:
    async def main() -> None:
        seen: list[bytes | None] = []
        server = await serve(files, None, seen)
        shown = await exchange(server, ca_certificate=files.ca, lean_tls=lean)
        assert common_name(shown) == "localhost"
        assert seen == [None]
        with pytest.raises(DeviceError, match="CERTIFICATE_VERIFY_FAILED"):
            await exchange(server, ca_certificate=files.other_ca, lean_tls=lean)
        await server.close()

    run(main)


@pytest.mark.parametrize("lean", [False, True])
def test_both_show_theirs_and_one_of_another_authority_is_refused(files: Files, lean: bool) -> None:
    async def main() -> None:
        seen: list[bytes | None] = []
        server = await serve(files, files.ca, seen)
        for certificate in (None, files.other_client):
            with pytest.raises(DeviceError):
                await exchange(server, tls=client_tls(files.ca, certificate), lean_tls=lean)
        assert seen == []
        await exchange(server, tls=client_tls(files.ca, files.client), lean_tls=lean)
        assert [common_name(each) for each in seen] == ["CP-1"]
        await server.close()

    run(main)


def test_files_that_are_no_certificates_are_named(files: Files, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
    missing = tmp_path / "missing.pem"
    loads: list[Callable[[Path], object]] = [
        client_tls,
        lambda path: client_tls(files.ca, path),
        lambda path: client_tls(files.ca, files.client, path),
        server_tls,
        lambda path: server_tls(files.server, client_ca=path),
    ]
    for path in (broken, missing):
        for load in loads:
            with pytest.raises(ConfigError, match=path.name):
                load(path)
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        client_tls(files.ca, files.ca)
