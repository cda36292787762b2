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
    from evtool.project import Project, Secret

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


def found_project(project_path: Path | None) -> Project | None:
    """The project that was named, or that the current folder is in; None outside of one.

    Raises:
        ConfigError: its file is wrong, or the one that was named is not there.
    """
    from evtool.errors import ConfigError
    from evtool.project import find_project, load_project

    if project_path is not None:
        return load_project(project_path)
    try:
        path = find_project(Path.cwd())
    except ConfigError:
        return None
    return load_project(path)


def secret_source(project: Project, *, create: bool = True) -> SecretSource:
    """Where the project's secrets come from; asks only where a person sits at a terminal.

    With `create` False a generated secret that does not exist yet is an error.
    """
    if project.provision.sealing_key is None:
        return secret_source_at(project.root, create=create)
    from evtool.cli.sealed_source import sealed_secrets_of

    return secret_source_at(project.root, create=create, sealed=sealed_secrets_of(project))


def secret_source_at(
    root: Path,
    *,
    create: bool = True,
    sealed: Callable[[str, bool], Secret | None] | None = None,
) -> SecretSource:
    """The same for the folder of a project, or one that is none."""
    from evtool.link.secret_source import SecretSource

    def ask(label: str) -> str:
        answer: str = click.prompt(label, hide_input=True, err=True)
        return answer

    answers = ask if sys.stdin.isatty() else None
    return SecretSource(root, answers, create=create, sealed=sealed)
