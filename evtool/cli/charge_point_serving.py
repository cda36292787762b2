# SPDX-License-Identifier: GPL-3.0-or-later
"""What both kinds of `evtool sim charge-point` share: what they are given, and how they serve."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evtool.cli.output import Output
from evtool.cli.sim_input import serve_commands

_SAID = frozenset({"status", "transaction", "websocket", "restarted", "reconnect", "notice"})


@dataclass(frozen=True)
class Given:
    """The arguments that both kinds have."""

    url: str
    identity: str
    storage_folder: Path
    connectors: int
    key_file: Path | None
    key_env: str | None
    ca_certificate: Path | None
    as_json: bool


class Host(Protocol):
    """A charge point that runs until it is closed or `failed` is set."""

    failed: asyncio.Future[None]

    def start(self) -> None:
        """Give it power."""

    async def close(self) -> None:
        """Take the power away."""

    def status(self) -> dict[str, object]:
        """What is known of it."""


def tell(output: Output, event: str, fields: dict[str, object]) -> None:
    """Say an event of a charge point, to programs all of them, to people the short ones."""
    output.event(event, **fields)
    if event == "preset" and fields["status"] != "Accepted":
        output.say(f"configuration {fields['key']}: {fields['status']}")
    if event in _SAID:
        words = " ".join(f"{key}={value}" for key, value in fields.items() if value is not None)
        output.say(printable(f"{event} {words}".strip()))


def printable(text: str) -> str:
    """The text without what moves a terminal: some of it is the central system's."""
    return "".join(each if each.isprintable() else "?" for each in text)


async def serve(host: Host, obey: Callable[[str, list[str]], str | None], output: Output) -> None:
    """Run `host` and obey stdin until `quit`, SIGTERM, or it fails.

    Args:
        host: what runs.
        obey: carries out a command (name, words); returns what is wrong with it, or None.
        output: where is said what came of it.
    """

    async def handle(name: str, rest: str) -> None:
        command_line = f"{name} {rest}".strip()
        if command_line == "status":
            status = host.status()
            output.event("state", **status)
            output.say("\n".join(f"  {key}: {value}" for key, value in status.items()))
            return
        problem = obey(name, rest.split())
        if problem is not None:
            output.event("refused", command=command_line, reason=problem)
            output.say(f"{command_line}: {problem}")
        else:
            output.event("done", command=command_line)

    serving = asyncio.ensure_future(serve_commands(handle))
    try:
        await asyncio.sleep(0)  # it takes over SIGTERM: whoever reads `ready` may send it
        host.start()
        await asyncio.wait({serving, host.failed}, return_when=asyncio.FIRST_COMPLETED)
        if host.failed.done():
            host.failed.result()
        await serving
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await host.close()
