# SPDX-License-Identifier: GPL-3.0-or-later
"""A central system that only answers: what it costs is next to nothing beside its clients.

It takes the Call's id and action from the text, and looks at nothing else. For benchmarks: it
prints its port, and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import itertools

from evtool.link.clock import unix_ms
from evtool.link.open_files import allow_open_sockets
from evtool.link.websocket import WebSocket, start_server
from evtool.protocol.ocpp16 import SUBPROTOCOL, render_timestamp

_INTERVAL_S = 10
_ACCEPTED = '"idTagInfo":{"status":"Accepted"}'


def answer(text: str, numbers: itertools.count[int]) -> str | None:
    """The text of the answer to a Call; None to anything else."""
    if not text.startswith("[2,"):
        return None
    _, unique_id, _, action, _ = text.split('"', 4)
    now = f'"currentTime":"{render_timestamp(unix_ms())}"'
    match action:
        case "BootNotification":
            payload = f'{now},"interval":{_INTERVAL_S},"status":"Accepted"'
        case "Heartbeat":
            payload = now
        case "Authorize" | "StopTransaction":
            payload = _ACCEPTED
        case "StartTransaction":
            payload = f'{_ACCEPTED},"transactionId":{next(numbers)}'
        case _:
            payload = ""
    return f'[3,"{unique_id}",{{{payload}}}]'


async def main() -> None:
    """Serve."""
    numbers = itertools.count(1)

    async def handle(_: str, socket: WebSocket) -> None:
        closed = asyncio.Event()

        def on_text(text: str) -> None:
            answered = answer(text, numbers)
            if answered is not None:
                socket.send_now(answered)

        socket.listen(on_text, lambda _: closed.set())
        await closed.wait()

    allow_open_sockets(15_000)
    server = await start_server(
        "127.0.0.1", 0, SUBPROTOCOL, lambda _, __: None, handle, ping_interval_s=0
    )
    print(server.port, flush=True)  # noqa: T201 - whoever started it reads it
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
