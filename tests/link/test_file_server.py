# SPDX-License-Identifier: GPL-3.0-or-later
"""What charge points upload is bounded, and whole or not there."""

from __future__ import annotations

import asyncio
import gzip
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession, FormData

from evtool.link import file_server, http_listener
from evtool.link.file_server import FileServer, find

Event = dict[str, object]


def run(
    folder: Path, main: Callable[[ClientSession, str], Awaitable[None]], **limits: int
) -> list[Event]:
    """Run `main` with a client and the server's URL; returns what was reported."""
    events: list[Event] = []

    async def serve() -> None:
        server = FileServer(None, folder, events.append, **limits)
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
    monkeypatch.setattr(file_server, "_SILENCE_S", 1)

    async def main(session: ClientSession, url: str) -> None:
        port = int(url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"PUT /uploads/a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        async with asyncio.timeout(60):
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


def test_all_uploads_together_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "old.log").write_bytes(b"x" * 60_000)

    async def main(session: ClientSession, url: str) -> None:
        async def put(name: str, size: int) -> int:
            async with session.put(f"{url}/uploads/{name}", data=b"x" * size) as response:
                return response.status

        assert await put("a.log", 30_000) == 201
        assert await put("b.log", 20_000) == 507
        assert await put("c.log", 10_000) == 201
        assert await put("d.log", 1) == 507
        (tmp_path / "old.log").unlink()
        assert await put("e.log", 60_000) == 201, "room was made"

    events = run(tmp_path, main, max_total=100_000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "c.log", "e.log"]
    refused = [event["reason"] for event in events if event["event"] == "file_refused"]
    assert refused == ["all uploads together: more than 100000 bytes"] * 2


def test_uploads_at_the_same_time_share_the_room(tmp_path: Path) -> None:
    begun = [asyncio.Event() for _ in range(4)]
    go_on = asyncio.Event()

    async def main(session: ClientSession, url: str) -> None:
        async def chunks(number: int) -> AsyncIterator[bytes]:
            yield b"x" * 15_000
            begun[number].set()
            await go_on.wait()
            yield b"x" * 15_000

        async def put(number: int) -> int:
            async with session.put(f"{url}/uploads/{number}", data=chunks(number)) as response:
                return response.status

        uploads = [asyncio.create_task(put(number)) for number in range(4)]
        async with asyncio.timeout(60):
            for each in begun:
                await each.wait()
            go_on.set()
            assert 507 in await asyncio.gather(*uploads)

    run(tmp_path, main, max_total=100_000)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 100_000


def test_the_disk_is_waited_for_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_flushing, may_end = threading.Event(), threading.Event()

    def fsync(_: int) -> None:
        is_flushing.set()
        assert may_end.wait(30)

    monkeypatch.setattr(os, "fsync", fsync)

    async def main(session: ClientSession, url: str) -> None:
        async def put() -> int:
            async with session.put(f"{url}/uploads/a.log", data=b"x") as response:
                return response.status

        upload = asyncio.create_task(put())
        assert await asyncio.to_thread(is_flushing.wait, 30)
        async with session.get(f"{url}/firmware/none") as response:
            assert response.status == 404, "it answers while the disk takes its time"
        assert not upload.done()
        may_end.set()
        assert await upload == 201

    run(tmp_path, main)


def test_a_form_that_falls_silent_or_has_no_end_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_server, "_SILENCE_S", 1)
    head = (
        b"POST /uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n"
        b"Content-Type: multipart/form-data; boundary=B\r\n\r\n"
    )
    field = b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    file = b'--B\r\nContent-Disposition: form-data; name="a"; filename="a.log"\r\n\r\nabc'

    async def main(_: ClientSession, url: str) -> None:
        port = int(url.rpartition(":")[2])
        for begun, status in (
            (b"", b"408"),
            (b"--B\r\nContent-Dis", b"408"),
            (field + b"--B\r\n", b"408"),
            (file, b"408"),
            (field * 2000, b"400"),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head + begun)
            async with asyncio.timeout(60):
                assert status in await reader.readline()
            writer.close()

    run(tmp_path, main)
    assert list(tmp_path.iterdir()) == []


def test_silent_connections_are_cut_and_many_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(session: ClientSession, url: str) -> None:
        port = int(url.rpartition(":")[2])
        async with asyncio.timeout(60):
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            reader, third = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b"", "one too many"
            third.close()
            for first, writer in silent:
                writer.write(b"PUT /uploads/a HTTP/1.1\r\nHo")
                assert await first.read() == b"", "no request in time"
                writer.close()
            async with session.put(f"{url}/uploads/a.log", data=b"x") as response:
                assert response.status == 201

    monkeypatch.setattr(http_listener, "REQUEST_TIMEOUT_S", 3)
    events = run(tmp_path, main, max_connections=2)
    assert [event.get("status") for event in events] == [503, 408, 408, None]


def test_an_upload_that_breaks_off_is_said_to(tmp_path: Path) -> None:
    async def main(_: ClientSession, url: str) -> None:
        await send(url, b"Content-Length: 500\r\n\r\nhalf", cut=True)

    assert refusals(run(tmp_path, main)) == [(400, "the connection broke off")]
    assert list(tmp_path.iterdir()) == []


BROKEN = {
    "a form without a boundary": b"Content-Type: multipart/form-data\r\n"
    b"Content-Length: 2\r\n\r\nab",
    "a form that is none": b"Content-Type: multipart/form-data; boundary=b\r\n"
    b"Content-Length: 10\r\n\r\nno form ..",
    "a part whose header is none": b"Content-Type: multipart/form-data; boundary=b\r\n"
    b"Content-Length: 20\r\n\r\n--b\r\n\xff no header\r\n\r\n",
}


@pytest.mark.parametrize("request_", BROKEN.values(), ids=BROKEN)
def test_a_body_that_breaks_its_rules_is_refused_in_one_line(
    tmp_path: Path, request_: bytes
) -> None:
    async def main(_: ClientSession, url: str) -> None:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
        assert (await send(url, request_)).startswith(b"HTTP/1.1 400 ")
        assert faults == []

    assert refusals(run(tmp_path, main)) == [(400, "the body cannot be read")]
    assert list(tmp_path.iterdir()) == []


def test_a_compressed_upload_is_kept_as_it_came(tmp_path: Path) -> None:
    data = gzip.compress(bytes(10_000_000))

    async def main(_: ClientSession, url: str) -> None:
        head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(data)
        assert (await send(url, head + data)).startswith(b"HTTP/1.1 201 ")

    run(tmp_path, main)
    assert (tmp_path / "a.log").read_bytes() == data


def test_the_end_waits_for_no_upload_that_never_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_server, "GOODBYE_S", 0.05)

    async def main() -> None:
        server = FileServer(None, tmp_path, lambda _: None)
        port = await server.listen("127.0.0.1", 0)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"PUT /uploads/a.log HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        while not any(tmp_path.iterdir()):
            await asyncio.sleep(0.01)
        async with asyncio.timeout(20):  # the peer has 30 s, and a server of its own accord 60
            await server.close()
        writer.close()

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []


async def send(url: str, rest: bytes, *, cut: bool = False) -> bytes:
    """An upload byte for byte, from its headers' second line on; the first of what comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(b"POST /uploads/a.log HTTP/1.1\r\nHost: x\r\n" + rest)
    await writer.drain()
    if cut:
        writer.write_eof()
    answer = await reader.read(1000)
    writer.close()
    return answer


def refusals(events: list[Event]) -> list[tuple[object, object]]:
    return [(each["status"], each["reason"]) for each in events if each["event"] == "file_refused"]
