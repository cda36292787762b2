# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of NVS images and their keys, all of which hold secrets."""

from __future__ import annotations

import secrets
from pathlib import Path

from evtool.errors import ConfigError
from evtool.link.core_dumps import forbid_core_dumps
from evtool.link.files import write_new
from evtool.protocol.can_frame import Malformed
from evtool.protocol.nvs_encryption import (
    HMAC_KEY_SIZE,
    KEYS_SIZE,
    NvsKeys,
    decode_keys,
    derive_keys,
)
from evtool.protocol.nvs_page import PAGE_SIZE

LARGEST_INPUT = 32 * 1024 * 1024


def read_whole(path: Path, what: str, limit: int = LARGEST_INPUT) -> bytes:
    """A file's bytes.

    Raises:
        ConfigError: not there, not readable, or larger than `limit`.
    """
    try:
        data = read_limited(path, limit)
    except OSError as error:
        raise ConfigError(
            f"cannot read {what} {path}: {error.strerror or error}",
            fix="name a file that is there and that you may read",
        ) from error
    return data


def read_limited(path: Path, limit: int) -> bytes:
    """A file's bytes; OSError where there are more than `limit`, or it cannot be read."""
    with path.open("rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise OSError(0, f"it has more than {limit} bytes")
    return data


def read_plain_file(path: Path, limit: int) -> bytes:
    """The same for a file that another file names.

    A pipe without a writer would be waited for, for ever: it is no file here.
    """
    if path.exists() and not path.is_dir() and not path.is_file():
        raise OSError(0, "it is a device or a pipe, not a file")
    return read_limited(path, limit)


def read_keys(path: Path) -> NvsKeys:
    """The keys in a file that holds an image of the partition nvs_keys.

    Raises:
        ConfigError: not such a file, or others than its owner may read it.
    """
    forbid_core_dumps()
    keys = decode_keys(read_whole(path, "the keys"))
    if isinstance(keys, Malformed):
        raise ConfigError(
            f"{path} is no image of a partition nvs_keys: {keys.reason}",
            fix="name a file that --generate-keys or Espressif's generate-key has written",
        )
    _refuse_readable(path)
    return keys


def read_hmac_key(path: Path) -> NvsKeys:
    """The keys that the HMAC key in a file, 32 bytes as espefuse burns them, stands for.

    Raises:
        ConfigError: not such a file, or others than its owner may read it.
    """
    forbid_core_dumps()
    data = read_whole(path, "the HMAC key")
    if len(data) != HMAC_KEY_SIZE:
        hint = "; is it an image of nvs_keys, for --keys?" if len(data) == PAGE_SIZE else ""
        raise ConfigError(
            f"{path} has {len(data)} bytes; an HMAC key has {HMAC_KEY_SIZE}{hint}",
            fix="name the file that was, or will be, burned with `espefuse burn-key`",
        )
    if len(set(data)) == 1:
        raise ConfigError(
            f"{path}: all its bytes are the same; this is no key", fix="name the right file"
        )
    _refuse_readable(path)
    return derive_keys(data)


def new_hmac_key() -> bytes:
    """32 bytes from the operating system's generator."""
    forbid_core_dumps()
    return secrets.token_bytes(HMAC_KEY_SIZE)


def _refuse_readable(path: Path) -> None:
    if path.is_file() and path.stat().st_mode & 0o077:
        raise ConfigError(f"{path} can be read by others than its owner", fix=f"chmod 600 {path}")


def new_keys() -> NvsKeys:
    """Keys from the operating system's generator."""
    forbid_core_dumps()
    both = secrets.token_bytes(KEYS_SIZE)
    return NvsKeys(both[: KEYS_SIZE // 2], both[KEYS_SIZE // 2 :])


def write_new_keys(path: Path, data: bytes) -> None:
    """Keys into a new file of mode 0600, whole or not at all.

    Args:
        data: an image of nvs_keys, or an HMAC key.

    Raises:
        ConfigError: something of this name is there: it may be the only copy of keys in use.
        EvtoolError: the file system refused.
    """
    try:
        write_new(path, data)
    except FileExistsError as error:
        raise keys_are_there(path) from error


def keys_are_there(path: Path) -> ConfigError:
    """The refusal to write keys over a file."""
    return ConfigError(
        f"{path} is there already, and keys are never overwritten",
        fix="use it with --keys or --hmac-key, or give the new one another name",
    )
