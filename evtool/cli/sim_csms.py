# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim csms`: a central system to connect charge points to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evtool.cli.options import project_option
from evtool.cli.output import EXIT_CODES, Output, json_option

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command(epilog=EXIT_CODES)
@click.option(
    "--listen",
    default="127.0.0.1:9000",
    show_default=True,
    metavar="HOST:PORT|off",
    help="Where to serve ws://; port 0 picks a free one.",
)
@click.option("--listen-tls", metavar="HOST:PORT", help="Where to serve wss://.")
@click.option("--tls-certificate", type=FILE, help="PEM, with its chain.")
@click.option("--tls-key", type=FILE, help="PEM.")
@click.option("--lab-ca", type=FOLDER, help="Make a CA and certificates here, where missing.")
@click.option("--lab-name", "lab_names", multiple=True, help="Another name of this computer.")
@click.option("--ca-certificate", type=FILE, help="CA that signs stations' requests.")
@click.option("--ca-key", type=FILE, help="Its key.")
@click.option("--client-ca", type=FILE, help="CA of stations' certificates, if another.")
@click.option("--cpo", metavar="NAME", help="What stations' certificates must say as O.")
@click.option("--hex-keys", is_flag=True, help="Admit who sends a key as its hex digits.")
@project_option
@click.option(
    "--stations",
    "stations_path",
    type=FILE,
    help='TOML or JSON, mode 0600: [stations] with "IDENTITY" = "AuthorizationKey" lines.',
)
@click.option("--open", "open_to_all", is_flag=True, help="Admit any other station, no password.")
@click.option("--id-tags", "id_tags_path", type=FILE, help="TOML or JSON: [id_tags].")
@click.option(
    "--unknown-id-tags",
    type=click.Choice(["Accepted", "Blocked", "Expired", "Invalid"]),
    help="Status of all others (default: Accepted, with --id-tags Invalid).",
)
@click.option("--profiles", type=FOLDER, help="Charging profiles (JSON) and certificates (PEM).")
@click.option("--firmware", type=FOLDER, help="Serve these files to stations.")
@click.option("--uploads", type=FOLDER, help="Take diagnostics and logs into this folder.")
@click.option(
    "--uploads-limit",
    type=click.IntRange(1),
    default=1024,
    show_default=True,
    metavar="MIB",
    help="How much that folder may hold; more is refused.",
)
@click.option(
    "--files",
    default="127.0.0.1:0",
    show_default=True,
    metavar="HOST:PORT",
    help="Where to serve them.",
)
@click.option("--files-url", metavar="URL", help="How stations reach that, if otherwise.")
@click.option("--control", metavar="HOST:PORT", help="Serve the web page and the HTTP API.")
@click.option("--control-token", metavar="VARIABLE", help="Environment variable with its token.")
@click.option("--database", type=FILE, help="Keep transactions and changed keys (SQLite).")
@click.option("--log", type=FILE, help="Append every event as a JSON line; 64 MiB a file.")
@click.option("--script", type=FILE, help="Run it, then stop; exit code 1 where it fails.")
@click.option(
    "--heartbeat",
    type=click.IntRange(1, 86_400),
    default=300,
    show_default=True,
    help="Seconds between heartbeats, as told in BootNotification.conf.",
)
@click.option(
    "--ping",
    type=click.IntRange(0, 3600),
    default=60,
    show_default=True,
    help="Seconds between WebSocket pings; who answers none is cut. 0 sends none.",
)
@click.option(
    "--max-rate",
    type=click.IntRange(0),
    default=5000,
    show_default=True,
    help="Messages a second above which a station is read more slowly; 0 for no limit.",
)
@json_option
def command(*, as_json: bool, **options: Any) -> None:
    """Run a central system for OCPP 1.6J over WebSocket.

    It admits the charge point of --project, those in --stations, or with --open any. A key
    is checked as HTTP Basic: a wrong one is refused with 401, an unknown identity with 404.

    \b
    Commands on stdin, in a script, and over HTTP (docs/csms.md lists all):
      remote_start STATION ID_TAG [CONNECTOR|any [PROFILE]]
      remote_stop STATION [TRANSACTION]   the latest that runs
      call STATION ACTION JSON            any operation
      id_tag ID_TAG STATUS                Accepted, Blocked, Expired, Invalid, ConcurrentTx
      fault STATION ACTION answer|call|received KIND [VALUE] [xTIMES]
      stations, transactions              what is connected; what was recorded
      quit                                stop
    """
    import asyncio

    from evtool.cli.csms_host import CsmsHost, CsmsOptions

    asyncio.run(CsmsHost(CsmsOptions(**options), Output(as_json)).run())
