# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bundle says of itself: the first file in its archive, and the rules that it keeps.

An archive holds exactly what its manifest lists, in that order. So everything that an archive
could do to a computer is decided here, before any other byte of it is looked at.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

NAME = "MANIFEST.json"
LARGEST = 64 << 20
WHEELS = "evtool"
FOLDERS = {"library": "libraries", "platform": "platforms", "tool": "tools", "wheel": WHEELS}
_MODES = (0o644, 0o755)
_LARGEST_FILE = 8**11 - 1
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


class BundleRule(ValueError):
    """A rule that a manifest breaks; `entry` names the file, or the manifest itself."""

    def __init__(self, entry: str, rule: str) -> None:
        super().__init__(f"{entry}: {rule}")
        self.entry = entry
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, a symbolic link (`link`, its target) or an empty folder (`is_folder`)."""

    path: str
    size: int = 0
    mode: int = 0o644
    sha256: str = ""
    link: str | None = None
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class BundledPackage:
    """One package of PlatformIO's, or one wheel.

    Attributes:
        kind: platform, tool, library or wheel.
        folder: where it stands in the bundle; for a wheel its file.
        systems: what its programs run on (linux_x86_64); empty: any.
    """

    kind: str
    name: str
    owner: str
    version: str
    licence: str
    folder: str
    systems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Need:
    """What platformio.ini and its platform asked for: `wanted` is the version's rule."""

    kind: str
    name: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that a bundle holds.

    Attributes:
        evtool, platformio: the versions that made it.
        environment: what it was collected for.
        system: the computers it is for, as PlatformIO names them; None: any.
        python: the Python that the wheels are for, such as 3.11; None without wheels.
    """

    evtool: str
    platformio: str
    environment: str
    system: str | None
    python: str | None
    needs: tuple[Need, ...]
    packages: tuple[BundledPackage, ...]
    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """All contents together, in bytes."""
        return sum(entry.size for entry in self.entries)


def bundle_id(manifest: bytes) -> str:
    """Sixteen hexadecimal digits that stand for the whole content."""
    return hashlib.sha256(manifest).hexdigest()[:16]


def encode(manifest: Manifest) -> bytes:
    """The manifest's file; the same content gives the same bytes.

    Raises:
        BundleRule: it breaks a rule.
    """
    _check(manifest)
    document = asdict(manifest) | {"entries": [_entry_document(e) for e in manifest.entries]}
    # One line an entry: a person can read it, and 20,000 of them stay small.
    lines = ",\n".join(json.dumps(row) for row in document.pop("entries"))
    head = json.dumps({"schema": 1} | document, indent=1)
    return f'{head[:-2]},\n "entries": [\n{lines}\n]}}\n'.encode()


def decode(data: bytes) -> Manifest:
    """Read a manifest and hold it against every rule.

    Raises:
        BundleRule: it breaks one.
    """
    try:
        document = json.loads(data)
        schema = document["schema"]
        manifest = Manifest(
            evtool=_text(document["evtool"]),
            platformio=_text(document["platformio"]),
            environment=_text(document["environment"]),
            system=_optional(document["system"]),
            python=_optional(document["python"]),
            needs=tuple(
                Need(_text(n["kind"]), _text(n["name"]), _text(n["wanted"]))
                for n in document["needs"]
            ),
            packages=tuple(_package(row) for row in document["packages"]),
            entries=tuple(_entry(row) for row in document["entries"]),
        )
    except BundleRule:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BundleRule(NAME, f"not a manifest: {type(error).__name__}: {error}") from error
    if schema != 1:
        raise BundleRule(NAME, f"schema {schema!r} is not 1; a newer evtool made it")
    _check(manifest)
    return manifest


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise TypeError(f"{value!r} is no line of text")
    return value


def _optional(value: Any) -> str | None:
    return None if value is None else _text(value)


def _package(row: Any) -> BundledPackage:
    return BundledPackage(
        kind=_text(row["kind"]),
        name=_text(row["name"]),
        owner=_text(row["owner"]),
        version=_text(row["version"]),
        licence=_text(row["licence"]),
        folder=_text(row["folder"]),
        systems=tuple(_text(name) for name in row["systems"]),
    )


def _entry_document(entry: Entry) -> dict[str, object]:
    if entry.link is not None:
        return {"path": entry.path, "link": entry.link}
    if entry.is_folder:
        return {"path": entry.path, "folder": True}
    mode = f"{entry.mode:o}"
    return {"path": entry.path, "size": entry.size, "mode": mode, "sha256": entry.sha256}


def _entry(row: Any) -> Entry:
    path = row["path"]
    if not isinstance(path, str):
        raise TypeError(f"{path!r} is no path")
    if "link" in row:
        if not isinstance(row["link"], str):
            raise BundleRule(path, "the target of a link is a text")
        return Entry(path, link=row["link"])
    if row.get("folder") is True:
        return Entry(path, is_folder=True)
    size, mode, digest = row["size"], row["mode"], row["sha256"]
    if type(size) is not int or not 0 <= size <= _LARGEST_FILE:
        raise BundleRule(path, f"a size is 0 to {_LARGEST_FILE}, not {size!r}")
    if not isinstance(digest, str) or not _SHA256.match(digest):
        raise BundleRule(path, "a SHA-256 has 64 hexadecimal digits")
    if mode not in [f"{known:o}" for known in _MODES]:
        raise BundleRule(path, f"a mode is 644 or 755, not {mode!r}")
    return Entry(path, size, int(mode, 8), digest)


def _check(manifest: Manifest) -> None:
    owners = _owners(manifest.packages)
    links = {entry.path for entry in manifest.entries if entry.link is not None}
    last = ""
    seen: set[str] = set()
    used: set[str] = set()
    for entry in manifest.entries:
        check_path(entry.path)
        if entry.path in seen:
            raise BundleRule(entry.path, "listed twice")
        if entry.path < last:
            raise BundleRule(entry.path, "not in order")
        last = entry.path
        seen.add(entry.path)
        parts = entry.path.split("/")
        parents = ["/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]
        inside = next((name for name in parents if name in seen), None)
        if inside is not None:
            raise BundleRule(entry.path, f"stands below {inside}, which is no folder")
        owner = next((name for name in (entry.path, *parents) if name in owners), None)
        if owner is None or (owners[owner] == "wheel") != (owner == entry.path):
            raise BundleRule(entry.path, "belongs to no package of the manifest")
        used.add(owner)
        if entry.link is not None:
            _check_link(entry.path, entry.link, owner, links)
    for name in owners.keys() - used:
        raise BundleRule(name, "the manifest names this package, and has no file of it")


def _owners(packages: Iterable[BundledPackage]) -> dict[str, str]:
    """Folder (or wheel) to kind."""
    owners: dict[str, str] = {}
    for package in packages:
        check_path(package.folder)
        top, _, rest = package.folder.partition("/")
        if FOLDERS.get(package.kind) != top or not rest or "/" in rest:
            raise BundleRule(package.folder, f"no place for a {package.kind}")
        if rest.startswith(".") or package.folder in owners:
            raise BundleRule(package.folder, "hidden, or listed twice")
        owners[package.folder] = package.kind
    return owners


def check_path(path: str) -> None:
    """Refuse a path that could lead out of the folder that it is unpacked in.

    Raises:
        BundleRule: it could, or it is not one way to write a relative path.
    """
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or "." in parts or "" in parts:
        raise BundleRule(path or "(empty)", "a path is relative and has no empty, . or .. part")
    if "\\" in path or not path.isprintable():
        raise BundleRule(repr(path), "a path has no backslash and no control character")
    try:
        lengths = [len(part.encode()) for part in parts]
    except UnicodeEncodeError as error:
        raise BundleRule(repr(path), "a path is UTF-8") from error
    if max(lengths) > 255 or sum(lengths) + len(parts) > 2000:
        raise BundleRule(path, "a path has at most 2000 bytes, a name 255")


def _check_link(path: str, target: str, owner: str, links: set[str]) -> None:
    """A link stays in its package, whichever way it is followed."""
    if not target or target.startswith("/") or not target.isprintable() or "\\" in target:
        raise BundleRule(path, f"the target of a link is a relative path, not {target!r}")
    places = list(_walk(path, target))
    for number, place in enumerate(places, start=1):
        if place != owner and not place.startswith(owner + "/"):
            raise BundleRule(path, f"the link to {target} leaves its package {owner}")
        # Text and file system would go different ways from there.
        if place in links and number < len(places):
            raise BundleRule(path, f"the link to {target} leads through the link {place}")


def _walk(path: str, target: str) -> Iterator[str]:
    """Every place that following the link passes."""
    here = path.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            if not here:
                yield ".."
                return
            here.pop()
        elif part not in ("", "."):
            here.append(part)
        yield "/".join(here)
