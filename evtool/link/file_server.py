# SPDX-License-Identifier: GPL-3.0-or-later
"""Firmware that charge points fetch, and what they upload: one folder each, over HTTP.

    GET  /firmware/NAME      a file of the firmware folder, ranges too
    PUT  /uploads/NAME       (or POST, body or multipart) a new file of the uploads folder

A name is one segment of letters, digits and `._-` that does not begin with a dot, so none leads
out of its folder; links are not followed. An upload is written under another name and renamed;
one that is there already is never replaced. What one charge point sends bounds what all may:
neither silence nor size of an upload, nor the number of connections, is up to it.
"""

from __future__ import annotations

import asyncio
import os
import re
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from aiohttp import BodyPartReader, web

from evtool.link.http_faults import UNREADABLE, fault_logger
from evtool.link.http_listener import GOODBYE_S, HttpListener

MAX_UPLOAD = 64 << 20
MAX_UPLOADS = 1000
MAX_TOTAL = 1 << 30
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}\Z")
_SILENCE_S = 30.0
# The package warns on stderr of headers that a form's sender has broken.
warnings.filterwarnings("ignore", module=r"aiohttp\.multipart")
_MAX_PARTS = 32


class FileServer:
    """Serves files; at least one of the folders is given.

    Args:
        firmware: the folder to fetch from.
        uploads: the folder that uploads go to.
        max_total: bytes that the uploads folder may hold; what is beyond is refused.
        max_connections: what comes beyond that is closed at once.
        report: is told of each file that went or came, and of what was refused.
    """

    def __init__(
        self,
        firmware: Path | None,
        uploads: Path | None,
        report: Callable[[dict[str, object]], None],
        *,
        max_total: int = MAX_TOTAL,
        max_connections: int = 1000,
    ) -> None:
        self._firmware = firmware
        self._uploads = uploads
        self._report = report
        self._max_total = max_total
        self._stored = 0  # bytes in the folder, without those that are on their way
        self._arriving: dict[Path, int] = {}
        refused = self._refuse_connection
        self._listener = HttpListener(refused, max_connections, "--files")
        application = web.Application(
            middlewares=[self._listener.middleware], client_max_size=MAX_UPLOAD
        )
        application.add_routes(
            [
                web.get("/firmware/{name}", self._on_fetch),
                web.put("/uploads/{name}", self._on_upload),
                web.post("/uploads/{name}", self._on_upload),
                web.post("/uploads/", self._on_upload),
            ]
        )
        logger = fault_logger(lambda reason: report({"event": "file_refused", "reason": reason}))
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            logger=logger,
            shutdown_timeout=GOODBYE_S,
            auto_decompress=False,  # a few bytes would become gigabytes
        )

    async def listen(self, host: str, port: int) -> int:
        """Listen; port 0 picks a free one. Returns the port.

        Raises:
            DeviceError: the address cannot be listened on.
        """
        return await self._listener.listen(self._runner, host, port)

    async def close(self) -> None:
        """Stop; what is under way has a moment to end."""
        self._listener.close()
        await self._runner.cleanup()

    async def _on_fetch(self, request: web.Request) -> web.StreamResponse:
        path = None if self._firmware is None else find(self._firmware, request.match_info["name"])
        if path is None:
            return self._refuse(request, 404, "no such firmware")
        self._report({"event": "fetched", "name": path.name, "peer": request.remote})
        return web.FileResponse(path)

    async def _on_upload(self, request: web.Request) -> web.StreamResponse:
        try:
            name, size = await self._store(request)
        except _RefusedError as error:
            return self._refuse(request, error.status, error.reason)
        except TimeoutError:
            return self._refuse(request, 408, f"nothing came for {_SILENCE_S:g} s")
        except ConnectionError:
            return self._refuse(request, 400, "the connection broke off")
        except UNREADABLE:
            return self._refuse(request, 400, "the body cannot be read")
        except OSError as error:
            return self._refuse(request, 500, f"not stored: {error.strerror}")
        self._report({"event": "uploaded", "name": name, "size": size, "peer": request.remote})
        return web.Response(status=201, text="stored\n")

    async def _store(self, request: web.Request) -> tuple[str, int]:
        """Store an upload; returns its name and size."""
        if self._uploads is None:
            raise _RefusedError(404, "no uploads are taken")
        name = request.match_info.get("name", "")
        chunks = _chunks(request)
        if request.content_type == "multipart/form-data":
            part = await _first_file(request)
            if part is None:
                raise _RefusedError(400, "the form holds no file")
            name, chunks = name or part.filename or "", _chunks_of(part)
        if not _NAME.match(name):
            raise _RefusedError(400, "a name is letters, digits and ._- only")
        there = list(self._uploads.iterdir())
        if len(there) >= MAX_UPLOADS:
            raise _RefusedError(507, f"there are {MAX_UPLOADS} uploads already")
        self._stored = sum(_size(path) for path in there if path not in self._arriving)
        temporary = self._uploads / f".{name}.{os.urandom(6).hex()}"
        self._arriving[temporary] = 0
        try:
            size = await self._write(temporary, chunks)
            placed = _place(temporary, self._uploads, name)
            self._stored += size
            return placed, size
        finally:
            del self._arriving[temporary]
            temporary.unlink(missing_ok=True)

    async def _write(self, path: Path, chunks: AsyncIterator[bytes]) -> int:
        """Write to the disk; returns the size."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            async for chunk in chunks:
                size = self._arriving[path] + len(chunk)
                if size > MAX_UPLOAD:
                    raise _RefusedError(413, f"more than {MAX_UPLOAD} bytes")
                if self._stored + sum(self._arriving.values()) + len(chunk) > self._max_total:
                    raise _RefusedError(
                        507, f"all uploads together: more than {self._max_total} bytes"
                    )
                self._arriving[path] = size
                stream.write(chunk)
            stream.flush()
            await asyncio.to_thread(os.fsync, stream.fileno())  # it may take seconds
        return self._arriving[path]

    def _refuse_connection(self, status: int, reason: str) -> None:
        self._report({"event": "file_refused", "status": status, "reason": reason})

    def _refuse(self, request: web.Request, status: int, reason: str) -> web.Response:
        event: dict[str, object] = {"event": "file_refused", "path": request.path[:200]}
        self._report(event | {"status": status, "reason": reason, "peer": request.remote})
        return web.Response(status=status, text=reason + "\n", headers={"Connection": "close"})


class _RefusedError(Exception):
    """An upload that is not taken."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def find(folder: Path, name: str) -> Path | None:
    """The plain file of that name in the folder itself; None where there is none."""
    path = folder / name
    if not _NAME.match(name) or path.is_symlink() or not path.is_file():
        return None
    return path


async def _first_file(request: web.Request) -> BodyPartReader | None:
    reader = await request.multipart()
    for _ in range(_MAX_PARTS):
        async with asyncio.timeout(_SILENCE_S):  # the rest of the part before, and its own headers
            part = await reader.next()
        if part is None:
            return None
        if isinstance(part, BodyPartReader) and part.filename:
            return part
    raise _RefusedError(400, f"the form holds no file among its first {_MAX_PARTS} parts")


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    while True:
        async with asyncio.timeout(_SILENCE_S):
            data = await request.content.readany()
        if not data:
            return
        yield data


async def _chunks_of(part: BodyPartReader) -> AsyncIterator[bytes]:
    while True:
        async with asyncio.timeout(_SILENCE_S):
            data = await part.read_chunk()
        if not data:
            return
        yield bytes(data)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:  # somebody has taken it away meanwhile
        return 0


def _place(temporary: Path, folder: Path, name: str) -> str:
    """Give it its name, or the next that is free; a link never replaces what is there."""
    path = folder / name
    for number in range(1, MAX_UPLOADS + 1):
        try:
            os.link(temporary, path)
        except FileExistsError:
            path = folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
            continue
        return path.name
    raise FileExistsError(17, "no name is free")
