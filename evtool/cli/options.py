# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several commands share: one word, one meaning."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from evtool.link.secret_source import SecretSource
    from evtool.project import Project

F = TypeVar("F", bound=Callable[..., Any])


def project_option(function: F) -> F:
    """`--project FILE`, passed on as `project_path`."""
    decorated: F = click.option(
        "--project",
        "project_path",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The project's evtool.toml (default: here or in a folder above).",
    )(function)
    return decorated


def serial_port_option(function: F) -> F:
    """`--serial-port PORT`."""
    decorated: F = click.option(
        "--serial-port",
        required=True,
        metavar="PORT",
        help="The board's serial port, such as /dev/ttyUSB0.",
    )(function)
    return decorated


def can_options(function: F) -> F:
    """`--can-interface` and `--can-channel`."""
    channel = click.option(
        "--can-channel",
        metavar="CHANNEL",
        help="The bus: can0, or HOST:PORT/NAME for socketcand.",
    )
    interface = click.option(
        "--can-interface",
        default="socketcand",
        show_default=True,
        metavar="NAME",
        help="Any interface of python-can.",
    )
    decorated: F = interface(channel(function))
    return decorated


def open_project(project_path: Path | None) -> Project:
    """The project that `--project` names, or the one that the current folder is in."""
    from evtool.project import find_project, load_project

    return load_project(project_path if project_path is not None else find_project(Path.cwd()))


def secret_source(project: Project, *, create: bool = True) -> SecretSource:
    """Where the project's secrets come from; asks only where a person sits at a terminal.

    With `create` False a generated secret that does not exist yet is an error.
    """
    return secret_source_at(project.root, create=create)


def secret_source_at(root: Path, *, create: bool = True) -> SecretSource:
    """The same for the folder of a project, or one that is none."""
    from evtool.link.secret_source import SecretSource

    def ask(label: str) -> str:
        answer: str = click.prompt(label, hide_input=True, err=True)
        return answer

    return SecretSource(root, ask if sys.stdin.isatty() else None, create=create)
