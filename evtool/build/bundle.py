# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs into a bundle, and whether one holds what a project asks for."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evtool.build.offline import Requirement, Storage
from evtool.build.packages import Kind, Package, read_package
from evtool.errors import ConfigError
from evtool.protocol.bundle_manifest import (
    FOLDERS,
    BundledPackage,
    BundleRule,
    Entry,
    Manifest,
    Need,
    check_path,
)

_KINDS: dict[str, Kind] = {"platform": "platform", "tool": "tool", "library": "library"}
# Never passed on: what a person may have left in a package, what the tools keep for their user,
# and what is made again on every computer.
_LEFT_OUT = (
    *("secrets.h", ".secrets.h.*", ".env", ".env.*", ".netrc", ".npmrc", ".pypirc", ".git-*"),
    *("id_rsa*", "id_ed25519*", "appstate.json", "homestate.json", ".evtool"),
    *(".git", ".svn", ".hg", "__pycache__", "*.pyc", ".DS_Store", ".pio", "*.pio-link"),
)


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that goes into a bundle, before a file is read.

    Attributes:
        manifest: sizes and hashes are still missing.
        sources: the file behind each entry that is one.
        left_out: files and folders of the packages that are not passed on, by their path there.
    """

    manifest: Manifest
    sources: Mapping[str, Path]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel on disk and what its METADATA says."""

    path: Path
    name: str
    version: str
    licence: str


def storage_of(bundle: Path) -> Storage:
    """Where an installed bundle has its packages."""
    return Storage(bundle / "platforms", bundle / "tools", bundle / "libraries")


def host_system() -> str:
    """This computer as PlatformIO's packages name it, such as linux_x86_64."""
    from platformio.util import get_systype  # noqa: PLC0415 - only bundles need it

    return str(get_systype())


def collect(
    needed: Sequence[Requirement],
    environment: str,
    *,
    evtool: str,
    platformio: str,
    wheels: Sequence[Wheel],
    python: str,
) -> Content:
    """Gather the packages that the requirements were found in.

    Args:
        needed: of `environment`; none may be missing.
        evtool, platformio: their versions.
        python: the Python that the wheels are for, such as 3.11.

    Raises:
        ConfigError: a package is no release, or holds what no bundle may hold; names it.
    """
    packages = sorted(_packages(needed).items())
    bundled = [_bundled(name, package) for name, package in packages]
    bundled += [
        BundledPackage("wheel", w.name, "-", w.version, w.licence, f"evtool/{w.path.name}")
        for w in sorted(wheels, key=lambda wheel: wheel.path.name)
    ]
    sources = {f"evtool/{wheel.path.name}": wheel.path for wheel in wheels}
    entries = [Entry(name) for name in sources]
    left_out: list[str] = []
    for folder, package in packages:
        for path in _walk(package.folder, left_out, folder):
            entry, name = _entry(package, path, folder), f"{folder}/{_relative(package, path)}"
            entries.append(replace(entry, path=name))
            if entry.link is None and not entry.is_folder:
                sources[name] = path
    manifest = Manifest(
        evtool=evtool,
        platformio=platformio,
        environment=environment,
        system=_system(bundled),
        python=python if wheels else None,
        needs=tuple(Need(n.kind, n.name, n.wanted) for n in needed),
        packages=tuple(bundled),
        entries=tuple(sorted(entries, key=lambda entry: entry.path)),
    )
    return Content(manifest, sources, tuple(left_out))


def _packages(needed: Iterable[Requirement]) -> dict[str, Package]:
    """Place in the bundle to package."""
    found: dict[str, Package] = {}
    for requirement in needed:
        if requirement.folder is None or requirement.kind not in _KINDS:
            continue
        kind = _KINDS[requirement.kind]
        package = read_package(kind, requirement.folder)
        if package.has_password:
            raise ConfigError(
                f"{requirement} was fetched from an address with a user's name or password in it "
                f"({package.folder / '.piopm'}); a bundle would pass it on",
                fix="name the package in platformio.ini without them, and build once",
            )
        found[f"{FOLDERS[kind]}/{package.folder.name}"] = package
    return found


def _bundled(folder: str, package: Package) -> BundledPackage:
    return BundledPackage(
        package.kind,
        package.name,
        package.owner,
        package.version,
        package.licence,
        folder,
        package.systems,
    )


def _system(packages: Iterable[BundledPackage]) -> str | None:
    """The one computer that the tools are for; None where every package runs anywhere."""
    return host_system() if any(package.systems for package in packages) else None


def _walk(folder: Path, left_out: list[str], name: str) -> Iterator[Path]:
    """Files, links and empty folders below `folder`, in any order."""
    children = sorted(folder.iterdir())
    kept = [child for child in children if not _is_left_out(child.name)]
    left_out += [f"{name}/{child.name}" for child in children if child not in kept]
    if not kept:
        yield folder
    for child in kept:
        if child.is_dir() and not child.is_symlink():
            yield from _walk(child, left_out, f"{name}/{child.name}")
        else:
            yield child


def _is_left_out(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _LEFT_OUT)


def _relative(package: Package, path: Path) -> str:
    return path.relative_to(package.folder).as_posix()


def _entry(package: Package, path: Path, folder: str) -> Entry:
    name = f"{folder}/{_relative(package, path)}"
    try:
        check_path(name)
    except BundleRule as rule:
        raise ConfigError(f"{path}: {rule.rule}", fix="rename or remove that file") from rule
    if path.is_symlink():
        return Entry(name, link=_link_target(package, path))
    if path.is_dir():
        return Entry(name, is_folder=True)
    if not path.is_file():
        raise ConfigError(
            f"{path} is neither a file nor a folder nor a link", fix="remove it from the package"
        )
    return Entry(name, mode=0o755 if path.stat().st_mode & 0o100 else 0o644)


def _link_target(package: Package, path: Path) -> str:
    target = os.readlink(path)  # noqa: PTH115 - its text is passed on, not a path
    inside = os.path.normpath(os.path.join(path.parent, target))  # noqa: PTH118 - text
    if os.path.isabs(target) or not Path(inside).is_relative_to(package.folder):  # noqa: PTH117
        raise ConfigError(
            f"{path} links to {target}, which is outside of the package",
            fix="put a copy in its place, or install the package again",
        )
    return target


def unmet(manifest: Manifest, wanted: Iterable[Need]) -> tuple[Need, ...]:
    """What a project asks for and a bundle does not hold, judged as PlatformIO judges.

    Raises:
        ConfigError: a version's rule cannot be read.
    """
    return tuple(need for need in wanted if not any(_meets(p, need) for p in manifest.packages))


def _meets(package: BundledPackage, need: Need) -> bool:
    from platformio.package.meta import PackageSpec  # noqa: PLC0415 - only bundles need it
    from platformio.package.version import cast_version_to_semver  # noqa: PLC0415
    from semantic_version import SimpleSpec  # noqa: PLC0415

    owner, _, name = need.name.rpartition("/")
    if package.kind != need.kind or package.name.lower() != name.lower():
        return False
    if owner and package.owner.lower() != owner.lower():
        return False
    if not need.wanted or PackageSpec(need.wanted).external:
        return True
    try:
        return bool(SimpleSpec(need.wanted).match(cast_version_to_semver(package.version)))
    except ValueError as error:
        raise ConfigError(
            f"{need.kind} {need.name}: {need.wanted!r} is no rule for a version",
            fix="correct platformio.ini",
        ) from error


def stated_needs(firmware: Path, environment: str) -> tuple[Need, ...]:
    """Platform and libraries that a platformio.ini names itself, whatever is installed.

    Raises:
        ConfigError: it cannot be read, or has no such environment.
    """
    from evtool.build.offline import requirements  # noqa: PLC0415

    nowhere = Path("/nonexistent")
    found = requirements(firmware, environment, Storage(nowhere, nowhere, nowhere))
    return tuple(Need(r.kind, r.name, r.wanted) for r in found if r.kind in ("platform", "library"))
