# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns a reference to a secret into the secret.

Generated secrets are kept in `<root>/.evtool/secrets/`, folder 0700 and files 0600, one file
a secret, so that the next run finds the same value: the factory's copy may be the only one.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import string
from collections.abc import Callable
from pathlib import Path

from evtool.errors import ConfigError, SecretMissing
from evtool.link.core_dumps import forbid_core_dumps
from evtool.link.files import make_private_folder, write_atomically
from evtool.project import Secret, SecretRef

KEY_LENGTH = 20
_ALPHABET = string.ascii_letters + string.digits
_HEX = set(string.hexdigits)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LARGEST_FILE = 64 * 1024
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def generate_key() -> str:
    """A new AuthorizationKey or passphrase: 20 characters of A-Za-z0-9, 119 bits.

    At least one character is no hex digit: a key that reads as hex would be decoded by some
    central systems and not by others (docs/security.md).
    """
    while True:
        key = "".join(secrets.choice(_ALPHABET) for _ in range(KEY_LENGTH))
        if not set(key) <= _HEX:
            return key


def check_private_file(path: Path, label: str) -> None:
    """Raises ConfigError where a file with a secret is missing, or may be read by others."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(
            f"{label}: {path}: {error.strerror or error}", fix="name a file that is there"
        ) from error
    if mode & 0o077:
        raise ConfigError(
            f"{label}: {path} can be read by others than its owner", fix=f"chmod 600 {path}"
        )


def shown_variable(name: str) -> str:
    """A variable's name, for a message; what none can be called may be the secret itself."""
    return name if _VARIABLE.match(name) else "of such a name"


def _from_environment(name: str, label: str) -> Secret:
    value = os.environ.get(name)
    if not value:
        raise SecretMissing(
            f"{label}: environment variable {shown_variable(name)} is not set",
            fix="set it, or change the reference in evtool.toml: env is its name alone",
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        # `from None`: the error carries the value
        raise ConfigError(
            f"{label}: environment variable {name} is not UTF-8 text", fix="set it to text"
        ) from None
    return Secret(value)


class SecretSource:
    """Resolves references of one project.

    Args:
        root: the project's folder.
        ask: asks a person and hides the answer; None where nobody is there.
        create: make a generated secret that is not there yet; False for a look that must
            change nothing.
        sealed: where the project's generated secrets are sealed: called with the label and
            `create`, gives the secret; None where it is not sealed, and not made.
        any_mode: take a secret from a file that others may read, too: whoever masks it must.
    """

    def __init__(
        self,
        root: Path,
        ask: Callable[[str], str] | None = None,
        *,
        create: bool = True,
        sealed: Callable[[str, bool], Secret | None] | None = None,
        any_mode: bool = False,
    ) -> None:
        forbid_core_dumps()
        self.folder = root / ".evtool" / "secrets"
        self._ask = ask
        self._create = create
        self._sealed = sealed
        self._any_mode = any_mode

    def resolve(self, ref: SecretRef, label: str) -> Secret:
        """The secret behind `ref`.

        Args:
            ref: where it comes from.
            label: what it is, for the prompt and for the kept file's name, such as
                `CP-0001 authorization_key`.

        Raises:
            SecretMissing: naming the variable or file that is not there.
            ConfigError: the file is not one that a secret may stand in; never its content.
        """
        if ref.kind == "env":
            return _from_environment(ref.name, label)
        if ref.kind == "file":
            return self._from_file(Path(ref.name), label)
        if ref.kind == "prompt":
            if self._ask is None:
                raise SecretMissing(
                    f"{label}: asked for at a prompt, but there is no terminal",
                    fix="run in a terminal, or change the reference to env or file",
                )
            return Secret(self._ask(label))
        return self._generated(label)

    def resolve_text(self, ref: SecretRef, label: str) -> Secret:
        """The same for a secret of several lines, such as a private key: the whole file.

        Raises: as `resolve`.
        """
        if ref.kind == "file":
            return Secret(self._file_text(Path(ref.name), label))
        return self.resolve(ref, label)

    def _from_file(self, path: Path, label: str) -> Secret:
        value = self._file_text(path, label).split("\n", 1)[0].rstrip("\r")
        if not value:
            raise ConfigError(
                f"{label}: the first line of {path} is empty", fix="write the secret there"
            )
        return Secret(value)

    def _file_text(self, path: Path, label: str) -> str:
        try:
            with path.open("rb") as stream:
                self._check_file(os.fstat(stream.fileno()), path, label)
                data = stream.read(_LARGEST_FILE + 1)
        except FileNotFoundError as error:
            raise SecretMissing(
                f"{label}: no such file: {path}", fix="write the secret there, mode 0600"
            ) from error
        except OSError as error:
            raise ConfigError(
                f"{label}: cannot read {path}: {error.strerror or error}",
                fix="name a file that you can read",
            ) from error
        if len(data) > _LARGEST_FILE:
            raise ConfigError(
                f"{label}: {path} has more than {_LARGEST_FILE} bytes", fix="name the right file"
            )
        try:
            return data.decode("utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError:
            # `from None`: the error carries the file's bytes
            raise ConfigError(
                f"{label}: {path} is not UTF-8 text", fix="write the secret there as text"
            ) from None

    def _check_file(self, status: os.stat_result, path: Path, label: str) -> None:
        if status.st_mode & 0o077 and not self._any_mode:
            raise ConfigError(
                f"{label}: {path} can be read by others than its owner",
                fix=f"chmod 600 {path}",
            )

    def kept_path(self, label: str) -> Path:
        """The file that a generated secret is kept in, where it is kept in clear."""
        return self.folder / _UNSAFE.sub("_", label)

    def _generated(self, label: str) -> Secret:
        path = self.kept_path(label)
        if self._sealed is not None:
            secret = self._sealed(label, self._create)
            if secret is not None:
                return secret
        if not self._create:
            if path.exists():
                return self._from_file(path, label)
            raise SecretMissing(
                f"{label}: not generated yet, and this command changes nothing",
                fix="run `evtool codegen` or `evtool provision` first",
            )
        make_private_folder(self.folder)
        lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once must agree on one value
            if not path.exists():
                write_atomically(path, generate_key() + "\n", mode=0o600)
            return self._from_file(path, label)
        finally:
            os.close(lock)
