# SPDX-License-Identifier: GPL-3.0-or-later
"""A reference to a secret, as rows and templates write it.

::

    { env = "KEY_{n}" }   { file = "keys/{serial}.txt" }   { generate = true }   { prompt = true }
    env:KEY_7             file:keys/SN-7.txt               generate              prompt

The first line is TOML, the second one a cell of a CSV file. The secret itself is never
written in either.
"""

from __future__ import annotations

import re

from evtool.project import SecretRef

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_CELL = re.compile(r"(env|file):(.+)\Z", re.DOTALL)
RULE = (
    'must be a reference: { env = "NAME" }, { file = "path" }, { generate = true } or '
    "{ prompt = true }, in a cell env:NAME, file:PATH, generate or prompt; "
    "a secret itself never stands in this file"
)


def read_reference(value: object) -> SecretRef:
    """The reference that a TOML value or a cell's text is; a file's name as it was written.

    Raises:
        ValueError: it is none; the message does not repeat it.
    """
    if isinstance(value, str):
        if value in ("generate", "prompt"):
            return SecretRef("generate" if value == "generate" else "prompt")
        found = _CELL.match(value)
        if found is None:
            raise ValueError(RULE)
        return _named(found[1], found[2])
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError(RULE)
    (kind, name), *_ = value.items()
    if kind in ("generate", "prompt") and name is True:
        return SecretRef("generate" if kind == "generate" else "prompt")
    if kind in ("env", "file") and isinstance(name, str) and name:
        return _named(kind, name)
    raise ValueError(RULE)


def _named(kind: str, name: str) -> SecretRef:
    return SecretRef("env" if kind == "env" else "file", name)


def check_environment_name(name: str) -> None:
    """ValueError where no shell could set a variable of this name."""
    if not _ENVIRONMENT_NAME.match(name):
        raise ValueError(
            # Not shown: it may be the secret itself.
            "what stands there is no name of an environment variable: letters, digits and _, no "
            "digit first"
        )
