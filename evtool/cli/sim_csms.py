# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim csms`: a central system to connect charge points to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evtool.cli.options import project_option
from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from evtool.virtual.csms import Csms

COMMANDS = (
    "remote_start STATION ID_TAG",
    "remote_stop STATION [TRANSACTION]",
    "call STATION ACTION JSON",
    "id_tag ID_TAG Accepted|Blocked|Expired|Invalid|ConcurrentTx",
    "stations",
    "transactions",
    "quit",
)


@click.command(epilog=EXIT_CODES)
@click.option(
    "--listen",
    default="127.0.0.1:9000",
    show_default=True,
    metavar="HOST:PORT",
    help="Where to serve; port 0 picks a free one.",
)
@project_option
@click.option(
    "--stations",
    "stations_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help='TOML or JSON, mode 0600: [stations] with "IDENTITY" = "AuthorizationKey" lines.',
)
@click.option("--open", "open_to_all", is_flag=True, help="Admit any other station, no password.")
@click.option(
    "--heartbeat",
    type=click.IntRange(1, 86_400),
    default=300,
    show_default=True,
    help="Seconds between heartbeats, as told in BootNotification.conf.",
)
@json_option
def command(
    listen: str,
    project_path: Path | None,
    stations_path: Path | None,
    open_to_all: bool,
    heartbeat: int,
    as_json: bool,
) -> None:
    """Run a central system for OCPP 1.6J over WebSocket.

    It admits the charge point of --project, those in --stations, or with --open any. A key
    is checked as HTTP Basic: a wrong one is refused with 401, an unknown identity with 404.

    \b
    Commands on stdin:
      remote_start STATION ID_TAG         start a transaction on connector 1
      remote_stop STATION [TRANSACTION]   stop it (the latest that runs)
      call STATION ACTION JSON            send any operation
      id_tag ID_TAG STATUS                Accepted, Blocked, Expired, Invalid, ConcurrentTx
      stations, transactions              what is connected; what was recorded
      quit                                stop
    """
    import asyncio

    from evtool.cli.sim_input import parse_listen, serve_commands
    from evtool.cli.station_keys import station_keys
    from evtool.link.clock import unix_ms
    from evtool.link.websocket import start_server
    from evtool.protocol.ocpp16 import SUBPROTOCOL
    from evtool.virtual.csms import Csms

    host, port = parse_listen(listen)
    output = Output(as_json)
    keys = station_keys(project_path, stations_path, open_to_all)
    csms = Csms(
        keys,
        open_to_all=open_to_all,
        clock=unix_ms,
        report=lambda event: output.result(_line(event), event),
        heartbeat_s=heartbeat,
    )

    async def serve() -> None:
        server = await start_server(host, port, SUBPROTOCOL, csms.admit, csms.serve)
        url = f"ws://{listen.rpartition(':')[0]}:{server.port}"
        output.event("ready", url=url, port=server.port, stations=sorted(keys))
        admitted = ", ".join(sorted(keys)) + (" and any other" if open_to_all else "")
        output.say(f"central system ready at {url} for {admitted}")
        if not host.startswith("127.") and host != "::1" and open_to_all:
            output.say("warning: --open without a password, beyond this computer")
        running: set[asyncio.Task[None]] = set()

        async def handle(name: str, rest: str) -> None:
            # A station may take its time to answer: other commands do not wait for it.
            task = asyncio.create_task(_obey(csms, output, name, rest))
            running.add(task)
            task.add_done_callback(running.discard)

        try:
            await serve_commands(handle)
        finally:
            for task in running:
                task.cancel()
            await server.close()

    asyncio.run(serve())


async def _obey(csms: Csms, output: Output, name: str, rest: str) -> None:
    """Carry out one command; whatever is wrong with it is reported, not raised."""
    from evtool.errors import DeviceError

    try:
        document = await _carry_out(csms, name, rest)
    except (ValueError, DeviceError) as error:
        reason = getattr(error, "message", str(error))
        output.result(f"refused: {name}: {reason}", {"event": "refused", "command": name} | {
            "reason": reason
        })  # fmt: skip
        return
    output.result(_line(document), document)


async def _carry_out(csms: Csms, name: str, rest: str) -> dict[str, Any]:
    import json

    answer: Mapping[str, Any]
    match [name, *rest.split(None, 2)]:
        case ["remote_start", station, id_tag]:
            answer = await csms.remote_start(station, id_tag)
        case ["remote_stop", station]:
            answer = await csms.remote_stop(station)
        case ["remote_stop", station, number] if number.isascii() and number.isdigit():
            answer = await csms.remote_stop(station, int(number))
        case ["call", station, action, text]:
            payload = json.loads(text)
            if not isinstance(payload, dict):
                raise ValueError("the payload is an object, such as {}")  # noqa: TRY004 - input
            answer = await csms.ask(station, action, payload)
            if action == "GetConfiguration":
                from evtool.protocol.ocpp16 import masked

                answer = masked(action, dict(answer))
        case [
            "id_tag",
            id_tag,
            "Accepted" | "Blocked" | "Expired" | "Invalid" | "ConcurrentTx" as s,
        ]:
            csms.id_tags[id_tag] = s
            answer = {"id_tag": id_tag, "status": s}
        case ["stations"]:
            found = [station.describe() for station in csms.stations.values()]
            return {"event": "stations", "stations": found}
        case ["transactions"]:
            records = [record.describe() for record in csms.transactions.values()]
            return {"event": "transactions", "transactions": records}
        case _:
            raise ValueError("the commands are: " + ", ".join(COMMANDS))
    return {"event": "answer", "command": name, "payload": dict(answer)}


def _line(event: Mapping[str, Any]) -> str:
    """An event as people read it."""
    import json
    import time

    stamp = time.strftime("%H:%M:%S")
    match event["event"]:
        case "message":
            arrow = "<-" if event["direction"] == "received" else "->"
            what = {"call": "", "result": ".conf", "error": " failed:"}.get(event["type"], "")
            body = event.get("payload", event.get("code", event.get("reason", "")))
            text = json.dumps(body, ensure_ascii=False) if isinstance(body, dict) else str(body)
            return f"{stamp} {event['station']} {arrow} {event.get('action', '')}{what} {text}"
        case "connected" | "disconnected":
            return f"{stamp} {event['station']} {event['event']}"
        case "rejected":
            # Whoever knocks chose that name: no control characters of it reach the terminal.
            return f"{stamp} {event['station']!a} rejected ({event['status']}): {event['reason']}"
        case "stations":
            lines = [f"{s['station']}: {s['statuses']}" for s in event["stations"]]
            return "\n".join(lines) or "no station is connected"
        case "transactions":
            lines = [
                f"{t['transaction_id']}: {t['station']} {t['id_tag']} from {t['meter_start']} Wh "
                + (f"to {t['meter_stop']} Wh, {t['reason']}" if t["stopped"] else "running")
                for t in event["transactions"]
            ]
            return "\n".join(lines) or "no transaction yet"
    return f"{stamp} {event['command']}: {json.dumps(event['payload'], ensure_ascii=False)}"
