# SPDX-License-Identifier: GPL-3.0-or-later
"""What `evtool doctor` looks at on this machine and in this project."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evtool.build.offline import Requirement
    from evtool.link.serial_line import SerialPort
    from evtool.project import Project

_ENVIRONMENTS = ("host", "esp32dev")
_PIP = "python -m pip install --upgrade --force-reinstall evtool"
# One build of the host; platform, toolchain and framework of the ESP32, unpacked and packed.
_BUILD_BYTES = 300_000_000
_TOOLS_BYTES = 5_000_000_000
# The groups that serial devices belong to: Debian's, Arch's.
_SERIAL_GROUPS = ("dialout", "uucp")


class Check(NamedTuple):
    """One thing looked at; `needed` is False where only some commands want it."""

    name: str
    good: bool
    detail: str
    fix: str | None = None
    needed: bool = True


def machine() -> Iterator[Check]:
    """Python, its packages, compiler and git."""
    from evtool.link.program_version import program_version

    wanted = (3, 11)
    yield Check(
        "Python",
        sys.version_info >= wanted,
        sys.version.split()[0],
        "install Python 3.11 or newer, and evtool with it",
    )
    yield from _python_packages()
    compiler = program_version("g++")
    yield Check(
        "C++ compiler",
        compiler is not None,
        compiler or "no g++ on the PATH",
        f"{_install('g++')} (for `evtool build --env host` and `evtool verify`)",
    )
    git = program_version("git")
    yield Check("git", git is not None, git or "no git on the PATH", _install("git"), needed=False)


def _python_packages() -> Iterator[Check]:
    from importlib.metadata import PackageNotFoundError, requires, version

    try:
        rows = [row for row in requires("evtool") or [] if "extra ==" not in row]
    except PackageNotFoundError:
        yield Check("evtool", False, "not installed as a package", _PIP)
        return
    named = {}  # a package may have a row for itself and one for its extras
    for row in sorted(rows, reverse=True):
        cut = next((i for i, c in enumerate(row) if not (c.isalnum() or c in "-_.")), len(row))
        named[row[:cut]] = row
    for name, row in sorted(named.items()):
        try:
            yield Check(name, True, version(name))
        except PackageNotFoundError:
            yield Check(name, False, f"not installed, {row} is needed", _PIP)


def _install(package: str) -> str:
    """The command that installs a package of the system's."""
    names = {"apt-get": package, "dnf": package, "pacman": package, "brew": package}
    if package == "g++":
        names |= {"dnf": "gcc-c++", "pacman": "gcc", "brew": "gcc"}
    verbs = {"apt-get": "install", "dnf": "install", "pacman": "-S", "brew": "install"}
    manager = next((name for name in names if shutil.which(name)), "apt-get")
    sudo = "" if manager == "brew" or os.geteuid() == 0 else "sudo "
    return f"{sudo}{manager} {verbs[manager]} {names[manager]}"


def project(loaded: Project) -> Iterator[Check]:
    """The project, its secrets and bundle, and every package that its builds need."""
    from evtool.cli.bundle_place import chosen_bundle
    from evtool.errors import EvtoolError

    yield Check("project", True, str(loaded.path))
    yield from _secrets(loaded)
    bundle: Path | None = None
    needs_esp32 = loaded.build.environment.startswith("esp32")
    try:
        bundle = chosen_bundle(loaded)
    except EvtoolError as error:
        yield Check("bundle", False, error.message, error.fix, needed=needs_esp32)
    if bundle is not None:
        yield _bundle(bundle)
    missing_esp32 = False
    for environment in _ENVIRONMENTS:
        is_needed = loaded.build.environment.startswith(environment)
        try:
            checks = list(_packages(loaded, environment, bundle, is_needed=is_needed))
        except EvtoolError as error:
            name = f"build --env {environment}"
            yield Check(name, False, error.message, error.fix, needed=is_needed)
            continue
        yield from checks
        missing_esp32 |= environment == "esp32dev" and not checks[0].good
    yield from _disk(loaded, fetches=needs_esp32 and missing_esp32)


def _secrets(loaded: Project) -> Iterator[Check]:
    """What lies in clear although the project has a sealing key."""
    from evtool.cli.provision_secrets_status import kept_in_clear

    clear = kept_in_clear(loaded.root)
    if clear and loaded.provision.sealing_key is not None:
        detail = (
            f"{len(clear)} kept in clear, though there is a sealing key: {', '.join(clear[:3])}"
        )
        fix = "evtool provision secrets seal --remove-clear"
        yield Check("secrets", False, detail, fix, needed=False)


def _bundle(folder: Path) -> Check:
    from evtool.errors import EvtoolError
    from evtool.link.bundle_store import read_manifest

    try:
        manifest = read_manifest(folder)
    except (EvtoolError, OSError) as error:
        return Check("bundle", False, str(error), "evtool bundle install FILE")
    return Check("bundle", True, f"{folder.name}, for {manifest.environment}, in {folder}")


def _packages(
    loaded: Project, environment: str, bundle: Path | None, *, is_needed: bool
) -> Iterator[Check]:
    """One check for the environment, and one for each of its packages."""
    from evtool.build import offline
    from evtool.build.bundle import storage_of

    storage = storage_of(bundle) if bundle is not None and environment != "host" else None
    found = offline.requirements(loaded.build.firmware, environment, storage)
    lacking = offline.missing(found)
    yield Check(
        f"build --env {environment}",
        not lacking,
        f"all {len(found)} packages and programs are here"
        if not lacking
        else f"{len(lacking)} of {len(found)} are missing",
        _fix(environment, lacking, bundle if storage else None),
        needed=is_needed,
    )
    # Two libraries may ask for the same third one.
    yield from dict.fromkeys(_package(row, is_needed=is_needed) for row in found)


def _fix(environment: str, lacking: Sequence[Requirement], bundle: Path | None) -> str | None:
    from evtool.build import offline

    if environment == "host" or bundle is not None:
        return offline.missing_error(environment, lacking, bundle).fix
    return (
        f"with a network: evtool build --env {environment}; without one: evtool bundle install "
        "FILE (docs/offline.md)"
    )


def _package(requirement: Requirement, *, is_needed: bool) -> Check:
    is_pio = requirement.kind in ("platform", "tool", "library")
    name, found = requirement.name, requirement.found
    detail = f"{name} {found}" if is_pio and found is not None else name
    if found is None:
        detail = f"{requirement.name} {requirement.wanted}".rstrip() + ": missing"
    return Check(f"  {requirement.kind}", found is not None, detail, needed=is_needed)


def _disk(loaded: Project, *, fetches: bool) -> Iterator[Check]:
    from evtool.cli.bundle_place import core_folder

    places = {"disk, project": loaded.root, "disk, packages": core_folder()}
    for name, place in places.items():
        folder = next(f for f in (place, *place.parents) if f.is_dir())
        needed = _TOOLS_BYTES if fetches and "packages" in name else _BUILD_BYTES
        free = shutil.disk_usage(folder).free
        yield Check(
            name,
            free >= needed,
            f"{free / 1e9:,.1f} GB free in {folder}",
            f"make {needed / 1e9:,.1f} GB free there",
        )


def serial_ports() -> Iterator[Check]:
    """Every port with its USB identity, and whether this user may open it."""
    from evtool.link.serial_line import find_serial_ports

    ports = find_serial_ports()
    if not ports:
        yield Check(
            "serial ports",
            False,
            "none",
            "connect a board; on Linux its driver makes /dev/ttyUSB* or /dev/ttyACM*",
            needed=False,
        )
        yield from _serial_group()
    for port in ports:
        yield _port(port)


def _port(port: SerialPort) -> Check:
    good = os.access(port.device, os.R_OK | os.W_OK)
    return Check(
        "serial port",
        good,
        str(port) + ("" if good else ": you may not open it"),
        None if good else _join(_group_of(port.device)),
        needed=False,
    )


def _group_of(device: str) -> str:
    import grp

    try:
        return grp.getgrgid(Path(device).stat().st_gid).gr_name
    except (OSError, KeyError):
        return _SERIAL_GROUPS[0]


def _serial_group() -> Iterator[Check]:
    """Whether a board that is connected later could be opened."""
    import grp

    for name in _SERIAL_GROUPS:
        try:
            group = grp.getgrnam(name).gr_gid
        except KeyError:
            continue
        good = os.geteuid() == 0 or group in (os.getegid(), *os.getgroups())
        detail = f"group {name}: " + ("you are in it" if good else "you are not in it")
        if os.geteuid() == 0:
            detail = f"group {name}: root needs none"
        yield Check("serial rights", good, detail, _join(name), needed=False)
        return


def _join(group: str) -> str:
    import getpass

    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "$USER"
    return f"sudo usermod -aG {group} {user}, then log in again"
