# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool doctor`: what this machine and project lack, before a command trips over it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evtool.cli import doctor_checks
from evtool.cli.doctor_checks import Check
from evtool.cli.options import project_option
from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from evtool.project import Project


@click.command("doctor", epilog=EXIT_CODES)
@project_option
@json_option
def command(project_path: Path | None, as_json: bool) -> None:
    """Check this machine and project, and say what to do about each thing that is missing.

    Python and its packages, compiler, git, every package and library of PlatformIO's that the
    project's builds need with its version, the installed bundle, free disk space, serial ports
    with their USB identity and whether you may open them.

    Needs no network and changes nothing. Exits with 1 if something that every project needs
    is missing, or what this project's [build] environment needs; a serial port, or the ESP32
    toolchain where the project is built for the host, is only noted.
    """
    from evtool.errors import CheckFailed

    checks = list(doctor_checks.machine())
    project, problem = _load(project_path)
    if problem is not None:
        checks.append(problem)
    if project is not None:
        checks += doctor_checks.project(project)
    checks += doctor_checks.serial_ports()
    output = Output(as_json)
    bad = [check for check in checks if not check.good and check.needed]
    output.result(
        "\n".join(_line(check) for check in checks),
        {"good": not bad, "checks": [_document(check) for check in checks]},
    )
    if bad and not as_json:
        raise CheckFailed(f"{len(bad)} of {len(checks)} checks failed", fix="see each fix above")
    if bad:
        click.get_current_context().exit(1)


def _line(check: Check) -> str:
    mark = "ok  " if check.good else ("FAIL" if check.needed else "note")
    text = f"{mark}  {check.name:24} {check.detail}"
    return text if check.fix is None or check.good else f"{text}\n        fix: {check.fix}"


def _document(check: Check) -> dict[str, object]:
    document = check._asdict() | {"fix": None if check.good else check.fix}
    return document | {"name": check.name.strip()}


def _load(project_path: Path | None) -> tuple[Project | None, Check | None]:
    from evtool.errors import ConfigError
    from evtool.project import find_project, load_project

    try:
        path = project_path or find_project(Path.cwd())
    except ConfigError as error:
        return None, Check("project", False, error.message, error.fix, needed=False)
    try:
        return load_project(path), None
    except ConfigError as error:
        return None, Check("project", False, error.message, error.fix)
