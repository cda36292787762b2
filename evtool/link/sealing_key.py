# SPDX-License-Identifier: GPL-3.0-or-later
"""The sealing key or passphrase, from where a person keeps it."""

from __future__ import annotations

import secrets
from pathlib import Path

from evtool.errors import ConfigError, SecretMissing
from evtool.link.files import write_new
from evtool.link.secret_source import SecretSource
from evtool.project import Secret, SecretRef

SERVICE = "evtool"
"""Under which the keyring has it; the user's name there is the one of the reference."""
KEY_SIZE = 32


def read_sealing_key(ref: SecretRef, source: SecretSource) -> Secret:
    """The text behind `ref`: 64 hex digits, or a passphrase.

    Raises:
        SecretMissing: keyring, file or variable has none.
        ConfigError: the file may be read by others, or there is no keyring.
    """
    if ref.kind != "keyring":
        return source.resolve(ref, "sealing key")
    import keyring  # noqa: PLC0415  # takes longer than most commands
    import keyring.errors  # noqa: PLC0415

    try:
        text = keyring.get_password(SERVICE, ref.name)
    except keyring.errors.KeyringError as error:
        raise _no_keyring(error) from error
    if not text:
        raise SecretMissing(
            f"sealing key: the keyring has none named {ref.name!r} of {SERVICE}",
            fix="make one with `evtool provision secrets new-key`",
        )
    return Secret(text)


def new_sealing_key() -> Secret:
    """64 hex digits from the operating system's generator."""
    return Secret(secrets.token_hex(KEY_SIZE))


def keep_sealing_key(ref: SecretRef, key: Secret) -> None:
    """Put a new key into the keyring, or into a new file of mode 0600; never over another.

    Raises:
        ConfigError: there is one already, or `ref` is no place for it.
        EvtoolError: the file system refused.
    """
    if ref.kind == "file":
        try:
            write_new(Path(ref.name), key.reveal().encode() + b"\n")
        except FileExistsError as error:
            raise ConfigError(
                f"{ref.name} is there already, and a key is never overwritten",
                fix="give another name",
            ) from error
        return
    if ref.kind != "keyring":
        raise ConfigError(
            "a new key is kept in a keyring or in a file", fix="give keyring:NAME or file:PATH"
        )
    import keyring  # noqa: PLC0415
    import keyring.errors  # noqa: PLC0415

    try:
        if keyring.get_password(SERVICE, ref.name):
            raise ConfigError(
                f"the keyring has a sealing key named {ref.name!r} already",
                fix="use it, or give another name",
            )
        keyring.set_password(SERVICE, ref.name, key.reveal())
    except keyring.errors.KeyringError as error:
        raise _no_keyring(error) from error


def _no_keyring(error: Exception) -> ConfigError:
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ConfigError(
        f"the keyring cannot be used: {said}",
        fix="unlock or set up the keyring, or keep the key in a file or a variable",
    )
