# SPDX-License-Identifier: GPL-3.0-or-later
"""What a headless charge point's OCPP configuration starts with: `--configuration FILE`."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from evtool.errors import ConfigError

_KEY = re.compile(r"[!-~]{1,50}\Z")  # OCPP 1.6: CiString50Type
_LONGEST_VALUE = 500  # OCPP 1.6: CiString500Type
_PREFIX = "EVTOOL_OCPP_"
_OTHERS = frozenset({"EVTOOL_OCPP_LOG"})  # the host program's
_SECRETS = frozenset({"authorizationkey"})


def read_presets(path: Path | None) -> dict[str, str]:
    """OCPP's keys and values, as ChangeConfiguration would give them; none without a file.

    The file is one flat table, in TOML or (with a name that ends in .json) in JSON: key = text,
    whole number or true/false.

    Raises:
        ConfigError: the file cannot be read; a key or a value that OCPP 1.6 cannot carry.
    """
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin with a BOM
        table = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(
            f"--configuration {path}: cannot be read: {error.strerror or error}",
            fix="name a file of lines such as ConnectionTimeOut = 60",
        ) from error
    except UnicodeDecodeError:
        raise ConfigError(
            f"--configuration {path}: not UTF-8 text", fix="save the file as UTF-8 in your editor"
        ) from None
    except (ValueError, RecursionError) as error:
        # Not TOML, or not UTF-8. `from None`: the error may carry the file's bytes.
        raise ConfigError(
            f"--configuration {path}: {error}", fix="write one line a key: key = value"
        ) from None
    if not isinstance(table, dict):
        raise ConfigError(
            f"--configuration {path}: no table of keys and values", fix='write {"key": value}'
        )
    where = f"--configuration {path}"
    return {key: _text(where, key, value) for key, value in table.items()}


def read_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The same of variables EVTOOL_OCPP_<Key>, which stand before a file's.

    Raises:
        ConfigError: a value that OCPP 1.6 cannot carry, or a secret.
    """
    return {
        name.removeprefix(_PREFIX): _text(name, name.removeprefix(_PREFIX), value)
        for name, value in environ.items()
        if name.startswith(_PREFIX) and name not in _OTHERS
    }


def _text(where: str, key: str, value: object) -> str:
    if key.lower() in _SECRETS:  # keys are compared without regard to case
        raise ConfigError(
            f"{where}: {key} does not belong there",
            fix="give it with --key-file or --key-env",
        )
    if not _KEY.match(key):
        raise ConfigError(
            f"{where}: {key!r} is no OCPP key: 1 to 50 printable ASCII characters",
            fix="correct the key",
        )
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if not isinstance(value, bool | int | str) or not text.isascii() or len(text) > _LONGEST_VALUE:
        raise ConfigError(
            f"{where}: {key}: the value is no text of at most {_LONGEST_VALUE} "
            "ASCII characters, no whole number and not true or false",
            fix="correct the value; a list is one text with commas",
        )
    return text
