# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim bus`: CAN buses for programs on this computer."""

from __future__ import annotations

import click

from evtool.cli.output import EXIT_CODES, Output, json_option


@click.command(epilog=EXIT_CODES)
@click.option(
    "--listen",
    default="127.0.0.1:29536",
    show_default=True,
    metavar="HOST:PORT",
    help="Where to serve; port 0 picks a free one. There is no password: keep it on loopback.",
)
@json_option
def command(listen: str, as_json: bool) -> None:
    """Serve CAN buses over TCP (the socketcand protocol).

    Every name that a client opens (can0, can1, ...) is a bus of its own that joins all of
    its clients: evtool's own simulators, and any python-can program with
    interface="socketcand".

    \b
    Commands on stdin:  status    frames and clients so far
                        quit      stop
    """
    import asyncio

    from evtool.cli.sim_input import parse_listen, serve_commands
    from evtool.link.can_hub import CanHub

    host, port = parse_listen(listen)
    output = Output(as_json)

    async def serve() -> None:
        hub = CanHub()
        chosen = await hub.start(host, port)
        channel = f"{host}:{chosen}/can0"
        output.event(
            "ready", host=host, port=chosen, can_interface="socketcand", can_channel=channel
        )
        output.say(f"CAN bus ready: --can-interface socketcand --can-channel {channel}")

        async def handle(name: str, _: str) -> None:
            if name != "status":
                output.event("refused", command=name, reason="the commands are: status, quit")
                output.say(f"{name}: the commands are: status, quit")
                return
            seen = hub.statistics
            output.event(
                "status",
                clients=seen.clients,
                frames=seen.frames,
                malformed=seen.malformed,
                dropped_clients=seen.dropped_clients,
            )
            output.say(
                f"{seen.clients} clients, {seen.frames} frames, {seen.malformed} malformed, "
                f"{seen.dropped_clients} clients dropped for reading too slowly"
            )

        try:
            await serve_commands(handle)
        finally:
            await hub.close()

    asyncio.run(serve())
