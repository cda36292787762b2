# SPDX-License-Identifier: GPL-3.0-or-later
"""`--show-secrets`: a person at the terminal is asked, a script needs a second word."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def show_secrets_option(function: F) -> F:
    """`--show-secrets` and `--without-asking`; hand both to `may_show`."""
    show = click.option(
        "--show-secrets", is_flag=True, help="Print the values; asks before it does."
    )
    decorated: F = show(without_asking_option(function))
    return decorated


def without_asking_option(function: F) -> F:
    """`--without-asking`."""
    decorated: F = click.option(
        "--without-asking",
        is_flag=True,
        help="Print secrets where no terminal is; for a script that keeps them safe.",
    )(function)
    return decorated


def may_show(
    question: str, *, without_asking: bool | None = False, option: str = "--show-secrets"
) -> bool:
    """Whether secrets may be printed: a person agrees, or the second word was given.

    Args:
        without_asking: whether it was; None where the command has no such word.

    Raises:
        ConfigError: nobody is there to ask, and the word was not given.
    """
    from evtool.errors import ConfigError

    if without_asking:
        return True
    if not sys.stdin.isatty():
        fix = "run it in a terminal with secrets from a file or variable, leave it out, or add "
        fix += "--without-asking"
        if without_asking is None:
            fix = "run it in a terminal, or leave it out"
        raise ConfigError(f"{option} asks first, and there is no terminal", fix=fix)
    return click.confirm(question, err=True)
