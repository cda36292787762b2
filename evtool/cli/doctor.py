# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool doctor`: what this machine and project lack, before a command trips over it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from evtool.cli.options import project_option
from evtool.cli.output import EXIT_CODES, Output, json_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evtool.project import Project

_PACKAGES = ("esptool", "platformio", "pyserial", "python-can", "ocpp", "websockets", "jinja2")


class Check(NamedTuple):
    """One thing looked at; `needed` is False where only some commands want it."""

    name: str
    good: bool
    detail: str
    fix: str | None = None
    needed: bool = True


@click.command("doctor", epilog=EXIT_CODES)
@project_option
@json_option
def command(project_path: Path | None, as_json: bool) -> None:
    """Check this machine and project, and say what to do about each thing that is missing.

    Needs no network and changes nothing. Exits with 1 if something that every project needs
    is missing, or what this project's [build] environment needs; a serial port, or the ESP32
    toolchain where the project is built for the host, is only noted.
    """
    from evtool.errors import CheckFailed

    checks = list(_machine())
    project, problem = _load(project_path)
    if problem is not None:
        checks.append(problem)
    if project is not None:
        checks += _project(project)
    checks += _serial_ports()
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
    return check._asdict() | {"fix": None if check.good else check.fix}


def _machine() -> Iterator[Check]:
    import shutil
    from importlib.metadata import PackageNotFoundError, version

    yield Check("Python", sys.version_info >= (3, 11), sys.version.split()[0], "3.11 or newer")
    for name in _PACKAGES:
        try:
            yield Check(name, True, version(name))
        except PackageNotFoundError:
            yield Check(name, False, "not installed", "pip install --force-reinstall evtool")
    compiler = shutil.which("g++")
    yield Check(
        "C++ compiler",
        compiler is not None,
        compiler or "no g++ on the PATH",
        "Debian: apt-get install g++ (for `evtool build --env host` and `evtool verify`)",
    )
    git = shutil.which("git")
    yield Check("git", git is not None, git or "no git on the PATH", "install git", needed=False)


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


def _project(project: Project) -> Iterator[Check]:
    from evtool.build import offline
    from evtool.errors import EvtoolError

    yield Check("project", True, str(project.path))
    for environment in ("host", "esp32dev"):
        name = f"build --env {environment}"
        try:
            lacking = offline.missing(offline.requirements(project.build.firmware, environment))
        except EvtoolError as error:
            yield Check(name, False, error.message, error.fix)
            continue
        yield Check(
            name,
            not lacking,
            "everything is here"
            if not lacking
            else "missing: " + ", ".join(str(requirement) for requirement in lacking),
            offline.missing_error(environment, lacking).fix,
            needed=project.build.environment == environment,
        )


def _serial_ports() -> Iterator[Check]:
    from evtool.link.serial_line import list_serial_ports

    ports = list_serial_ports()
    if not ports:
        yield Check(
            "serial ports",
            False,
            "none",
            "connect a board; on Linux its driver makes /dev/ttyUSB* or /dev/ttyACM*",
            needed=False,
        )
    for port in ports:
        yield Check(
            "serial port",
            os.access(port, os.R_OK | os.W_OK),
            port,
            "you may not open it: add yourself to its group (Debian: dialout), log in again",
            needed=False,
        )
