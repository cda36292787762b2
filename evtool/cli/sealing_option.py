# SPDX-License-Identifier: GPL-3.0-or-later
"""`--sealing-key`, and the sealed secrets of a ledger that it opens."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from evtool.project import Project, Secret, SecretRef
    from evtool.provision.ledger.store import Ledger
    from evtool.provision.secrets.sealed_store import SealedStore
    from evtool.provision.secrets.unit_secrets import UnitSecretStore

F = TypeVar("F", bound=Callable[..., Any])
FORMS = "keyring:NAME, file:PATH, env:NAME or prompt"
_FORM = re.compile(r"(keyring|file|env):(.+)\Z")


def sealing_option(function: F) -> F:
    """`--sealing-key WHERE`, passed on as `sealing_key`; None: the project's."""
    decorated: F = click.option(
        "--sealing-key",
        metavar="WHERE",
        help=f"What opens the sealed secrets: {FORMS} (default: the project's).",
    )(function)
    return decorated


def read_place(text: str, option: str) -> SecretRef:
    """The place that an option's text names.

    Raises:
        ConfigError: it names none. The text is not repeated: it may be the key.
    """
    from evtool.errors import ConfigError
    from evtool.project import SecretRef

    if text == "prompt":
        return SecretRef("prompt")
    found = _FORM.match(text)
    if found is None:
        raise ConfigError(
            f"{option}: must say where the key is: {FORMS}",
            fix="never put a key or passphrase into an argument: every user could read it",
        )
    if found[1] == "keyring":
        return SecretRef("keyring", found[2])
    return SecretRef("file" if found[1] == "file" else "env", found[2])


def sealing_place(text: str | None, project: Project | None) -> SecretRef | None:
    """Where the sealing key is: as the option says, or the project; None: there is none."""
    if text is not None:
        return read_place(text, "--sealing-key")
    return None if project is None else project.provision.sealing_key


def needed_place(text: str | None, project: Project | None) -> SecretRef:
    """The same; ConfigError where there is none."""
    from evtool.errors import ConfigError

    place = sealing_place(text, project)
    if place is None:
        raise ConfigError(
            "no sealing key is named",
            fix=f"give --sealing-key ({FORMS}), or set [provision] sealing_key in evtool.toml; "
            "`evtool provision secrets new-key` makes one",
        )
    return place


def is_anything_sealed(ledger: Ledger) -> bool:
    """Whether the ledger has a sealing key yet."""
    from evtool.provision.secrets.sealed_store import KEYS

    return bool(ledger.sealed_names(KEYS))


def open_sealed(
    ledger: Ledger, place: SecretRef, root: Path, *, create: bool = True
) -> SealedStore:
    """The ledger's sealed values.

    Args:
        create: take the key as the ledger's first one where it has none.

    Raises:
        ConfigError: there is no key at `place`, or it is not the ledger's.
    """
    import secrets

    from evtool.provision.secrets.sealed_store import open_store

    is_first = create and not is_anything_sealed(ledger)
    key = read_key(place, root, is_new=is_first)
    return open_store(ledger, key, secrets.token_bytes, create=create)


def read_key(place: SecretRef, root: Path, *, is_new: bool = False) -> Secret:
    """The key or passphrase at `place`.

    Args:
        is_new: something will be sealed with it for the first time: what a person types is
            asked for twice, as a slip would lock everything up.

    Raises:
        ConfigError: there is none, or the two differ.
    """
    from evtool.cli.options import secret_source_at
    from evtool.errors import ConfigError
    from evtool.link.sealing_key import read_sealing_key

    source = secret_source_at(root, create=False)
    key = read_sealing_key(place, source)
    if is_new and place.kind == "prompt" and read_sealing_key(place, source) != key:
        raise ConfigError("the two passphrases differ; nothing was sealed", fix="type it again")
    return key


def unit_secrets(sealed: SealedStore | None, root: Path) -> UnitSecretStore:
    """The secrets of a project's units; with `sealed` None nothing can be generated."""
    from evtool.cli.options import secret_source_at
    from evtool.link.secret_source import generate_key
    from evtool.provision.secrets.unit_secrets import UnitSecretStore

    return UnitSecretStore(secret_source_at(root, create=False), sealed, generate_key)
