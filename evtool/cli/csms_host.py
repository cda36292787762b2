# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool sim csms` put together: listeners, store, log, control port and script."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evtool.cli.csms_files import Lab, NamedFiles, read_authority, read_id_tags
from evtool.cli.csms_lines import render_line
from evtool.cli.output import Output
from evtool.cli.sim_input import parse_listen, serve_commands
from evtool.cli.station_keys import station_accounts
from evtool.errors import CheckFailed, ConfigError, DeviceError, EvtoolError
from evtool.link.clock import unix_ms
from evtool.link.control_server import MAX_LISTED, ControlServer
from evtool.link.database import Database
from evtool.link.event_stream import EventStream
from evtool.link.file_server import FileServer
from evtool.link.files import make_private_folder
from evtool.link.ocpp_server import OcppServer, Request
from evtool.link.open_files import allow_many_sockets
from evtool.link.rotating_log import RotatingLog
from evtool.link.tls import server_tls
from evtool.protocol import ocpp16
from evtool.resources import csms_page_dir
from evtool.virtual.csms import Csms, Event, Knock
from evtool.virtual.csms.certificates import Authority
from evtool.virtual.csms.control import Control
from evtool.virtual.csms.script import Script
from evtool.virtual.csms.sql_store import SCHEMA, VERSION, SqlStore

OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class CsmsOptions:
    """The options of `evtool sim csms`, as `--help` describes them."""

    listen: str
    listen_tls: str | None
    tls_certificate: Path | None
    tls_key: Path | None
    lab_ca: Path | None
    lab_names: tuple[str, ...]
    ca_certificate: Path | None
    ca_key: Path | None
    client_ca: Path | None
    cpo: str | None
    hex_keys: bool
    project_path: Path | None
    stations_path: Path | None
    open_to_all: bool
    id_tags_path: Path | None
    unknown_id_tags: str | None
    profiles: Path | None
    firmware: Path | None
    uploads: Path | None
    uploads_limit: int
    files: str
    files_url: str | None
    control: str | None
    control_token: str | None
    database: Path | None
    log: Path | None
    script: Path | None
    heartbeat: int
    ping: int
    max_rate: int


class CsmsHost:
    """One run of the central system."""

    def __init__(self, options: CsmsOptions, output: Output) -> None:
        self._options = options
        self._output = output
        self._accounts = station_accounts(
            options.project_path, options.stations_path, options.open_to_all
        )
        self._files = NamedFiles(options.profiles, options.firmware, paths=True)
        self._named = NamedFiles(options.profiles, options.firmware, paths=False)
        self._stream = EventStream()
        self._log: RotatingLog | None = None
        self._log_failure: EvtoolError | None = None
        self._script: Script | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until told to stop, or until the script has ended.

        Raises:
            CheckFailed: the script failed.
            EvtoolError: what could not be opened; or the log, where it ends too early.
        """
        options = self._options
        allow_many_sockets()
        async with AsyncExitStack() as stack:
            if options.log is not None:
                self._log = RotatingLog(options.log)
                stack.callback(self._log.close)
            authority, tls, client_ca = self._authority()
            self._csms = csms = self._make(stack, authority)
            if options.profiles is not None and not options.profiles.is_dir():
                raise ConfigError(f"{options.profiles}: no folder", fix="check --profiles")
            self._control = Control(csms, self._files)
            if options.script is not None:
                self._script = _script(options.script, self._control)
            if options.listen == OFF and options.listen_tls is None:
                raise ConfigError(
                    "--listen off leaves no station a way in", fix="give --listen-tls HOST:PORT"
                )
            ready: dict[str, object] = {"stations": sorted(self._accounts)}
            if options.listen != OFF:
                port = await self._listen(stack, options.listen, "--listen", None)
                host = options.listen.rpartition(":")[0]
                ready |= {"url": f"ws://{host}:{port}", "port": port}
            if options.listen_tls is not None:
                if tls is None:
                    raise ConfigError(
                        "--listen-tls needs a certificate",
                        fix="give --tls-certificate and --tls-key, or --lab-ca DIR",
                    )
                context = server_tls(*tls, client_ca, insist=False)
                port = await self._listen(stack, options.listen_tls, "--listen-tls", context)
                host = options.listen_tls.rpartition(":")[0]
                ready |= {"tls_url": f"wss://{host}:{port}", "tls_port": port}
            await self._serve_files(stack, ready)
            await self._serve_control(stack, ready)
            self._announce(ready)
            try:
                await self._follow()
            except asyncio.CancelledError:  # Ctrl-C
                self._check_log()
                raise
        self._check_log()

    def _make(self, stack: AsyncExitStack, authority: Authority | None) -> Csms:
        options = self._options
        store = None
        if options.database is not None:
            database = Database(options.database, SCHEMA, VERSION)
            stack.callback(database.close)
            store = SqlStore(database)
        csms = Csms(
            self._accounts,
            open_to_all=options.open_to_all,
            clock=unix_ms,
            report=self._report,
            heartbeat_s=options.heartbeat,
            store=store,
            authority=authority,
            cpo=options.cpo,
            hex_keys=options.hex_keys,
            max_rate=options.max_rate or None,
        )
        csms.id_tags = read_id_tags(options.id_tags_path, options.unknown_id_tags)
        return csms

    def _authority(self) -> tuple[Authority | None, tuple[Path, Path] | None, Path | None]:
        """Who signs; the server's certificate and key; who signs for clients."""
        options = self._options
        authority, tls, client_ca = None, None, options.client_ca
        if options.lab_ca is not None:
            lab = Lab(options.lab_ca, options.cpo, options.lab_names)
            authority, tls, client_ca = lab.authority, (lab.server, lab.server_key), lab.ca
            for identity, account in self._accounts.items():
                if account.profile == 3:
                    lab.issue_client(identity, account.common_name)
        if (options.ca_certificate is None) is not (options.ca_key is None):
            raise ConfigError("--ca-certificate and --ca-key go together", fix="give both")
        if options.ca_certificate is not None and options.ca_key is not None:
            authority = read_authority(options.ca_certificate, options.ca_key, options.cpo)
            client_ca = options.ca_certificate
        if (options.tls_certificate is None) is not (options.tls_key is None):
            raise ConfigError("--tls-certificate and --tls-key go together", fix="give both")
        if options.tls_certificate is not None and options.tls_key is not None:
            tls = (options.tls_certificate, options.tls_key)
        return authority, tls, options.client_ca or client_ca

    async def _listen(self, stack: AsyncExitStack, address: str, option: str, tls: Any) -> int:
        host, port = parse_listen(address, option)
        server = OcppServer(
            subprotocol=ocpp16.SUBPROTOCOL,
            admit=self._admit,
            handle=self._csms.serve,
            refused=self._refused,
            tls=tls,
            ping_s=float(self._options.ping) or None,
            hold_s=self._csms.hold_s,
        )
        port = await server.listen(host, port)
        stack.push_async_callback(server.close)
        if self._options.open_to_all and not is_loopback(host):
            self._output.say("warning: --open without a password, beyond this computer")
        return port

    async def _serve_files(self, stack: AsyncExitStack, ready: dict[str, object]) -> None:
        options = self._options
        if options.firmware is None and options.uploads is None:
            return
        if options.firmware is not None and not options.firmware.is_dir():
            raise ConfigError(f"{options.firmware}: no folder", fix="check --firmware")
        if options.uploads is not None:
            make_private_folder(options.uploads)
        host, port = parse_listen(options.files, "--files")
        server = FileServer(
            options.firmware,
            options.uploads,
            self._report,
            max_total=options.uploads_limit << 20,
        )
        port = await server.listen(host, port)
        stack.push_async_callback(server.close)
        url = options.files_url or f"http://{options.files.rpartition(':')[0]}:{port}"
        for files in (self._files, self._named):
            files.base_url = url.rstrip("/")
            files.takes_uploads = options.uploads is not None
        ready["files_url"] = url

    async def _serve_control(self, stack: AsyncExitStack, ready: dict[str, object]) -> None:
        options = self._options
        if options.control is None:
            return
        host, port = parse_listen(options.control, "--control")
        token = None
        if options.control_token is not None:
            token = os.environ.get(options.control_token)
            if not token or len(token) < 16:
                raise ConfigError(
                    f"--control-token: {options.control_token} holds no token of 16 characters",
                    fix=f"export {options.control_token}=... before the command",
                )
        elif not is_loopback(host):
            raise ConfigError(
                f"--control {options.control}: a token is needed beyond this computer",
                fix="put one into an environment variable and name that with --control-token",
            )
        control = Control(self._csms, self._named, MAX_LISTED)

        async def call(station: str, action: str, payload: dict[str, Any]) -> Event:
            return await control.ask("call", station, action, payload)

        server = ControlServer(
            obey=control.obey,
            call=call,
            set_key=self._set_key,
            stream=self._stream,
            page=csms_page_dir(),
            token=token,
            refused=lambda reason: self._report({"event": "control_refused", "reason": reason}),
        )
        port = await server.listen(host, port)
        stack.push_async_callback(server.close)
        ready["control_url"] = f"http://{options.control.rpartition(':')[0]}:{port}"

    def _set_key(self, identity: str, key: str) -> None:
        self._csms.set_key(identity, ocpp16.decode_authorization_key(key))

    def _announce(self, ready: dict[str, object]) -> None:
        self._output.event("ready", **ready)
        admitted = ", ".join(sorted(self._accounts))
        if self._options.open_to_all:
            admitted = f"{admitted} and any other" if admitted else "any station"
        urls = [str(ready[name]) for name in ("url", "tls_url") if name in ready]
        self._output.say(f"central system ready at {' and '.join(urls)} for {admitted}")
        if "control_url" in ready:
            self._output.say(f"its page is {ready['control_url']}/")

    async def _follow(self) -> None:
        """Take commands until the end, the script's or what stdin says."""
        commands = asyncio.create_task(serve_commands(self._handle))
        ends: set[asyncio.Task[Any]] = {commands}
        if self._script is not None:
            ends.add(asyncio.create_task(self._script.run()))
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                lines = task.result()
                if task is not commands:
                    self._output.result(f"passed: {lines} lines", _passed(lines))
            if self._script is not None and commands in done:
                raise CheckFailed("stopped before the script had ended")
        finally:
            for task in (*ends, *self._running):
                task.cancel()
            await asyncio.gather(*ends, *self._running, return_exceptions=True)

    async def _handle(self, name: str, rest: str) -> None:
        # A station may take its time to answer: other commands do not wait for it.
        task = asyncio.create_task(self._obey(name, rest))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _obey(self, name: str, rest: str) -> None:
        """Carry out one command; whatever is wrong with it is reported, not raised."""
        try:
            self._report(await self._control.obey(f"{name} {rest}"))
        except (ValueError, DeviceError) as error:
            reason = getattr(error, "message", str(error))
            self._report({"event": "refused", "command": name, "reason": reason})

    def _admit(self, request: Request) -> int | None:
        return self._csms.judge(
            Knock(
                request.path,
                request.authorization,
                request.is_tls,
                request.common_name,
                request.organization,
            )
        )

    def _refused(self, path: str, status: int, reason: str) -> None:
        station = (ocpp16.parse_identity(path) or "?")[:100]
        self._report({"event": "rejected", "station": station, "status": status, "reason": reason})

    def _report(self, event: Event) -> None:
        moment = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        timed: Event = {"time": moment} | event
        if self._log is not None and self._log_failure is None:
            self._append(self._log, json.dumps(timed))
        self._stream.put(timed)
        if self._script is not None:
            self._script.on_event(event)
        self._output.result(render_line(event), event)

    def _check_log(self) -> None:
        if self._log_failure is not None:
            raise self._log_failure

    def _append(self, log: RotatingLog, line: str) -> None:
        """Add to the log; where that fails the bench goes on without it, and the end says so."""
        try:
            log.append(line)
        except EvtoolError as error:
            self._log_failure = error
            self._report({"event": "log_failed", "reason": error.message})


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _script(path: Path, control: Control) -> Script:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"--script {path}: not UTF-8 text", fix="name a script, or save it as UTF-8"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"--script {path}: cannot be read: {error.strerror or error}", fix="check the path"
        ) from error
    try:
        return Script(path.name, text, control)
    except ValueError as error:
        raise ConfigError(
            f"--script: {error}", fix="correct the line; docs/csms.md lists them all"
        ) from error


def _passed(lines: int) -> dict[str, object]:
    return {"event": "passed", "lines": lines}
