# SPDX-License-Identifier: GPL-3.0-or-later
"""evtool itself and everything that it imports, as wheels for a computer without an index."""

from __future__ import annotations

import email.parser
import importlib.metadata
import json
import sys
import zipfile
from email.message import Message
from pathlib import Path
from urllib.parse import unquote, urlsplit

from evtool.build.bundle import Wheel
from evtool.build.packages import UNKNOWN
from evtool.errors import ConfigError

_DISTRIBUTION = "evtool"
_CLASSIFIER = "License :: "


def fetch_argv(folder: Path, constraints: Path) -> list[str]:
    """pip's command that fetches or makes the wheels into `folder`, in the versions of here."""
    return [
        *(sys.executable, "-P", "-m", "pip", "wheel", "--disable-pip-version-check", "--no-input"),
        *("--wheel-dir", str(folder), "--constraint", str(constraints), _requirement()),
    ]


def check_argv(folder: Path) -> list[str]:
    """pip's command that says whether the wheels in `folder` are enough, with no index."""
    return [
        *(
            sys.executable,
            "-P",
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
        ),
        *("--dry-run", "--ignore-installed", "--no-index", "--find-links", str(folder)),
        *("--quiet", _DISTRIBUTION),
    ]


def constraints() -> str:
    """What is installed here, evtool apart: the versions that it was seen to work with."""
    rows = {
        f"{name}=={distribution.version}"
        for distribution in importlib.metadata.distributions()
        if (name := distribution.metadata["Name"]) and name.lower() != _DISTRIBUTION
    }
    return "".join(f"{row}\n" for row in sorted(rows))


def python_version() -> str:
    """This Python as wheels name it, such as 3.11."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def read_wheels(folder: Path) -> tuple[Wheel, ...]:
    """The wheels in a folder.

    Raises:
        ConfigError: one cannot be read, or none is evtool's.
    """
    try:
        found = tuple(_wheel(path) for path in sorted(folder.glob("*.whl")))
    except OSError as error:
        raise ConfigError(
            f"cannot read {error.filename or folder}: {error.strerror or error}",
            fix="name a folder of wheels with --wheels DIR",
        ) from error
    if not any(wheel.name.lower() == _DISTRIBUTION for wheel in found):
        raise ConfigError(
            f"{folder} holds no wheel of evtool",
            fix="`pip wheel --wheel-dir DIR evtool` makes them all, or leave them out: --no-wheels",
        )
    return found


def _requirement() -> str:
    """The folder that evtool was installed from, else its version in the index."""
    distribution = importlib.metadata.distribution(_DISTRIBUTION)
    origin = distribution.read_text("direct_url.json")
    address = urlsplit(json.loads(origin)["url"]) if origin else None
    if address is not None and address.scheme == "file":
        path = Path(unquote(address.path))
        if path.exists():
            return str(path)
    return f"{_DISTRIBUTION}=={distribution.version}"


def _wheel(path: Path) -> Wheel:
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            with archive.open(name) as stream:
                text = stream.read().decode("utf-8", "replace")
    except (zipfile.BadZipFile, StopIteration, KeyError) as error:
        raise ConfigError(f"{path} is no wheel", fix="fetch it again") from error
    metadata = email.parser.HeaderParser().parsestr(text)
    return Wheel(path, str(metadata["Name"]), str(metadata["Version"]), _licence(metadata))


def _licence(metadata: Message) -> str:
    expression = metadata.get("License-Expression")
    if expression:
        return " ".join(expression.split())
    classified = [
        value.rsplit(" :: ", 1)[-1]
        for value in metadata.get_all("Classifier", [])
        if value.startswith(_CLASSIFIER) and " :: " in value.removeprefix(_CLASSIFIER)
    ]
    if classified:
        return ", ".join(classified)
    # Some put the whole text there; its first line is its name.
    first = (metadata.get("License") or "").strip().splitlines()
    line = first[0].strip() if first else ""
    return line[:80] if line and line.upper() != "UNKNOWN" else UNKNOWN
