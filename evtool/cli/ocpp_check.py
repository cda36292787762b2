# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool ocpp check`: what a charge point will send, and whether a central system takes it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evtool.cli.options import project_option
from evtool.cli.output import EXIT_CODES, Output, json_option
from evtool.cli.show_secrets import may_show, show_secrets_option

if TYPE_CHECKING:
    from evtool.project import Project, Secret
    from evtool.protocol.connect_step import ConnectStep
    from evtool.provision.connection import Connection, ConnectionInput

_FILE = click.Path(dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class _Files:
    """The certificates' files."""

    ca: Path | None
    client_certificate: Path | None
    client_key: Path | None
    server_certificate: Path | None


@click.command(epilog=EXIT_CODES)
@click.option("--identity", metavar="ID", help="The charge point's identity.")
@click.option("--url", metavar="URL", help="The central system's ws:// or wss:// URL.")
@click.option(
    "--profile",
    type=click.IntRange(0, 3),
    help="Security profile (default: the project's; else 1 for ws://, 2 for wss://, 3 with "
    "--client-certificate).",
)
@click.option("--key-file", type=_FILE, metavar="FILE", help="The key: the first line, mode 0600.")
@click.option("--key-env", metavar="NAME", help="The key: an environment variable.")
@click.option("--key-stdin", is_flag=True, help="The key: the first line of stdin.")
@click.option("--ca", type=_FILE, metavar="FILE", help="The central system's root, PEM.")
@click.option("--client-certificate", type=_FILE, metavar="FILE", help="Profile 3, PEM.")
@click.option("--client-key", type=_FILE, metavar="FILE", help="Profile 3, PEM, not encrypted.")
@click.option(
    "--server-certificate",
    type=_FILE,
    metavar="FILE",
    help="What the central system shows, PEM: its chain and host name are checked too.",
)
@project_option
@click.option("--connect", is_flag=True, help="Try the connection, step by step.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 600),
    default=10.0,
    show_default=True,
    metavar="S",
    help="Seconds for each step of the connection.",
)
@show_secrets_option
@json_option
def command(
    identity: str | None,
    url: str | None,
    profile: int | None,
    project_path: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Check a charge point's connection: its URL, key and certificates.

    Prints the exact URL, the subprotocol and the form of the Basic header; says which known
    stacks read the key in another way; for security profiles 2 and 3 checks authority, chain,
    host name, dates and client certificate. All of this without a network.

    With --connect it is tried: DNS, TCP, TLS, HTTP, subprotocol, each with what it means and
    what to do about it. Nothing is sent over a WebSocket that opened.

    What is not given is taken from the project. The key is never an argument. With --json one
    line for the check, one for each step, and a last one.
    """
    from evtool.provision.connection import judge_connection

    output = Output(as_json)
    files = _Files(*(options[name] for name in _Files.__dataclass_fields__))
    keys = {
        "--key-file": options["key_file"],
        "--key-env": options["key_env"],
        "--key-stdin": options["key_stdin"],
    }
    given = [name for name, value in keys.items() if value]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} exclude one another")
    question = "The header holds the key. Print it on this terminal?"
    without_asking = options["without_asking"]
    show = options["show_secrets"] and may_show(question, without_asking=without_asking)
    key = _key(keys)
    values, files = _values(identity, url, profile, key, files, project_path)
    connection = judge_connection(values, _now())
    _tell(output, values, connection, show)
    failed = None
    if options["connect"]:
        failed = _connect(output, values, connection, files, options["timeout"])
    _conclude(output, connection, failed)


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def _key(given: dict[str, Any]) -> Secret | None:
    from evtool.errors import SecretMissing
    from evtool.link.secret_source import SecretSource
    from evtool.project import Secret, SecretRef

    source = SecretSource(Path.cwd(), create=False)
    if given["--key-env"]:
        return source.resolve(SecretRef("env", given["--key-env"]), "--key-env")
    if given["--key-file"]:
        return source.resolve(SecretRef("file", str(given["--key-file"])), "--key-file")
    if given["--key-stdin"]:
        if sys.stdin.isatty():
            return Secret(click.prompt("AuthorizationKey", hide_input=True, err=True))
        text = sys.stdin.readline().rstrip("\r\n")
        if not text:
            raise SecretMissing(
                "--key-stdin: the first line of stdin is empty", fix="write the key there"
            )
        return Secret(text)
    return None


def _values(
    identity: str | None,
    url: str | None,
    profile: int | None,
    key: Secret | None,
    files: _Files,
    project_path: Path | None,
) -> tuple[ConnectionInput, _Files]:
    """What is to be checked; from the project where it was not given."""
    from dataclasses import replace

    from evtool.cli.options import open_project, secret_source
    from evtool.provision.connection import ConnectionInput

    client_key = _read(files.client_key, "--client-key")
    if project_path is not None or identity is None or url is None:
        project = open_project(project_path)
        own_url = url is None
        identity = project.charge_point.identity if identity is None else identity
        url = project.csms.url if url is None else url
        if own_url:
            profile = project.csms.security_profile if profile is None else profile
            files = replace(files, ca=files.ca or project.csms.ca_certificate)
            if profile == 3 and files.client_certificate is None:
                files = replace(files, client_certificate=project.csms.client_certificate)
                client_key = _own_key(project) if client_key is None else client_key
        if key is None and profile in (None, 1, 2):
            key = secret_source(project, create=False).resolve(
                project.csms.authorization_key, f"{identity} authorization_key"
            )
    if profile is None:
        secure = url.lower().startswith("wss:")
        profile = 3 if files.client_certificate else 2 if secure else 1
    return (
        ConnectionInput(
            identity=identity,
            url=url,
            key=key,
            profile=profile,
            ca=_read(files.ca, "--ca"),
            client_certificate=_read(files.client_certificate, "--client-certificate"),
            client_key=client_key,
            server=_read(files.server_certificate, "--server-certificate"),
        ),
        files,
    )


def _own_key(project: Project) -> bytes | None:
    """The private key of the project's own certificate."""
    from evtool.cli.options import secret_source

    ref, unit = project.csms.client_key, project.charge_point.identity
    if ref is None:
        return None
    source = secret_source(project, create=False)
    return source.resolve_text(ref, f"{unit} client_key").reveal().encode()


@contextmanager
def _key_file(values: ConnectionInput, files: _Files) -> Iterator[Path | None]:
    """Where OpenSSL reads the private key: the file that was named, or one for this moment."""
    from evtool.link.files import write_atomically
    from evtool.link.private_folder import private_folder

    if files.client_key is not None or values.client_key is None:
        yield files.client_key
        return
    with private_folder() as folder:
        path = folder / "client.key"
        write_atomically(path, values.client_key, 0o600)
        yield path


def _read(path: Path | None, option: str) -> bytes | None:
    from evtool.errors import ConfigError

    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{option}: cannot read {path}: {error.strerror or error}", fix="correct the path"
        ) from error


def _tell(output: Output, values: ConnectionInput, found: Connection, show: bool) -> None:
    from evtool.protocol.csms_url import masked_url

    header = found.authorization.reveal() if show and found.authorization else None
    url = found.url if show else masked_url(found.url)
    lines = [
        f"url            {url or '(none)'}",
        f"subprotocol    {found.subprotocol}",
        f"authorization  {header or found.authorization_form}",
    ]
    for form, readings in found.key_readings.items():
        lines.append(f"key, {form}:")
        for each in readings:
            mark = "ok  " if each.agrees else "DIFF"
            lines.append(f"  {mark} {each.stack.name:27} {each.meaning}")
    remarks = found.remarks
    lines += [f"ok       {each}" for each in remarks.facts]
    lines += [f"note     {each}" for each in remarks.warnings]
    lines += [f"PROBLEM  {each}" for each in remarks.problems]
    document: dict[str, object] = {
        "event": "check",
        "identity": values.identity,
        "url": url,
        "subprotocol": found.subprotocol,
        "security_profile": values.profile,
        "authorization": header,
        "authorization_form": found.authorization_form,
        "key": {
            form: [
                {"stack": each.stack.name, "agrees": each.agrees, "meaning": each.meaning}
                for each in readings
            ]
            for form, readings in found.key_readings.items()
        },
        "problems": remarks.problems,
        "warnings": remarks.warnings,
        "facts": remarks.facts,
    }
    output.result("\n".join(lines), document)


def _connect(
    output: Output,
    values: ConnectionInput,
    connection: Connection,
    files: _Files,
    timeout_s: float,
) -> ConnectStep | None:
    """Try it, and tell each step; the one that failed, or None."""
    from evtool.link.csms_probe import Probe, tls_context, try_connection
    from evtool.protocol.csms_url import parse_csms_url
    from evtool.provision.connect_meaning import meaning_of

    if not connection.url:
        return None
    url = parse_csms_url(connection.url)
    header = connection.authorization
    with _key_file(values, files) as client_key:
        probe = Probe(
            url=connection.url,
            host=url.host,
            port=url.port,
            subprotocol=connection.subprotocol,
            authorization=None if header is None else header.reveal(),
            ca=files.ca,
            client_certificate=files.client_certificate if values.profile == 3 else None,
            client_key=client_key,
            timeout_s=timeout_s,
        )
        context = tls_context(probe) if url.tls else None
    failed = None
    for step in try_connection(probe, context):
        meaning, fix = meaning_of(step)
        text = f"{'ok      ' if step.ok else 'FAILED  '} {step.name:11}  {step.detail}\n"
        text += f"         {meaning}" + (f"\n         fix: {fix}" if fix else "")
        document: dict[str, object] = {
            "event": "step",
            "step": step.name,
            "outcome": step.outcome,
            "detail": step.detail,
            "status": step.status,
            "meaning": meaning,
            "fix": fix,
        }
        output.result(text, document)
        failed = step if not step.ok else failed
    return failed


def _conclude(output: Output, connection: Connection, failed: ConnectStep | None) -> None:
    """Sum up.

    Raises:
        DeviceError: the connection failed.
        CheckFailed: something that was typed is wrong.
    """
    from evtool.errors import CheckFailed, DeviceError
    from evtool.protocol.csms_url import masked_url
    from evtool.provision.connect_meaning import meaning_of

    if failed is not None:
        meaning, fix = meaning_of(failed)
        raise DeviceError(f"{masked_url(connection.url)}: {failed.name}: {meaning}", fix=fix)
    problems = connection.remarks.problems
    if problems:
        rest = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise CheckFailed(
            f"this connection cannot work: {problems[0]}{rest}", fix="mend what is named above"
        )
    output.event("summary", ok=True, warnings=len(connection.remarks.warnings))
