# SPDX-License-Identifier: GPL-3.0-or-later
"""What charge points upload is bounded, and whole or not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession, FormData

from evtool.link import file_server
from evtool.link.file_server import FileServer, find

Event = dict[str, object]


def run(folder: Path, main: Callable[[ClientSession, str], Awaitable[None]]) -> list[Event]:
    """Run `main` with a client and the server's URL; returns what was reported."""
    events: list[Event] = []

    async def serve() -> None:
        server = FileServer(None, folder, events.append)
        port = await server.listen("127.0.0.1", 0)
        async with ClientSession() as session:
            await main(session, f"http://127.0.0.1:{port}")
        await server.close()

    asyncio.run(serve())
    return events


def test_one_that_is_too_large_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_server, "MAX_UPLOAD", 100_000)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 10_000

    async def main(session: ClientSession, url: str) -> None:
        async with session.put(f"{url}/uploads/a.log", data=chunks()) as response:
            assert response.status == 413
        form = FormData()
        form.add_field("file", b"x" * 200_000, filename="b.log")
        async with session.post(f"{url}/uploads/", data=form) as response:
            assert response.status == 413
        async with session.put(f"{url}/uploads/c.log", data=b"x" * 100_000) as response:
            assert response.status == 201

    events = run(tmp_path, main)
    assert [path.name for path in tmp_path.iterdir()] == ["c.log"]
    assert [event["event"] for event in events] == ["file_refused", "file_refused", "uploaded"]


def test_one_that_falls_silent_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_server, "_SILENCE_S", 0.05)

    async def main(session: ClientSession, url: str) -> None:
        port = int(url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"PUT /uploads/a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        async with asyncio.timeout(30):
            assert b"408" in await reader.readline()
        writer.close()

    run(tmp_path, main)
    assert list(tmp_path.iterdir()) == []


def test_there_are_no_more_than_there_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_server, "MAX_UPLOADS", 3)

    async def main(session: ClientSession, url: str) -> None:
        statuses = []
        for _ in range(5):
            async with session.put(f"{url}/uploads/a.log", data=b"x") as response:
                statuses.append(response.status)
        assert statuses == [201, 201, 201, 507, 507]
        async with session.get(f"{url}/firmware/a.log") as response:
            assert response.status == 404

    run(tmp_path, main)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["a-1.log", "a-2.log", "a.log"], "none was replaced"


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "/etc/passwd", ".a", "a\n", "ä"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / ".a").write_text("x")
    assert find(tmp_path, name) is None
    assert find(tmp_path, "a") == tmp_path / "a"
