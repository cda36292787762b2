# SPDX-License-Identifier: GPL-3.0-or-later
"""What a headless charge point's OCPP configuration starts with: `--configuration FILE`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from evtool.errors import ConfigError

_KEY = re.compile(r"[!-~]{1,50}\Z")  # OCPP 1.6: CiString50Type
_LONGEST_VALUE = 500  # OCPP 1.6: CiString500Type
_SECRETS = frozenset({"AuthorizationKey"})


def read_presets(path: Path | None) -> dict[str, str]:
    """OCPP's keys and values, as ChangeConfiguration would give them; none without a file.

    The file is one flat TOML table: key = text, whole number or true/false.

    Raises:
        ConfigError: the file cannot be read; a key or a value that OCPP 1.6 cannot carry.
    """
    if path is None:
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"--configuration {path}: cannot be read: {error.strerror or error}",
            fix="name a file of lines such as ConnectionTimeOut = 60",
        ) from error
    except ValueError as error:
        # Not TOML, or not UTF-8. `from None`: the error may carry the file's bytes.
        raise ConfigError(
            f"--configuration {path}: {error}", fix="write one line a key: key = value"
        ) from None
    return {key: _text(path, key, value) for key, value in table.items()}


def _text(path: Path, key: str, value: object) -> str:
    if key in _SECRETS:
        raise ConfigError(
            f"--configuration {path}: {key} does not belong there",
            fix="give it with --key-file or --key-env",
        )
    if not _KEY.match(key):
        raise ConfigError(
            f"--configuration {path}: {key!r} is no OCPP key: 1 to 50 printable ASCII characters",
            fix="correct the key",
        )
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if not isinstance(value, bool | int | str) or not text.isascii() or len(text) > _LONGEST_VALUE:
        raise ConfigError(
            f"--configuration {path}: {key}: the value is no text of at most {_LONGEST_VALUE} "
            "ASCII characters, no whole number and not true or false",
            fix="correct the value; a list is one text with commas",
        )
    return text
