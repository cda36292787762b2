# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim charge-point --count N`: a fleet of charge points as a load on a CSMS."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import secrets
import signal
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

from evtool.cli.charge_point_identity import read_key
from evtool.cli.fleet import Fleet, Member
from evtool.cli.load_options import LoadOptions
from evtool.cli.load_report import LoadReport
from evtool.cli.output import Output
from evtool.cli.station_keys import station_accounts
from evtool.errors import CheckFailed, ConfigError, DeviceError
from evtool.link.open_files import allow_open_sockets
from evtool.link.secret_source import check_private_file
from evtool.link.tls import client_tls
from evtool.protocol.csms_url import charge_point_url, parse_csms_url
from evtool.protocol.ocpp16 import render_basic_authorization
from evtool.reference_impl.charge_point import Settings
from evtool.reference_impl.fleet.station import Load, Station
from evtool.reference_impl.fleet.tally import Tally

_LEAVE_S = 30.0
_PROGRESS_S = 5.0
_REDRAW_S = 1.0


def load_keys(
    load: LoadOptions, key_file: Path | None, key_env: str | None
) -> Callable[[str], bytes | None]:
    """The AuthorizationKey of each identity: one for all, from a list, or none.

    Raises:
        ConfigError: the file, the list or a key is wrong; never shows a key. Also what it
            returns, where an identity is not in the list.
    """
    one = read_key(key_file, key_env)
    if load.stations is None:
        for_all = bytes.fromhex(one) if one is not None else None
        return lambda _: for_all
    if one is not None:
        raise ConfigError(
            "--stations names the keys already", fix="leave --key-file and --key-env out"
        )
    accounts = station_accounts(None, load.stations, open_to_all=True)
    listed = {identity: account.key for identity, account in accounts.items()}

    def find(identity: str) -> bytes | None:
        if identity not in listed:
            raise ConfigError(
                f"{load.stations}: no key for {identity}", fix="add it to the table [stations]"
            )
        return listed[identity]

    return find


def run_load(
    url: str,
    pattern: str,
    load: LoadOptions,
    keys: Callable[[str], bytes | None],
    product: Settings,
    ca_certificate: Path | None,
    output: Output,
) -> None:
    """Run the fleet until `load.duration`, Ctrl-C, SIGTERM or `quit`.

    Args:
        keys: gives the AuthorizationKey of an identity; None for none.
        product: what every charge point is and starts with.

    Raises:
        ConfigError: an option, the URL or the pattern is wrong, or too few files may be open.
        DeviceError: not one connection could be opened.
        CheckFailed: something else went wrong, as the summary says.
        KeyboardInterrupt: Ctrl-C, once all was ended in order.
    """
    load.check()
    identities = load.identities(pattern)
    tls = _tls(url, ca_certificate)
    contexts = _client_contexts(url, load, ca_certificate)
    allow_open_sockets(load.count)
    tally = Tally()
    members = _members(url, identities, load, keys, product, tally)
    for member, context in zip(members, contexts, strict=False):
        member.tls = context
    asyncio.run(_serve(Fleet(members, load.connect_rate, tls, tally), tally, load, output))


def _members(
    url: str,
    identities: list[str],
    load: LoadOptions,
    keys: Callable[[str], bytes | None],
    product: Settings,
    tally: Tally,
) -> list[Member]:
    # One for all: it says nothing of who they are, and each would cost memory.
    settings = dataclasses.replace(
        product,
        id_prefix=secrets.token_hex(4),
        presets={
            "MeterValueSampleInterval": str(load.meter_interval),
            # Heartbeats show whether a connection lives; so many pings would be a load that no
            # one asked for.
            "WebSocketPingInterval": "0",
            **product.presets,
        },
    )
    share = load.charging / 100
    each_load = Load(share, round(load.transaction_length * 1000), load.id_tag, load.heartbeat)
    dice = random.Random(0)  # noqa: S311 - which moment of its day each one is in
    members = []
    for identity in identities:
        key = keys(identity)
        try:
            header = render_basic_authorization(identity, key) if key is not None else None
        except ValueError as error:
            raise ConfigError(f"IDENTITY {identity!r}: {error}", fix="name it otherwise") from None
        try:
            station = Station(settings, each_load, tally, dice)
        except ValueError as error:
            raise ConfigError(f"--configuration: {error}", fix="correct the value") from error
        members.append(Member(station, charge_point_url(url, identity), header))
    return members


def _tls(url: str, ca_certificate: Path | None) -> ssl.SSLContext | None:
    try:
        return client_tls(ca_certificate) if parse_csms_url(url).tls else None
    except ValueError as error:
        raise ConfigError(
            f"URL: {error}", fix="write for example ws://127.0.0.1:9000"
        ) from error  # without the URL itself: a password may stand in it


def _client_contexts(
    url: str, load: LoadOptions, ca_certificate: Path | None
) -> list[Callable[[], ssl.SSLContext]]:
    """For each charge point what makes its TLS context; none where they show no certificate.

    Raises:
        ConfigError: no wss, or a file that is missing, readable by others, or no certificate.
    """
    files = load.client_files()
    if files and not parse_csms_url(url).tls:
        raise ConfigError(
            f"URL {url}: a certificate is shown over wss:// only",
            fix="write wss://, or leave out --client-certificate",
        )
    for certificate, key in files:
        check_private_file(certificate if key is None else key, "--client-key")
    contexts = [partial(client_tls, ca_certificate, *each) for each in files]
    if contexts:
        contexts[0]()  # the first shows what is wrong with all of them
    return list(contexts)


async def _serve(fleet: Fleet, tally: Tally, load: LoadOptions, output: Output) -> None:
    from evtool.cli.sim_input import serve_commands

    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()
    report = LoadReport(output, fleet, tally, load.count)
    output.event("ready", charge_points=load.count)
    output.say(f"{load.count} charge points, {load.connect_rate:g} new connections a second")

    async def obey(name: str, _: str) -> None:
        output.event("refused", command=name, reason="the only command of a load test is quit")

    running = asyncio.ensure_future(fleet.run())
    ends = {
        running,
        asyncio.ensure_future(serve_commands(obey)),
        asyncio.ensure_future(interrupted.wait()),
    }
    telling = asyncio.ensure_future(_tell(report, _REDRAW_S if report.redraws else _PROGRESS_S))
    loop.add_signal_handler(signal.SIGINT, interrupted.set)
    try:
        await asyncio.wait(ends, timeout=load.duration, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()  # a bug of ours
        report.tell()
        report.note(f"ending {fleet.count_charging()} transactions; Ctrl-C again drops them")
        undone = await _leave(fleet, interrupted.is_set())
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        for task in (*ends, telling):
            task.cancel()
        await asyncio.gather(*ends, telling, return_exceptions=True)
    report.conclude(undone)
    _judge(tally, undone, interrupted.is_set())


async def _tell(report: LoadReport, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        report.tell()


async def _leave(fleet: Fleet, was_interrupted: bool) -> int:
    """End in order, unless somebody cannot wait."""
    leaving = asyncio.ensure_future(fleet.leave(_LEAVE_S))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, leaving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        return await leaving
    if was_interrupted:
        raise KeyboardInterrupt
    return 0


def _judge(tally: Tally, undone: int, was_interrupted: bool) -> None:
    if was_interrupted:
        raise KeyboardInterrupt
    causes = ", ".join(f"{count} x {cause}" for cause, count in tally.errors.most_common(3))
    if not tally.opened:
        raise DeviceError(
            f"no connection could be opened: {causes or 'none was tried'}",
            fix="check the URL and the keys; `evtool ocpp check` tries one, step by step",
        )
    if tally.errors or undone:
        unfinished = f"{undone} charge points did not finish" if undone else ""
        raise CheckFailed(
            "not all went well: " + "; ".join(filter(None, [causes, unfinished])),
            fix="look at the central system's log, or lower the load",
        )
