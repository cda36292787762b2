# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool codegen`: secrets.h, the controller's configuration and the CAN tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli.options import open_project, project_option
from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from evtool.codegen.generated_file import GeneratedFile
    from evtool.project import Project

KINDS = ("secrets", "can-tables", "controller-config")


@click.command("codegen", epilog=EXIT_CODES)
@project_option
@click.option(
    "--only",
    type=click.Choice(KINDS),
    multiple=True,
    help="Only these files (may be repeated); the last two need no secret.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a file is stale.")
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would be written.")
@json_option
def command(
    project_path: Path | None, only: tuple[str, ...], check: bool, dry_run: bool, as_json: bool
) -> None:
    """Generate secrets.h and the CAN tables.

    \b
    secrets            secrets.h: Wi-Fi, CSMS and identity, mode 0600; for esp32dev_lab only
    can-tables         every CAN message, for C++ and for Python, from the DBC file
    controller-config  controller_config.hpp beside secrets.h: limits, scales, buses

    A file that is as it must be is left alone. secrets.h is refused where git tracks it or
    would pick it up.
    """
    if check and dry_run:
        raise click.UsageError("--check and --dry-run exclude each other")
    from evtool.codegen.generated_file import StaleFiles, compare
    from evtool.link.files import write_atomically

    output = Output(as_json)
    project = open_project(project_path)
    wanted = [kind for kind in KINDS if not only or kind in only]
    lines: list[str] = []
    documents: list[dict[str, object]] = []
    # Everything is rendered before anything is written: a bad DBC leaves all as it was.
    files, warnings = _render(project, wanted, create=not (check or dry_run))
    for warning in warnings:
        output.say(f"warning: {warning}")
    for generated in files:
        difference = compare(generated, *_read(generated.path))
        if difference is None:
            state = "unchanged"
        elif check:
            state = "stale"
        elif dry_run:
            state = "would be written"
        else:
            write_atomically(generated.path, generated.text, generated.mode)
            state = "written"
        name = _shown(generated.path)
        document: dict[str, object] = {"path": str(generated.path), "state": state}
        if difference is not None:
            document |= {"reason": difference.reason, "line": difference.line}
            where = f"{name}:{difference.line}" if difference.line else name
            if check:
                name = f"{where}: {difference.reason}"
        lines.append(f"{state:9}  {name}")
        documents.append(document)
    stale = [
        line.split("  ", 1)[1].strip()
        for line, document in zip(lines, documents, strict=True)
        if document["state"] == "stale"
    ]
    if stale:
        raise StaleFiles(stale, documents)
    output.result("\n".join(lines), {"files": documents, "warnings": list(warnings)})


def _render(
    project: Project, kinds: list[str], *, create: bool
) -> tuple[list[GeneratedFile], tuple[str, ...]]:
    from evtool.codegen.controller_config import render_controller_config
    from evtool.codegen.generated_file import GeneratedFile

    _check_firmware_folder(project, kinds)
    files: list[GeneratedFile] = []
    warnings: tuple[str, ...] = ()
    if "can-tables" in kinds:
        from evtool.codegen.can_tables import render_cpp, render_python
        from evtool.errors import ConfigError
        from evtool.protocol.can_database import load_can_database
        from evtool.resources import can_database

        try:
            messages = load_can_database(project.codegen.can_database or can_database())
            cpp, python = render_cpp(messages), render_python(messages)
        except ConfigError as error:
            error.fix = error.fix or "correct the DBC file; evtool's own is a model"
            raise
        files.append(GeneratedFile(project.codegen.cpp_tables, cpp))
        files.append(GeneratedFile(project.codegen.python_tables, python))
    if "controller-config" in kinds:
        path = project.codegen.secrets_header.with_name("controller_config.hpp")
        files.append(GeneratedFile(path, render_controller_config(project.can, project.limits)))
    if "secrets" in kinds:
        secrets, warnings = _render_secrets(project, create=create)
        files.append(secrets)
    return files, warnings


def _check_firmware_folder(project: Project, kinds: list[str]) -> None:
    """Refuse a folder that [build] firmware names and that is not there, rather than make it."""
    from evtool.errors import ConfigError

    targets = {
        "can-tables": project.codegen.cpp_tables,
        "controller-config": project.codegen.secrets_header,
        "secrets": project.codegen.secrets_header,
    }
    firmware = project.build.firmware
    into = [targets[kind] for kind in kinds if targets[kind].is_relative_to(firmware)]
    if into and firmware != project.root / "firmware" and not firmware.is_dir():
        raise ConfigError(
            f"{project.path}: [build] firmware names {_shown(firmware)}, which is not there; "
            f"{_shown(into[0])} would go into it",
            fix="correct [build] firmware, or lay a project out with `evtool init DIR`",
        )


def _render_secrets(project: Project, *, create: bool) -> tuple[GeneratedFile, tuple[str, ...]]:
    """secrets.h, and what is allowed in it but likely to cause trouble."""
    from evtool.cli.identity_input import checked_identity
    from evtool.codegen.generated_file import GeneratedFile
    from evtool.codegen.secrets import SecretsInput, render_secrets
    from evtool.project import Secret

    path = project.codegen.secrets_header
    _refuse_if_git_would_take(path)
    identity = checked_identity(project, create=create)
    certificate, own = identity.ca_certificate, identity.client
    text = render_secrets(
        SecretsInput(
            charge_point=identity.charge_point,
            wifi_ssid=identity.wifi_ssid,
            wifi_passphrase=identity.wifi_passphrase,
            csms_url=identity.csms_url,
            authorization_key=identity.authorization_key,
            security_profile=identity.security_profile,
            ca_certificate=certificate.pem if certificate else "",
            client_certificate=own.pem if own else "",
            client_key=own.key if own else Secret(""),
        )
    )
    return GeneratedFile(path, text, secret=True), identity.warnings


def _refuse_if_git_would_take(path: Path) -> None:
    from evtool.errors import ConfigError
    from evtool.link.git import tracking

    state = tracking(path)
    if state == "tracked":
        raise ConfigError(
            f"{_shown(path)} holds passwords, and git tracks it",
            fix=f"run `git rm --cached {_shown(path)}`, add {path.name} to .gitignore, "
            "and change the passwords that were committed",
        )
    if state == "untracked":
        raise ConfigError(
            f"{_shown(path)} would hold passwords, and git does not ignore it",
            fix=f"add a line `{path.name}` to .gitignore",
        )


def _read(path: Path) -> tuple[bytes | None, int]:
    """The file's content and permission bits."""
    from evtool.errors import EvtoolError

    try:
        return path.read_bytes(), path.stat().st_mode & 0o7777
    except (FileNotFoundError, NotADirectoryError):
        return None, 0
    except OSError as error:
        raise EvtoolError(
            f"cannot read {path}: {error.strerror or error}",
            fix="move it away, or name another path in [codegen] of evtool.toml",
        ) from error


def _shown(path: Path) -> str:
    """`path` as the user would type it from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
