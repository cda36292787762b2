# SPDX-License-Identifier: GPL-3.0-or-later
"""A real FTP server on loopback, in a thread of the test."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

_WAIT_S = 60


@contextlib.contextmanager
def ftp_server(folder: Path, user: str, password: str) -> Iterator[str]:
    """Serves `folder`, which it makes, to that user; gives host:port."""
    folder.mkdir()
    authorizer = DummyAuthorizer()
    authorizer.add_user(user, password, str(folder), perm="elradfmw")

    class Handler(FTPHandler):  # type: ignore[misc]  # pyftpdlib has no types
        pass

    Handler.authorizer = authorizer
    server = FTPServer(("127.0.0.1", 0), Handler)
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            server.serve_forever(timeout=0.05, blocking=False, handle_exit=False)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{server.address[1]}"
    finally:
        stopped.set()
        thread.join(_WAIT_S)
        server.close_all()
