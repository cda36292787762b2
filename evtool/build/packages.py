# SPDX-License-Identifier: GPL-3.0-or-later
"""A PlatformIO package as it stands on disk: who made it, which version, under which licence.

PlatformIO notes the origin in `.piopm`; what the package says of itself stands in
platform.json, package.json, library.json or library.properties.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from evtool.errors import ConfigError

Kind = Literal["platform", "tool", "library"]
_KINDS: tuple[Kind, ...] = ("platform", "tool", "library")
UNKNOWN = "unknown"
NOTE = ".piopm"
_MANIFESTS = {
    "platform": ("platform.json",),
    "tool": ("package.json",),
    "library": ("library.json", "library.properties"),
}


@dataclass(frozen=True, slots=True)
class Package:
    """One package; `folder` is absolute.

    Attributes:
        systems: what its programs run on, as PlatformIO names it (linux_x86_64); empty: any.
        has_password: its origin is an address with a password or token in it.
    """

    kind: Kind
    name: str
    owner: str
    version: str
    licence: str
    folder: Path
    systems: tuple[str, ...] = ()
    has_password: bool = False


def read_package(kind: Kind, folder: Path) -> Package:
    """What a package's files say.

    Raises:
        ConfigError: it is no package of PlatformIO's, or a link to a folder elsewhere.
    """
    note = _json(folder / NOTE)
    if note is None:
        raise ConfigError(
            f"{folder} is no package from a registry: it has no {NOTE}",
            fix="name it in platformio.ini as owner/name@version, and build once",
        )
    manifest = _manifest(kind, folder)
    origin = note.get("spec")
    spec: Mapping[str, Any] = origin if isinstance(origin, Mapping) else {}
    return Package(
        kind=kind,
        name=str(note.get("name") or folder.name),
        owner=str(spec.get("owner") or UNKNOWN),
        version=str(note.get("version") or UNKNOWN),
        licence=_licence(manifest),
        folder=folder,
        systems=_systems(manifest) if kind == "tool" else (),
        has_password=_has_password(str(spec.get("uri") or "")),
    )


def _manifest(kind: Kind, folder: Path) -> Mapping[str, Any]:
    for name in _MANIFESTS[kind]:
        found = _json(folder / name) if name.endswith(".json") else _properties(folder / name)
        if found is not None:
            return found
    return {}


def _licence(manifest: Mapping[str, Any]) -> str:
    value = manifest.get("license") or manifest.get("licenses")
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, Mapping):  # npm's old form
        return str(value.get("type") or UNKNOWN)
    return UNKNOWN


def _systems(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    value = manifest.get("system")
    names = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    found = tuple(str(name) for name in names)
    return () if "*" in found or "all" in found else found


def _has_password(uri: str) -> bool:
    try:
        address = urlsplit(uri.removeprefix("git+"))
    except ValueError:
        return True  # what cannot be read is not passed on
    return address.password is not None or (
        address.username is not None and address.scheme in ("http", "https")
    )


def _json(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _properties(path: Path) -> dict[str, Any] | None:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    pairs = (line.partition("=") for line in lines if "=" in line and line[:1] != "#")
    return {name.strip(): value.strip() for name, _, value in pairs}


def package_of(kind: str, name: str, version: str | None, folder: Path | None) -> Package:
    """A package that was found, even where it says little of itself.

    Args:
        kind, name, version: what was asked for and found; `name` is owner/name.
        folder: where it stands; None where only its version is known.
    """
    known: Kind = next((k for k in _KINDS if k == kind), "tool")
    if folder is not None:
        try:
            return read_package(known, folder)
        except ConfigError:
            pass  # a folder of the user's own has no note of PlatformIO's
    owner, _, short = name.rpartition("/")
    licence = UNKNOWN if folder is None else _licence(_manifest(known, folder))
    where = Path() if folder is None else folder
    return Package(known, short, owner or UNKNOWN, version or UNKNOWN, licence, where)


def library_in(folder: Path) -> Package:
    """A checkout of a library that the user named."""
    manifest = _manifest("library", folder)
    version, name = manifest.get("version"), manifest.get("name")
    return Package(
        "library",
        str(name or folder.name),
        UNKNOWN,
        str(version or UNKNOWN),
        _licence(manifest),
        folder,
    )
