# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for secure boot, in PEM files: a maker's private one, public ones that are trusted too."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from evtool.errors import ConfigError
from evtool.link.files import write_new
from evtool.protocol.secure_boot import KEY_BITS, key_digest

_FORM = f"an RSA key of {KEY_BITS} bits in a PEM file"


def read_signing_key(path: Path) -> rsa.RSAPrivateKey:
    """The private key in a file that only its owner can read.

    Raises:
        ConfigError: no such file; others may read it; it holds no such key, or one with a
            passphrase.
    """
    data = _read(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigError(
            f"{path}: others than its owner may read the signing key",
            fix=f"chmod 600 {path}, and think of who has read it",
        )
    try:
        key = load_pem_private_key(data, None)
    except TypeError as error:
        raise ConfigError(
            f"{path}: the signing key has a passphrase, which evtool does not ask for",
            fix="sign the images with espsecure, and name the public key with --trust",
        ) from error
    except (ValueError, UnsupportedAlgorithm):
        raise _no_key(path) from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size != KEY_BITS:
        raise _no_key(path)
    return key


def read_trusted_digest(path: Path) -> bytes:
    """What is burned so that a chip trusts the public key in a file.

    Raises:
        ConfigError: no such file, or it holds no such key.
    """
    try:
        key = load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm):
        raise _no_key(path) from None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size != KEY_BITS:
        raise _no_key(path)
    return key_digest(key)


def write_new_signing_key(path: Path) -> bytes:
    """Make a key with the operating system's generator; never over a file.

    Returns:
        its digest.

    Raises:
        ConfigError: something of this name is there: it may be the only copy of a key in use.
        EvtoolError: the file system refused.
    """
    key = rsa.generate_private_key(65537, KEY_BITS)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        write_new(path, pem)
    except FileExistsError as error:
        raise ConfigError(
            f"{path} is there already, and a signing key is never overwritten",
            fix="give another name",
        ) from error
    return key_digest(key.public_key())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{os.fspath(path)}: {error.strerror or error}", fix=f"name {_FORM}"
        ) from error


def _no_key(path: Path) -> ConfigError:
    return ConfigError(
        f"{path}: holds no {_FORM.removeprefix('an ')}",
        fix="make one with `evtool provision security new-key`",
    )
