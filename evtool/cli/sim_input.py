# SPDX-License-Identifier: GPL-3.0-or-later
"""How a running simulator is told things: lines on stdin, `quit`, SIGTERM, Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable

from evtool.errors import ConfigError
from evtool.link.background_process import END_WITH_STDIN


def read_lines(deliver: Callable[[str], None]) -> None:
    """Call `deliver` with each line of stdin, from a thread of its own, until the end of file.

    The end of file ends nothing else, as a simulator in the background has none to read; with
    `END_WITH_STDIN` in the environment it is a `quit`, so that a simulator does not outlive
    the program that holds the pipe, however that one ends. The thread reads the descriptor
    itself, because a thread that waits inside `sys.stdin` holds a lock that the interpreter
    needs to exit.
    """

    def follow() -> None:
        pending = b""
        while True:
            try:
                data = os.read(0, 65536)
            except OSError:  # stdin is closed, or is the terminal of another job
                return
            if not data:
                if os.environ.get(END_WITH_STDIN):
                    deliver("quit")
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                deliver(line.decode("utf-8", errors="replace").strip())

    threading.Thread(target=follow, name="stdin", daemon=True).start()


async def serve_commands(handle: Callable[[str, str], Awaitable[None]]) -> None:
    """Hand each line on stdin to `handle` (first word, the rest) until `quit` or SIGTERM."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str] = asyncio.Queue()

    def deliver(line: str) -> None:
        try:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        except RuntimeError:  # the loop has ended; so does the process
            return

    loop.add_signal_handler(signal.SIGTERM, lines.put_nowait, "quit")
    read_lines(deliver)
    try:
        while (line := await lines.get()) != "quit":
            if line:
                name, _, rest = line.partition(" ")
                await handle(name, rest.strip())
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def parse_listen(text: str, option: str = "--listen") -> tuple[str, int]:
    """Split `HOST:PORT`. Raises ConfigError, naming the option, where it is not of that form."""
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(
            f"{option} {text!r}: expected HOST:PORT",
            fix=f"write for example {option} 127.0.0.1:0 (port 0 picks a free one)",
        )
    return host.strip("[]"), int(port)
